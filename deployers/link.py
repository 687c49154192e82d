"""The hub's end of the boards' links: boards connect, prove who they are, send readings and take requests.

    class Store:                          # keeps what boards send; called from the link's thread
        def keep_readings(self, board, first, readings): ...
        def keep_forecast(self, board, forecast): ...

    with BoardListener({"board-1": key}.get, Store()) as listener:
        link = listener.wait_for("board-1", seconds=10)
        link.transfer(image)
        link.install()

Its errors stand in the tree of `deployers.exceptions`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Protocol, Self

from deployers.exceptions import DeployerError, GateFailed, ServiceUnavailable
from deployers.protocol import messages
from deployers.protocol.messages import Answer, BoardState, Forecast, Hello, Message, Reading
from deployers.protocol.session import Arrived, Closed, Event, HubSession, Opened, Refusal
from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
# A board that takes nothing for so long is gone, whatever its connection says.
SEND_SECONDS = 10.0
# Connections on which no board has proven itself yet; beyond it the oldest is dropped, so that strangers who connect
# and say nothing keep no board out.
STRANGERS_MAX = 64
_PAUSE_SECONDS = 0.1
_ATTEMPTS = 3
_RECEIVE_BYTES = 4096
# The frame did not arrive as it was sent: the same request again is right. Anything else would be refused again.
_DAMAGED = {Status.WIRE_MAGIC, Status.WIRE_HEADER, Status.WIRE_LENGTH, Status.WIRE_CRC}


class LinkError(DeployerError):
    """The link to a board."""


class LinkLostError(LinkError, ServiceUnavailable):
    """The connection went, or the board did not answer in time."""


class LinkRefusedError(LinkError, GateFailed):
    """The board answered with a status other than OK."""

    def __init__(self, what: str, status: int, body: bytes = b"") -> None:
        name = Status(status).name if status in set(Status) else "unknown to this hub"
        super().__init__(f"the board refused {what} with status {status} ({name})")
        self.status = status
        self.body = body


class Sink(Protocol):
    """Where readings and forecasts go.

    After a lost connection the same may come again: a reading is known by its board and time, a forecast by the
    reading it was made at.
    """

    def keep_readings(self, board: str, first: int, readings: tuple[Reading, ...]) -> None:
        """Keep readings numbered from `first` on; they are acknowledged to the board when this returns."""
        ...

    def keep_forecast(self, board: str, forecast: Forecast) -> None:
        """Keep a forecast; it comes before its reading is acknowledged."""
        ...


class BoardLink:
    """One connection of one board; made by `BoardListener`.

    Args:
        connection: the connected socket; closed by the link.
        session: the hub's side of the session on it.
        sink: where readings and forecasts go.
    """

    def __init__(self, connection: socket.socket, session: HubSession, sink: Sink) -> None:
        self._connection, self._session, self._sink = connection, session, sink
        self._changed = threading.Condition()
        self._answers: dict[int, Answer | Refusal] = {}
        self._waiting: set[int] = set()
        self._closed = False
        # On receiving, a timeout only means that the board has nothing to say.
        self._connection.settimeout(SEND_SECONDS)

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
        return self._session.is_open and not self._closed

    def serve(self, opened: Callable[[BoardLink], None]) -> None:
        """Receive until the connection ends; `opened` is called once, when the board has proven itself."""
        end = time.monotonic() + HANDSHAKE_SECONDS
        try:
            while data := self._receive(end):
                with self._changed:
                    events = self._session.receive(data)
                    self._flush()
                for event in events:
                    self._on_event(event, opened)
        except OSError as error:
            _log.info("link lost: %s", error)
        finally:
            self.close()

    def _receive(self, end: float) -> bytes:
        """The next bytes; none once the connection has ended, or after `end` if the session is not open by then."""
        while self._session.is_open or time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                return self._connection.recv(_RECEIVE_BYTES)
        return b""

    def close(self) -> None:
        """Drop the connection; requests that wait end with `LinkLostError`."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def request(self, kind: Message, message: bytes = b"", seconds: float = ANSWER_SECONDS) -> bytes:
        """Send a request and wait for its answer; one that was damaged on the way is sent again.

        Returns:
            The body of the answer.

        Raises:
            LinkLostError: no answer in `seconds`, three times, or the connection ended.
            LinkRefusedError: the board refused.
        """
        for _ in range(_ATTEMPTS):
            answer = self._ask(kind, message, seconds)
            if isinstance(answer, Answer) and answer.status == Status.OK:
                return answer.body
            if answer is not None and answer.status not in _DAMAGED:
                body = answer.body if isinstance(answer, Answer) else b""
                raise LinkRefusedError(kind.name, answer.status, body)
        msg = f"no answer to {kind.name} after {_ATTEMPTS} attempts of {seconds!r} s: look at the board and its network"
        raise LinkLostError(msg)

    def status(self) -> BoardState:
        """The state of the board now."""
        return BoardState.decode(self.request(Message.STATUS))

    def set_time(self, time_ms: int) -> None:
        """Set the board's clock."""
        self.request(Message.TIME, messages.encode_time(time_ms))

    def transfer(self, image: bytes) -> int:
        """Bring an image into the board's other slot, from where an earlier transfer of the same image was cut.

        Returns:
            The offset at which this transfer began.
        """
        begun = self.request(Message.TRANSFER_BEGIN, messages.encode_transfer_begin(image))
        resume = messages.decode_u32(begun, "offset")
        offset, refusals = resume, 0
        while offset < len(image):
            chunk = image[offset : offset + messages.CHUNK_MAX]
            try:
                body = self.request(Message.TRANSFER_CHUNK, messages.encode_u32(offset) + chunk)
            except LinkRefusedError as refusal:
                # The answer names the offset that is due; after a power cut it may lie before the one asked for.
                refusals += 1
                if refusals > _ATTEMPTS or refusal.status != Status.SLOT_OFFSET:
                    raise
                body = refusal.body
            offset = messages.decode_u32(body, "offset")
        return resume

    def install(self) -> None:
        """Have the board verify what was transferred and start it in test; the board then connects anew."""
        self.request(Message.INSTALL, seconds=3 * ANSWER_SECONDS)

    def confirm(self, version: int) -> None:
        """Keep the version that is in test."""
        self.request(Message.CONFIRM, messages.encode_u32(version))

    def revert(self, version: int) -> None:
        """Go back from the version that is in test; the board then connects anew."""
        self.request(Message.REVERT, messages.encode_u32(version))

    def log(self) -> str:
        """All lines of the log that the board still keeps."""
        text, position = b"", 0
        while True:
            body = self.request(Message.LOG, messages.encode_u32(position))
            first, part = messages.decode_u32(body, "log"), body[4:]
            if not part:
                return text.decode(errors="replace")
            text, position = text + part, first + len(part)

    def _ask(self, kind: Message, message: bytes, seconds: float) -> Answer | Refusal | None:
        end = time.monotonic() + seconds
        with self._changed:
            self._check_open()
            sequence = self._session.request(kind, message)
            self._waiting.add(sequence)
            self._flush()
            while sequence not in self._answers and not self._closed and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            self._waiting.discard(sequence)
            answer = self._answers.pop(sequence, None)
            if answer is None:
                self._check_open()
            return answer

    def _check_open(self) -> None:
        if not self.is_open:
            msg = "the connection to the board has ended: wait until it connects again"
            raise LinkLostError(msg)

    def _flush(self) -> None:
        data = self._session.output()
        if data:
            try:
                self._connection.sendall(data)
            except OSError as error:
                _log.info("nothing can be sent: %s", error)
                with contextlib.suppress(OSError):  # the receiving thread sees the end of the connection
                    self._connection.shutdown(socket.SHUT_RDWR)

    def _on_event(self, event: Event, opened: Callable[[BoardLink], None]) -> None:
        match event:
            case Opened():
                opened(self)
            case Arrived(first, readings):
                self._sink.keep_readings(self.hello.board, first, readings)
                with self._changed:
                    self._session.acknowledge(first + len(readings))
                    self._flush()
            case Forecast():
                self._sink.keep_forecast(self.hello.board, event)
            case Answer() | Refusal():
                self._on_answer(event)
            case Closed():
                _log.warning("board refused: %s", event.reason)
                self.close()

    def _on_answer(self, answer: Answer | Refusal) -> None:
        with self._changed:
            # A frame that the board could not read may have been any of those that wait.
            about = set(self._waiting) if answer.request == messages.NO_SEQUENCE else {answer.request} & self._waiting
            self._answers.update(dict.fromkeys(about, answer))
            self._changed.notify_all()


class BoardListener:
    """Accepts boards; each gets a thread. A board that connects again takes the place of its old link.

    Args:
        key_of: the 32-byte key of a board by its id, or None if no such board is known.
        sink: where readings and forecasts go.
        host: the address to listen on.
        port: the port; 0 takes a free one.
        clock: the time that boards are given, in ms since 1970-01-01.
    """

    def __init__(
        self,
        key_of: Callable[[str], bytes | None],
        sink: Sink,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._key_of, self._sink, self._clock = key_of, sink, clock
        self._links: dict[str, BoardLink] = {}
        self._serving: dict[BoardLink, None] = {}  # in the order in which they connected
        self._is_closing = False
        self._changed = threading.Condition()
        self._socket = socket.create_server((host, port))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="board listener", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and drop every link."""
        self._is_closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        with self._changed:
            links = list(self._serving)
        for link in links:
            link.close()

    def link(self, board: str) -> BoardLink | None:
        """The open link of a board, if it has one."""
        with self._changed:
            link = self._links.get(board)
            return link if link is not None and link.is_open else None

    def wait_for(self, board: str, seconds: float, other_than: BoardLink | None = None) -> BoardLink:
        """The open link of a board; `other_than` is one that is about to end.

        Raises:
            LinkLostError: the board did not connect in time.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while (link := self._links.get(board)) is None or link is other_than or not link.is_open:
                left = end - time.monotonic()
                if left <= 0:
                    msg = f"board {board!r} did not connect within {seconds!r} s: look at its log and its network"
                    raise LinkLostError(msg)
                self._changed.wait(min(left, 0.1))
            return link

    def _accept(self) -> None:
        while not self._is_closing:
            try:
                connection, _ = self._socket.accept()
                self._take(connection)
            except (OSError, RuntimeError) as error:  # a peer that is gone already; no more files or threads
                if not self._is_closing:
                    _log.warning("a connection was not taken: %s", error)
                    time.sleep(_PAUSE_SECONDS)

    def _take(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = HubSession(self._key_of, os.urandom(messages.NONCE_BYTES), self._clock)
            link = BoardLink(connection, session, self._sink)
            threading.Thread(target=self._serve, args=(link,), name="board link", daemon=True).start()
            stack.pop_all()

    def _serve(self, link: BoardLink) -> None:
        with self._changed:
            self._serving[link] = None
            strangers = [one for one in self._serving if not one.is_open]
        for stranger in strangers[:-STRANGERS_MAX]:
            stranger.close()
        try:
            link.serve(self._on_opened)
        finally:
            with self._changed:
                self._serving.pop(link, None)

    def _on_opened(self, link: BoardLink) -> None:
        board = link.hello.board
        with self._changed:
            old = self._links.get(board)
        if old is not None:
            old.close()
        with self._changed:
            self._links[board] = link
            self._changed.notify_all()
