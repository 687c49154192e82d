"""The hub's side of one session with a board, without the transport: bytes in, events and bytes out.

`deployers.link` puts it on sockets; tests cut and damage its bytes one by one.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployers.protocol import messages
from deployers.protocol.frame import TAGGED, Frame, FrameReader
from deployers.protocol.messages import Answer, Forecast, Hello, Label, Message, MessageError, Reading, Readings
from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

# Frames refused one after the other, with no sound one between them: what sends so many is not a board on a bad line.
REFUSED_IN_A_ROW = 64


@dataclass(frozen=True, slots=True)
class Opened:
    """Both sides have proven that they hold the key."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Arrived:
    """Readings not seen on this connection before, numbered from `first` on; acknowledge them once they are kept."""

    first: int
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The board refused a frame: the one of this sequence, or one that it could not read (`NO_SEQUENCE`)."""

    request: int
    status: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The session cannot go on: drop the connection."""

    status: Status
    reason: str


Event = Opened | Arrived | Forecast | Answer | Refusal | Closed


class HubSession:
    """One connection.

    Args:
        key_of: the 32-byte key of a board by its id, or None if no such board is known.
        nonce: 16 bytes never used before.
        clock: the time that the board is given, in ms since 1970-01-01.
    """

    def __init__(self, key_of: Callable[[str], bytes | None], nonce: bytes, clock: Callable[[], int]) -> None:
        self.hello: Hello | None = None
        self.is_open = False
        self.expected = 0
        self._key_of, self._nonce, self._clock = key_of, nonce, clock
        self._reader = FrameReader()
        self._output = bytearray()
        self._send_sequence = 0
        self._receive_sequence = 0
        self._refused = 0
        self._session_key = b""
        self._key = b""
        self._hello_bytes = b""
        self._handlers: dict[Message, Callable[[bytes], list[Event]]] = {
            Message.READINGS: self._on_readings,
            Message.FORECAST: lambda message: [Forecast.decode(message)],
            Message.ANSWER: lambda message: [Answer.decode(message)],
            Message.REFUSED: self._on_refused,
        }

    def receive(self, data: bytes) -> list[Event]:
        """What these bytes from the board bring about; nothing once too many in a row were refused."""
        events: list[Event] = []
        found = self._reader.read(data)
        while self._refused <= REFUSED_IN_A_ROW and (item := next(found, None)) is not None:
            events += self._on_damage(item) if isinstance(item, Status) else self._on_frame(item)
            if self._refused > REFUSED_IN_A_ROW:
                events.append(Closed(Status.SESSION_FIELD, f"{self._refused} frames in a row made no sense"))
        return events

    def output(self) -> bytes:
        """What is to be sent; each byte is given once."""
        data = bytes(self._output)
        self._output.clear()
        return data

    def request(self, kind: Message, message: bytes = b"") -> int:
        """Write a request; its answer carries the sequence returned here."""
        sequence = self._send_sequence
        self._send(kind, message)
        return sequence

    def tell(self, kind: Message, message: bytes) -> None:
        """Write a message that has no answer."""
        self._send(kind, message)

    def acknowledge(self, through: int) -> None:
        """Tell the board that all readings with a lower number are kept."""
        self._send(Message.ACKNOWLEDGE, messages.encode_u32(through))

    def _send(self, kind: Message, message: bytes) -> None:
        if self._session_key:
            length = bytes(messages.TAG_BYTES)
            header = Frame(kind, self._send_sequence, message + length, TAGGED).header
            payload = message + messages.tag(self._session_key, b"H", header, message)
            frame = Frame(kind, self._send_sequence, payload, TAGGED)
        else:
            frame = Frame(kind, self._send_sequence, message)
        self._output += frame.encode()
        self._send_sequence += 1

    def _on_damage(self, status: Status) -> list[Event]:
        self._refuse(messages.NO_SEQUENCE, status)
        return []

    def _refuse(self, request: int, status: Status) -> None:
        self._refused += 1
        self._send(Message.REFUSED, Answer(request, status).encode())

    def _on_frame(self, frame: Frame) -> list[Event]:
        try:
            message = self._authenticate(frame)
            self._receive_sequence = frame.sequence + 1
            events = self._on_message(frame.type, message)
        except MessageError as error:
            # A refusal is never answered by another, or two sides that do not understand each other never are quiet.
            if frame.type == Message.REFUSED:
                self._refused += 1
            else:
                self._refuse(frame.sequence, error.status)
            fatal = not self.is_open and error.status is not Status.SESSION_TYPE
            return [Closed(error.status, str(error))] if fatal else []
        self._refused = 0
        return events

    def _authenticate(self, frame: Frame) -> bytes:
        if frame.sequence < self._receive_sequence or frame.sequence == messages.NO_SEQUENCE:
            msg = f"frame {frame.sequence!r} after {self._receive_sequence - 1}: a repeat, or beyond the last number"
            raise MessageError(msg, Status.SESSION_REPLAY)
        if not self.is_open:
            return frame.payload
        message, tag = frame.payload[: -messages.TAG_BYTES], frame.payload[-messages.TAG_BYTES :]
        due = messages.tag(self._session_key, b"B", frame.header, message)
        if frame.flags != TAGGED or not hmac.compare_digest(tag, due):
            msg = f"frame {frame.sequence!r} carries no valid tag"
            raise MessageError(msg, Status.SESSION_TAG)
        return message

    def _on_message(self, kind: int, message: bytes) -> list[Event]:
        if not self.is_open:
            return self._on_handshake(kind, message)
        if kind not in self._handlers:
            msg = f"message type {kind!r} is none that a board sends in an open session"
            raise MessageError(msg, Status.SESSION_TYPE)
        return self._handlers[Message(kind)](message)

    def _on_handshake(self, kind: int, message: bytes) -> list[Event]:
        if kind == Message.HELLO and self.hello is None:
            return self._on_hello(message)
        if kind == Message.PROOF and self.hello is not None:
            return self._on_proof(message, self.hello)
        if kind == Message.REFUSED:
            refusal = Answer.decode(message)
            return [Closed(Status.SESSION_PROOF, f"the board refused the hub with status {refusal.status}")]
        msg = f"message type {kind!r} before the session is open"
        raise MessageError(msg, Status.SESSION_TYPE)

    def _on_hello(self, message: bytes) -> list[Event]:
        hello = Hello.decode(message)
        key = self._key_of(hello.board)
        if key is None:
            msg = f"board {hello.board!r} is not known: provision its key on the hub"
            raise MessageError(msg, Status.SESSION_PROOF)
        self.hello, self._key, self._hello_bytes = hello, key, message
        self.expected = hello.state.ring_acknowledged
        self._send(Message.CHALLENGE, self._nonce + messages.prove(key, Label.HUB, self._nonce, message))
        return []

    def _on_proof(self, message: bytes, hello: Hello) -> list[Event]:
        due = messages.prove(self._key, Label.BOARD, self._nonce, self._hello_bytes)
        if not hmac.compare_digest(message, due):
            msg = f"board {hello.board!r} does not hold its key: provision it again"
            raise MessageError(msg, Status.SESSION_PROOF)
        self._session_key = messages.prove(self._key, Label.SESSION, self._nonce, self._hello_bytes)
        self.is_open = True
        self._send(Message.WELCOME, messages.encode_time(self._clock()))
        return [Opened(hello)]

    def _on_readings(self, message: bytes) -> list[Event]:
        found = Readings.decode(message)
        self.expected = max(self.expected, found.oldest)
        if found.first > self.expected:
            # A frame before this one was damaged and refused: the board sends both again.
            return []
        fresh = found.readings[self.expected - found.first :]
        first = self.expected
        self.expected += len(fresh)
        if not fresh:
            # Its acknowledgement was lost.
            self.acknowledge(self.expected)
            return []
        return [Arrived(first, fresh)]

    def _on_refused(self, message: bytes) -> list[Event]:
        refusal = Answer.decode(message)
        return [Refusal(refusal.request, refusal.status)]
