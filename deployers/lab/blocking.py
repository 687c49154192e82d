"""The link to boards for code without an event loop: the loop runs in a thread, and each call waits for its end."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Self, TypeVar

from deployers.listener import BoardListener
from deployers.transfer import transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from deployers.keeping import Counters, Sink
    from deployers.link import BoardLink
    from deployers.protocol.messages import BoardState, Hello, Message, Shadow

Result = TypeVar("Result")

# A lab's board may send as fast as it can.
FRAMES_PER_SECOND = 1e6
_STOP_SECONDS = 30.0


class LoopThread:
    """An event loop in a thread, from entering to leaving."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="event loop", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_SECONDS)
        self._loop.close()

    def run(self, what: Coroutine[object, object, Result]) -> Result:
        """The result of a coroutine that runs in the loop; its error, if it raises one."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()


class BlockingLink:
    """One connection of one board; see `deployers.link.BoardLink`, whose methods these wait for."""

    def __init__(self, link: BoardLink, loop: LoopThread) -> None:
        self.link = link
        self._loop = loop

    @property
    def hello(self) -> Hello:
        """What the board said when it connected."""
        return self.link.hello

    @property
    def is_open(self) -> bool:
        """The connection stands."""
        return self.link.is_open

    def request(self, kind: Message, message: bytes = b"") -> bytes:
        """Any request; returns the body of the answer."""
        return self._loop.run(self.link.request(kind, message))

    def status(self) -> BoardState:
        """The state of the board now."""
        return self._loop.run(self.link.status())

    def set_time(self, time_ms: int) -> None:
        """Set the board's clock."""
        self._loop.run(self.link.set_time(time_ms))

    def transfer(self, image: bytes) -> int:
        """Bring an image into the board's other slot; returns the offset at which this began."""
        return self._loop.run(transfer(self.link, image))

    def install(self) -> None:
        """Have the board verify what was transferred and start it in test."""
        self._loop.run(self.link.install())

    def confirm(self, version: int) -> None:
        """Keep the version that is in test."""
        self._loop.run(self.link.confirm(version))

    def revert(self, version: int) -> None:
        """Go back from the version that is in test."""
        self._loop.run(self.link.revert(version))

    def shadow(self, version: int) -> Shadow:
        """Have what was transferred forecast beside the running model; 0 asks only."""
        return self._loop.run(self.link.shadow(version))

    def log(self) -> str:
        """All lines of the log that the board still keeps."""
        return self._loop.run(self.link.log())


class BlockingListener:
    """A `BoardListener` on a loopback port, from entering to leaving.

    Args:
        key_of: the 32-byte key of a board by its id.
        sink: where readings and forecasts go; called in the loop's thread.
    """

    def __init__(self, key_of: Callable[[str], bytes | None], sink: Sink) -> None:
        self._key_of, self._sink = key_of, sink
        self._loop = LoopThread()

    def __enter__(self) -> Self:
        self._loop.__enter__()
        try:
            self._listener = self._loop.run(self._start())
        except BaseException:
            self._loop.__exit__()
            raise
        self.port = self._listener.port
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._loop.run(self._listener.stop())
        finally:
            self._loop.__exit__()

    def wait_for(self, board: str, seconds: float, other_than: BlockingLink | None = None) -> BlockingLink:
        """The open link of a board; `other_than` is one that is about to end.

        Raises:
            LinkLostError: the board did not connect in time.
        """
        old = None if other_than is None else other_than.link
        return BlockingLink(self._loop.run(self._listener.wait_for(board, seconds, old)), self._loop)

    def counters(self, board: str) -> Counters:
        """What the link of a board has carried so far."""
        return self._listener.keeping(board).counters

    def drop(self, board: str) -> None:
        """End the link of a board, if it has one."""
        self._loop.run(self._drop(board))

    async def _start(self) -> BoardListener:
        listener = BoardListener(self._key_of, self._sink, frames_per_second=FRAMES_PER_SECOND)
        await listener.start()
        return listener

    async def _drop(self, board: str) -> None:
        link = self._listener.link(board)
        if link is not None:
            link.abort()
            await link.wait_closed()
