"""The hub's boards: who is there, and an image's way to each of them.

    boards = Boards(KeyFolder(root / "config" / "boards"), sink, "127.0.0.1", 7484)
    await boards.start()
    await boards.transfer("board-1", image)
    state = await boards.install("board-1", seconds=60)

Every request may be repeated: a transfer goes on where it was cut, by a lost connection or by the end of the hub.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Self, TypeVar

from deployers.exceptions import BoardRefused, NotFound
from deployers.hub.busy import changing, giving_way
from deployers.hub.carried import carries, leave
from deployers.hub.device import Device, Record, Transfer
from deployers.link import LinkError, LinkLostError
from deployers.listener import BoardListener, wall_clock_ms
from deployers.protocol.messages import BoardState, SlotState
from deployers.protocol.status import Status
from deployers.transfer import transfer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from deployers.hub.keys import Keys
    from deployers.keeping import Sink
    from deployers.link import BoardLink
    from deployers.protocol.messages import Shadow

_log = logging.getLogger(__name__)

DEFAULT_PORT = 7484
# A board that has lost its link is back within a second or two; how long a request waits for one that is not there.
ABSENT_SECONDS = 15.0
# A board restarts within 2 s and looks for its hub every second; the rest is for a busy machine.
BACK_SECONDS = 60.0
_NAMED = 8
_LOG_CHARACTERS = 300
_LOSSES_MAX = 3
_WATCH_SECONDS = 1.0
_STATUS_SECONDS = 30.0
Result = TypeVar("Result")


class UnknownBoardError(LinkError, NotFound):
    """No board of this name is provisioned here."""


class NotInTestError(LinkError, BoardRefused):
    """The board took an image and came back without it; `state` is what it said then."""

    def __init__(self, board: str, state: BoardState, log: str) -> None:
        status = Status(state.model_status).name if state.model_status in set(Status) else state.model_status
        super().__init__(
            f"board {board!r} is back with version {state.model_version!r}, {state.slot_state.name}, status {status}, "
            f"expected the new one in TEST; its log ends {log[-_LOG_CHARACTERS:]!r}: mend what it names"
        )
        self.state = state


class Boards:
    """All boards of a hub.

    Args:
        keys: who may connect; read anew for each connection, and once a second for what has changed.
        sink: keeps readings and forecasts; they are acknowledged when it returns.
        host: address to listen on.
        port: 0 takes a free one.
        clock: the time that boards are given, in ms since 1970-01-01.
    """

    def __init__(
        self,
        keys: Keys,
        sink: Sink,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        clock: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._keys, self._clock = keys, clock
        self._listener = BoardListener(keys, sink, host, port, clock, changed=self._on_change)
        self._known: dict[str, bytes] = {}
        self._records: dict[str, Record] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, and look after the keys and the boards' states from now on.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._known = self._read_keys()
        await self._listener.start()
        self._begin(self._watch())

    async def stop(self) -> None:
        """Drop every link; what was received is kept first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The port that boards connect to."""
        return self._listener.port

    def devices(self) -> list[Device]:
        """Every board that has a key, and every one that has an open link."""
        return [self._device(board) for board in sorted({*self._known, *self._listener.online()})]

    def device(self, board: str) -> Device:
        """One board.

        Raises:
            UnknownBoardError: it has no key here.
        """
        self._require_known(board)
        return self._device(board)

    async def status(self, board: str) -> BoardState:
        """The state of the board now."""
        return await self._persist(board, self._ask_state)

    async def set_time(self, board: str, time_ms: int) -> None:
        """Set the board's clock."""
        await self._persist(board, lambda link: link.set_time(time_ms))

    async def log(self, board: str) -> str:
        """All lines of the log that the board still keeps."""
        return await self._persist(board, lambda link: link.log())

    async def transfer(self, board: str, image: bytes, progress: Callable[[int, int], None] = lambda *_: None) -> int:
        """Bring an image into the board's other slot, over as many connections as it takes.

        Args:
            board: its id.
            image: the whole signed image.
            progress: called with the bytes in place and the bytes of the image.

        Returns:
            The bytes that were in place already.

        Raises:
            BoardBusyError: another request changes this board.
            LinkLostError: the board is not there, or its link was lost again and again without a step ahead.
            LinkRefusedError: it refused.
        """
        async with self._changing(board, "transfer"):
            return await self._transfer(board, image, progress)

    async def install(self, board: str, seconds: float = BACK_SECONDS) -> BoardState:
        """Have what was transferred verified, and wait until the board is back and runs it in test.

        Returns:
            What the board says then; at once, if it runs an image in test already.

        Raises:
            BoardBusyError: another request changes this board.
            LinkLostError: it is not there, or not back within `seconds`.
            LinkRefusedError: it refused the image, and runs on with the model before.
            NotInTestError: it is back, and does not run the image.
        """
        async with self._changing(board, "install"), _within(seconds, board):
            return await self._install(board)

    async def confirm(self, board: str, version: int) -> BoardState:
        """Keep the version that is in test; without effect on a board that has confirmed it already.

        Raises:
            BoardBusyError, LinkLostError, LinkRefusedError: as `install`.
        """
        async with self._changing(board, "confirm"):
            await self._persist(board, lambda link: link.confirm(version))
            return await self.status(board)

    async def revert(self, board: str, version: int, seconds: float = BACK_SECONDS) -> BoardState:
        """Go back from the version that is in test, and wait until the board is back.

        Returns:
            What the board says then; at once, if it does not run that version in test.

        Raises:
            BoardBusyError, LinkLostError, LinkRefusedError: as `install`.
        """
        async with self._changing(board, "revert"), _within(seconds, board):
            return await self._revert(board, version)

    async def shadow(self, board: str) -> Shadow:
        """The challenger that the board carries now.

        Raises:
            LinkLostError, LinkRefusedError: as `transfer`; with status SESSION_TYPE its firmware carries none.
        """
        return await self._persist(board, lambda link: link.shadow(0))

    async def carry(self, board: str, version: int, image: bytes) -> Shadow:
        """Have a board forecast with an image in its other slot, beside the model that runs.

        Returns:
            What it carries then; at once, if it carries this version already.

        Raises:
            BoardBusyError: another request changes this board, or came in between and was given way to.
            LinkLostError, LinkRefusedError: as `transfer`, and as `shadow` before anything is sent.
        """
        self._require_known(board)
        return await giving_way(board, self._record(board), "carry", self._carry(board, version, image))

    async def leave(self, board: str, version: int) -> Shadow:
        """Have a board carry a challenger no more; it does not restart.

        Returns:
            What it carries then; at once, if that is not this version.

        Raises:
            BoardBusyError, LinkLostError, LinkRefusedError: as `carry`.
        """
        self._require_known(board)
        work = self._persist(board, lambda link: leave(link, version))
        return await giving_way(board, self._record(board), "leave", work)

    async def _carry(self, board: str, version: int, image: bytes) -> Shadow:
        carried = await self.shadow(board)
        if carried.version == version:
            return carried
        await self._transfer(board, image, lambda *_: None)
        return await self._persist(board, lambda link: link.shadow(version))

    async def _transfer(self, board: str, image: bytes, progress: Callable[[int, int], None]) -> int:
        record = self._record(board)

        def tell(done: int, total: int) -> None:
            resumed = record.transfer.resumed if record.transfer is not None else done
            record.transfer = Transfer(done, total, resumed)
            progress(done, total)

        record.transfer = None
        await self._persist(board, lambda link: transfer(link, image, tell), lambda: record.transfer)
        return 0 if record.transfer is None else record.transfer.resumed

    async def _install(self, board: str) -> BoardState:
        while True:
            link = await self._link(board)
            state = await self._ask_state(link)
            if state.slot_state is SlotState.TEST:
                return state
            # An answer that was lost says nothing about the request: the board does, once it is back.
            with contextlib.suppress(LinkLostError):
                await link.install()
            state = await self._state_when_back(board, link)
            if state.slot_state is SlotState.TEST or state.transfer_offset:
                continue
            # What was to be installed may be there still, carried: then the request has not arrived.
            if not await self._persist(board, carries):
                raise NotInTestError(board, state, await self.log(board))

    async def _revert(self, board: str, version: int) -> BoardState:
        while True:
            link = await self._link(board)
            state = await self._ask_state(link)
            if (state.slot_state, state.model_version) != (SlotState.TEST, version):
                return state
            with contextlib.suppress(LinkLostError):
                await link.revert(version)
            await self._state_when_back(board, link)

    async def _state_when_back(self, board: str, old: BoardLink) -> BoardState:
        link = await self._listener.wait_for(board, BACK_SECONDS, other_than=old)
        return link.hello.state

    async def _persist(
        self,
        board: str,
        call: Callable[[BoardLink], Awaitable[Result]],
        progress: Callable[[], object] = lambda: None,
    ) -> Result:
        """Make a request on as many connections as it takes, as long as `progress` changes between their losses."""
        losses, before = 0, progress()
        while True:
            link = await self._link(board)
            try:
                return await call(link)
            except LinkLostError:
                link.abort()  # it may be open and dead
                losses = losses + 1 if progress() == before else 0
                if losses > _LOSSES_MAX:
                    raise
                before = progress()

    async def _link(self, board: str) -> BoardLink:
        self._require_known(board)
        return await self._listener.wait_for(board, ABSENT_SECONDS)

    async def _ask_state(self, link: BoardLink) -> BoardState:
        state = await link.status()
        self._record(link.hello.board).state = state
        return state

    def _record(self, board: str) -> Record:
        return self._records.setdefault(board, Record())

    def _require_known(self, board: str) -> None:
        if board not in self._known and self._keys(board) is None:
            names = sorted(self._known)
            some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
            msg = f"board {board!r}: expected one that has a key here ({some or 'none has'}); provision it first"
            raise UnknownBoardError(msg)

    def _device(self, board: str) -> Device:
        record, keeping = self._record(board), self._listener.keeping(board)
        silent = None if keeping.heard is None else asyncio.get_running_loop().time() - keeping.heard
        return Device(
            id=board,
            online=self._listener.link(board) is not None,
            hello=record.hello,
            state=record.state,
            last_seen_ms=None if silent is None else self._clock() - round(1000 * silent),
            transfer=record.transfer,
            busy=record.busy,
            counters=keeping.counters,
        )

    def _changing(self, board: str, what: str) -> AbstractAsyncContextManager[None]:
        self._require_known(board)
        return changing(board, self._record(board), what)

    def _on_change(self, link: BoardLink) -> None:
        if link.is_open:
            record = self._record(link.hello.board)
            record.hello, record.state, record.asked = link.hello, link.hello.state, asyncio.get_running_loop().time()

    async def _watch(self) -> None:
        """Drop boards whose key was changed or taken away, and ask the others how they are."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                known = await asyncio.to_thread(self._read_keys)
            except OSError:
                _log.exception("the boards' keys cannot be read, the ones read before stay")
                continue
            before, self._known = self._known, known
            for board, link in self._listener.online().items():
                if board in before and known.get(board) != before[board]:
                    _log.warning("board %r: its key was changed or taken away, its link is dropped", board)
                    link.abort()
                elif asyncio.get_running_loop().time() - self._record(board).asked > _STATUS_SECONDS:
                    self._record(board).asked = asyncio.get_running_loop().time()
                    self._begin(self._refresh(link))

    async def _refresh(self, link: BoardLink) -> None:
        try:
            await self._ask_state(link)
        except LinkLostError:
            link.abort()
        except LinkError:
            _log.exception("board %r does not say how it is", link.hello.board)

    def _begin(self, what: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _read_keys(self) -> dict[str, bytes]:
        return {board: key for board in self._keys.ids() if (key := self._keys(board)) is not None}


@contextlib.asynccontextmanager
async def _within(seconds: float, board: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        msg = f"board {board!r} is not back within {seconds!r} s: look at its log and its network"
        raise LinkLostError(msg) from None
