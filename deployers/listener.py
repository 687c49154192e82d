"""Where boards connect: one listener, one event loop, any number of boards."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Self

from deployers.keeping import Keeping
from deployers.link import FRAMES_PER_SECOND, BoardLink, LinkLostError
from deployers.protocol import messages
from deployers.protocol.session import HubSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.keeping import Sink

_log = logging.getLogger(__name__)

# Connections on which no board has proven itself yet; beyond it the oldest is dropped, so that strangers who connect
# and say nothing keep no board out. As many boards may begin at once after the hub was away.
STRANGERS_MAX = 512
# What the system keeps of connections that were not accepted yet.
BACKLOG = 512
# What was sent before the end may still be kept within this time.
STOP_SECONDS = 5.0
# A board that lost its power says nothing of it; the kernel asks it this often, and gives it up after three times.
_ALIVE_SECONDS = 20


def wall_clock_ms() -> int:
    """Now, in ms since 1970-01-01."""
    return time.time_ns() // 1_000_000


class BoardListener:
    """Accepts boards. A board that connects again takes the place of its old link.

    Args:
        key_of: the 32-byte key of a board by its id, or None if no such board is known.
        sink: where readings and forecasts go.
        host: the address to listen on.
        port: the port; 0 takes a free one.
        clock: the time that boards are given, in ms since 1970-01-01.
        frames_per_second: a board that sends more is read from more slowly.
        changed: called when a board has connected or gone.
    """

    def __init__(  # noqa: PLR0913 - each stands for itself
        self,
        key_of: Callable[[str], bytes | None],
        sink: Sink,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], int] = wall_clock_ms,
        *,
        frames_per_second: float = FRAMES_PER_SECOND,
        changed: Callable[[BoardLink], None] = lambda _: None,
    ) -> None:
        self.port = port
        self._key_of, self._sink, self._host, self._clock = key_of, sink, host, clock
        self._pace, self._tell = frames_per_second, changed
        self._server: asyncio.Server | None = None
        self._strangers: dict[BoardLink, None] = {}  # in the order in which they connected
        self._links: dict[str, BoardLink] = {}
        self._keeping: dict[str, Keeping] = {}
        self._waiting: dict[asyncio.Future[None], str] = {}

    async def start(self) -> None:
        """Listen; `port` is then the port in use.

        Raises:
            OSError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._new_link, self._host, self.port, backlog=BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, drop every link, and wait for what is being kept."""
        if self._server is not None:
            self._server.close()
        links = [*self._strangers, *self._links.values()]
        for link in links:
            link.abort()
        await asyncio.gather(*(link.wait_closed() for link in links))
        await asyncio.gather(*(keeping.finish(STOP_SECONDS) for keeping in self._keeping.values()))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def link(self, board: str) -> BoardLink | None:
        """The open link of a board, if it has one."""
        link = self._links.get(board)
        return link if link is not None and link.is_open else None

    def online(self) -> dict[str, BoardLink]:
        """The open links by their boards."""
        return {board: link for board, link in self._links.items() if link.is_open}

    def keeping(self, board: str) -> Keeping:
        """What the board sent and is not kept yet, and what it has sent so far."""
        if board not in self._keeping:
            self._keeping[board] = Keeping(board, self._sink)
        return self._keeping[board]

    async def wait_for(self, board: str, seconds: float, other_than: BoardLink | None = None) -> BoardLink:
        """The open link of a board; `other_than` is one that is about to end.

        Raises:
            LinkLostError: the board did not connect in time.
        """
        try:
            async with asyncio.timeout(seconds):
                while (link := self.link(board)) is None or link is other_than:
                    await self._next_change(board)
        except TimeoutError:
            msg = f"board {board!r} did not connect within {seconds!r} s: look at its log and its network"
            raise LinkLostError(msg) from None
        return link

    async def _next_change(self, board: str) -> None:
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[change] = board
        try:
            await change
        finally:
            del self._waiting[change]

    def _new_link(self) -> BoardLink:
        session = HubSession(self._read_key, os.urandom(messages.NONCE_BYTES), self._clock)
        return BoardLink(session, self.keeping, self._on_change, self._pace)

    def _read_key(self, board: str) -> bytes | None:
        try:
            return self._key_of(board)
        except OSError:
            _log.exception("the key of board %r cannot be read, the board is refused", board)
            return None

    def _on_change(self, link: BoardLink) -> None:
        if link.is_closed:
            self._on_ended(link)
        elif link.is_open:
            self._on_opened(link)
        else:
            self._on_stranger(link)

    def _on_stranger(self, link: BoardLink) -> None:
        self._strangers[link] = None
        if len(self._strangers) > STRANGERS_MAX:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.abort()

    def _on_opened(self, link: BoardLink) -> None:
        self._strangers.pop(link, None)
        board = link.hello.board
        old = self._links.get(board)
        self._links[board] = link
        if old is not None:
            old.abort()
        link.watch(_ALIVE_SECONDS)
        self._wake(board, link)

    def _on_ended(self, link: BoardLink) -> None:
        self._strangers.pop(link, None)
        if (board := link.board) is not None and self._links.get(board) is link:
            del self._links[board]
            self._wake(board, link)

    def _wake(self, board: str, link: BoardLink) -> None:
        for change, wanted in self._waiting.items():
            if wanted == board and not change.done():
                change.set_result(None)
        self._tell(link)
