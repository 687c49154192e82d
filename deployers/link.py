"""The hub's end of one board's link: the board proves who it is, sends readings and takes requests.

    class Store:                                      # keeps what boards send
        async def keep_readings(self, board, first, readings): ...
        async def keep_forecast(self, board, forecast): ...

    async with BoardListener({"board-1": key}.get, Store()) as listener:      # deployers/listener.py
        link = await listener.wait_for("board-1", seconds=10)
        await transfer(link, image)                                           # deployers/transfer.py
        await link.install()

Everything runs in one event loop, and everything a board can make the hub keep or wait for is bounded: bytes that wait
to be sent, frames that wait to be kept, frames a second, the time without progress. Errors stand in the tree of
`deployers.exceptions`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any, cast

from deployers.exceptions import BoardRefused, DeployerError, ServiceUnavailable
from deployers.protocol import messages
from deployers.protocol.messages import Answer, BoardState, Forecast, Hello, Message, Shadow
from deployers.protocol.session import Arrived, Closed, Event, HubSession, Opened, Refusal
from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.keeping import Keeping

_log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
# A board that takes nothing for so long is gone, whatever its connection says.
SEND_SECONDS = 10.0
# Bytes that wait for a board to take them; a well-behaved one never has more than a window of chunks to take.
SEND_BYTES_MAX = 65_536
# Beyond this a board is not read from for a while. Each has a second's worth at once, for its ring after an outage.
FRAMES_PER_SECOND = 200.0
# The kernel's part of that: it keeps megabytes for a connection that takes nothing if it is let.
_KERNEL_SEND_BYTES = 32_768
# Of a board's log; ours keep 2 KiB. One that never comes to an end would fill the hub's memory.
LOG_BYTES_MAX = 65_536
_ATTEMPTS = 3
_RECEIVE_BYTES = 4096
# The frame did not arrive as it was sent: the same request again is right. Anything else would be refused again.
_DAMAGED = {Status.WIRE_MAGIC, Status.WIRE_HEADER, Status.WIRE_LENGTH, Status.WIRE_CRC}


class LinkError(DeployerError):
    """The link to a board."""


class LinkLostError(LinkError, ServiceUnavailable):
    """The connection went, or the board did not answer in time."""


class LinkRefusedError(LinkError, BoardRefused):
    """The board answered with a status other than OK."""

    def __init__(self, what: str, status: int, body: bytes = b"") -> None:
        name = Status(status).name if status in set(Status) else "unknown to this hub"
        super().__init__(f"the board refused {what} with status {status} ({name})")
        self.status = status
        self.body = body


class BoardLink(asyncio.BufferedProtocol):
    """One connection of one board; made by `BoardListener`.

    Args:
        session: the hub's side of the session on it.
        keeping_of: the board's queue of what is to be kept, by its id; called once, when the board has proven itself.
        changed: called when the connection is made, when the board has proven itself, and when it has ended.
        frames_per_second: a board that sends more is read from more slowly.
    """

    def __init__(
        self,
        session: HubSession,
        keeping_of: Callable[[str], Keeping],
        changed: Callable[[BoardLink], None] = lambda _: None,
        frames_per_second: float = FRAMES_PER_SECOND,
    ) -> None:
        self._session, self._keeping_of, self._changed = session, keeping_of, changed
        self._keeping: Keeping | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(_RECEIVE_BYTES)
        self._waiting: dict[int, asyncio.Future[Answer | Refusal]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._held_back: set[str] = set()
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._closed = asyncio.Event()
        self._pace, self._budget, self._budget_at = frames_per_second, frames_per_second, self._loop.time()
        self._given = self._taken = 0

    # ---- what the event loop calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the board to say hello, within `HANDSHAKE_SECONDS`."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)
        if (connection := self._transport.get_extra_info("socket")) is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_SEND_BYTES)
        self._after(HANDSHAKE_SECONDS, "handshake", self.abort)
        self._changed(self)

    def get_buffer(self, sizehint: int) -> bytearray:
        """A small buffer: between two of its fills the other boards have their turn."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        if self._closed.is_set():
            return
        events = self._session.receive(bytes(self._buffer[:nbytes]))
        for event in events:
            self._on_event(event)
        self.flush()
        if self._keeping is not None:
            self._keeping.heard = self._loop.time()
            self._keeping.counters.received_bytes += nbytes
            self._hold_back(self._keeping, len(events))

    def pause_writing(self) -> None:
        """The board does not take what it is sent."""
        self._can_write.clear()
        self._taken = self._bytes_taken()
        self._after(SEND_SECONDS, "send", self._check_progress)

    def resume_writing(self) -> None:
        """It took everything."""
        self._cancel("send")
        self._can_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Requests that wait end with `LinkLostError`."""
        if exc is not None:
            _log.info("link lost: %s", exc)
        self._closed.set()
        for name in list(self._timers):
            self._cancel(name)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_ended())
        self._can_write.set()
        self._changed(self)

    # ---- what the hub calls ----

    @property
    def hello(self) -> Hello:
        """What the board said of itself when it connected.

        Raises:
            LinkLostError: it has not said anything.
        """
        if self._session.hello is None:
            msg = "the board has not said hello"
            raise LinkLostError(msg)
        return self._session.hello

    @property
    def is_open(self) -> bool:
        """Both sides have proven themselves, and the connection stands."""
        return self._session.is_open and not self._closed.is_set()

    @property
    def is_closed(self) -> bool:
        """The connection has ended."""
        return self._closed.is_set()

    @property
    def board(self) -> str | None:
        """The id of the board, once it has proven itself."""
        return self.hello.board if self._session.is_open else None

    def watch(self, seconds: int) -> None:
        """Have the kernel ask a silent board whether it is still there, and end the connection of one that is not."""
        connection = None if self._transport is None else self._transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)

    def abort(self) -> None:
        """Drop the connection at once; requests that wait end with `LinkLostError`."""
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Until the connection has ended."""
        await self._closed.wait()

    def acknowledge(self, through: int) -> None:
        """All readings with a lower number are kept."""
        if not self._closed.is_set():
            self._session.acknowledge(through)
            self.flush()

    def resume(self, reason: str) -> None:
        """Read from the board again, unless there is another reason not to."""
        self._held_back.discard(reason)
        if not self._held_back and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    async def request(self, kind: Message, message: bytes = b"", seconds: float = ANSWER_SECONDS) -> bytes:
        """Send a request and wait for its answer; one that was damaged on the way is sent again.

        Returns:
            The body of the answer.

        Raises:
            LinkLostError: no answer in `seconds`, three times, or the connection ended.
            LinkRefusedError: the board refused.
        """
        for _ in range(_ATTEMPTS):
            answer = await self._ask(kind, message, seconds)
            if isinstance(answer, Answer) and answer.status == Status.OK:
                return answer.body
            if answer is not None and answer.status not in _DAMAGED:
                body = answer.body if isinstance(answer, Answer) else b""
                raise LinkRefusedError(kind.name, answer.status, body)
        msg = f"no answer to {kind.name} after {_ATTEMPTS} attempts of {seconds!r} s: look at the board and its network"
        raise LinkLostError(msg)

    async def tell(self, kind: Message, message: bytes) -> None:
        """Send a message that has no answer, once the board has taken what was sent before.

        Raises:
            LinkLostError: the connection ended.
        """
        await self._can_write.wait()
        if not self.is_open:
            raise _ended()
        self._session.tell(kind, message)
        self.flush()

    async def status(self) -> BoardState:
        """The state of the board now."""
        return BoardState.decode(await self.request(Message.STATUS))

    async def set_time(self, time_ms: int) -> None:
        """Set the board's clock."""
        await self.request(Message.TIME, messages.encode_time(time_ms))

    async def install(self) -> None:
        """Have the board verify what was transferred and start it in test; the board then connects anew."""
        await self.request(Message.INSTALL, seconds=3 * ANSWER_SECONDS)

    async def confirm(self, version: int) -> None:
        """Keep the version that is in test."""
        await self.request(Message.CONFIRM, messages.encode_u32(version))

    async def revert(self, version: int) -> None:
        """Go back from the version that is in test; the board then connects anew."""
        await self.request(Message.REVERT, messages.encode_u32(version))

    async def shadow(self, version: int) -> Shadow:
        """Have what was transferred, an image of this version, forecast beside the running one; 0 asks only.

        Returns:
            The challenger that the board carries then.

        Raises:
            LinkLostError, LinkRefusedError: as `request`; firmware that knows no challengers refuses with SESSION_TYPE.
        """
        body = await self.request(Message.SHADOW, messages.encode_u32(version), seconds=3 * ANSWER_SECONDS)
        return Shadow.decode(body)

    async def log(self) -> str:
        """The whole lines of its log that the board still keeps; of one without an end, the first `LOG_BYTES_MAX`."""
        text, position = b"", 0
        while len(text) < LOG_BYTES_MAX:
            body = await self.request(Message.LOG, messages.encode_u32(position))
            first, part = messages.decode_u32(body, "log"), body[4:]
            if not part:
                break
            # The oldest byte that is kept lies somewhere in a line: what is left of it says nothing.
            whole = part.find(b"\n") + 1 if first > position else 0
            text, position = text + part[whole:], first + len(part)
        return text.decode(errors="replace")

    def flush(self) -> None:
        """Send what the session has written."""
        data = self._session.output()
        if not data or self._transport is None or self._transport.is_closing():
            return
        self._given += len(data)
        if self._keeping is not None:
            self._keeping.counters.sent_bytes += len(data)
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > SEND_BYTES_MAX:
            _log.warning("a board leaves more than %d bytes untaken: its link is dropped", SEND_BYTES_MAX)
            self.abort()

    async def _ask(self, kind: Message, message: bytes, seconds: float) -> Answer | Refusal | None:
        await self._can_write.wait()
        if not self.is_open:
            raise _ended()
        sequence = self._session.request(kind, message)
        answer: asyncio.Future[Answer | Refusal] = self._loop.create_future()
        self._waiting[sequence] = answer
        self.flush()
        try:
            # Not `wait_for`, which swallows a cancellation that comes with the answer (Python 3.11).
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(sequence, None)

    def _on_event(self, event: Event) -> None:
        match event:
            case Opened(hello):
                self._cancel("handshake")
                self._keeping = self._keeping_of(hello.board)
                self._keeping.counters.connections += 1
                self._changed(self)
            case Arrived() | Forecast():
                if self._keeping is not None:
                    self._keeping.add(self, event)
            case Answer() | Refusal():
                self._on_answer(event)
            case Closed():
                _log.warning("board refused: %s", event.reason)
                self.flush()
                if self._transport is not None:
                    self._transport.close()

    def _on_answer(self, answer: Answer | Refusal) -> None:
        # A frame that the board could not read may have been any of those that wait.
        about = list(self._waiting) if answer.request == messages.NO_SEQUENCE else [answer.request]
        for sequence in about:
            future = self._waiting.get(sequence)
            if future is not None and not future.done():
                future.set_result(answer)

    def _hold_back(self, keeping: Keeping, frames: int) -> None:
        """Stop reading while too much waits to be kept, or until the frames sent are within the pace again."""
        if keeping.is_full():
            keeping.tell_when_free(self)
            self._pause("keeping")
        now = self._loop.time()
        self._budget = min(self._pace, self._budget + (now - self._budget_at) * self._pace) - frames
        self._budget_at = now
        if self._budget < 0:
            self._pause("pace")
            self._after(-self._budget / self._pace, "pace", lambda: self.resume("pace"))

    def _pause(self, reason: str) -> None:
        if not self._held_back and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._held_back.add(reason)

    def _bytes_taken(self) -> int:
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._given - waiting

    def _check_progress(self) -> None:
        if self._bytes_taken() == self._taken:
            _log.warning("a board took nothing for %s s: its link is dropped", SEND_SECONDS)
            self.abort()
        else:
            self.pause_writing()

    def _after(self, seconds: float, name: str, call: Callable[[], Any]) -> None:
        self._cancel(name)
        self._timers[name] = self._loop.call_later(seconds, call)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


def _ended() -> LinkLostError:
    return LinkLostError("the connection to the board has ended: wait until it connects again")
