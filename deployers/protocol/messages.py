"""Messages between hub and board (SPEC.md, chapter "Session"; firmware/core/session is the board's side in C).

All numbers are little-endian. Times are milliseconds since 1970-01-01, readings micro-degrees Celsius.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Any, Self

from deployers.protocol.status import Status

PROTOCOL = 1
KEY_BYTES = 32
NONCE_BYTES = 16
PROOF_BYTES = 32
TAG_BYTES = 8
ID_BYTES = 16
CHUNK_MAX = 1024
READINGS_MAX = 64
HORIZON_MAX = 32
NO_SEQUENCE = 0xFFFFFFFF

_STATE = struct.Struct("<4BIIi8Iq")
_HELLO = struct.Struct(f"<HHI{ID_BYTES}s{NONCE_BYTES}s")
_READINGS = struct.Struct("<IIH")
_READING = struct.Struct("<qi")
_FORECAST = struct.Struct("<IIqBBH")
_ANSWER = struct.Struct("<Ii")
_SHADOW = struct.Struct("<Ii")
_TIME = struct.Struct("<q")
_U32 = struct.Struct("<I")


class Message(enum.IntEnum):
    """The type of a frame."""

    HELLO = 0x01
    CHALLENGE = 0x02
    PROOF = 0x03
    WELCOME = 0x04
    STATUS = 0x20
    TIME = 0x21
    TRANSFER_BEGIN = 0x22
    TRANSFER_CHUNK = 0x23
    INSTALL = 0x24
    CONFIRM = 0x25
    REVERT = 0x26
    LOG = 0x27
    ACKNOWLEDGE = 0x28
    TRANSFER_MORE = 0x29
    SHADOW = 0x2A
    ANSWER = 0x40
    READINGS = 0x41
    FORECAST = 0x42
    REFUSED = 0x7F


class SlotState(enum.IntEnum):
    """What a model on a board is; the one that runs is never SHADOW, which forecasts beside it."""

    NONE = 0
    TEST = 1
    CONFIRMED = 2
    SHADOW = 3


RUNNING = (SlotState.NONE, SlotState.TEST, SlotState.CONFIRMED)


class Label(enum.IntEnum):
    """The first byte of what a proof or a key is computed over: no proof can be used as another."""

    HUB = 1
    BOARD = 2
    SESSION = 3


class MessageError(Exception):
    """A message that is not what its type says."""

    def __init__(self, message: str, status: Status = Status.SESSION_FIELD) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class BoardState:
    """What a board says of itself; the fields are described in firmware/core/session/session.h."""

    slot_state: SlotState
    slot: int
    clock_set: bool
    forecast_made: bool
    model_version: int
    lowest_version: int
    model_status: int
    ring_acknowledged: int
    ring_next: int
    ring_dropped: int
    ring_capacity: int
    transfer_offset: int
    forecasts: int
    forecasts_dropped: int
    log_next: int
    time_ms: int

    def encode(self) -> bytes:
        """56 bytes."""
        return _STATE.pack(*(getattr(self, name) for name in self.__slots__))

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """The state in exactly 56 bytes.

        Raises:
            MessageError: another length, or a slot state that does not exist.
        """
        state, slot, clock_set, made, *rest = _unpack(_STATE, message, "state of the board")
        if state not in set(RUNNING):
            msg = f"slot state {state!r}: expected one of {[int(known) for known in RUNNING]}, update the hub"
            raise MessageError(msg)
        return cls(SlotState(state), slot, bool(clock_set), bool(made), *rest)


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a board."""

    firmware_version: tuple[int, int, int]
    board: str
    nonce: bytes
    state: BoardState
    payload_max: int
    protocol: int = PROTOCOL

    def encode(self) -> bytes:
        """96 bytes."""
        major, minor, patch = self.firmware_version
        version = major << 16 | minor << 8 | patch
        head = _HELLO.pack(self.protocol, self.payload_max, version, self.board.encode(), self.nonce)
        return head + self.state.encode()

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """A hello of this protocol version.

        Raises:
            MessageError: another length, protocol version, or an id that is not text.
        """
        head = message[: _HELLO.size]
        protocol, payload_max, version, board, nonce = _unpack(_HELLO, head, "hello")
        if protocol != PROTOCOL:
            msg = f"board speaks protocol {protocol!r}, this hub {PROTOCOL}: update the older of the two"
            raise MessageError(msg, Status.SESSION_PROTOCOL)
        try:
            name = board.rstrip(b"\0").decode()
        except UnicodeDecodeError:
            msg = f"board id {board!r} is not UTF-8: provision the board with a readable id"
            raise MessageError(msg) from None
        state = BoardState.decode(message[_HELLO.size :])
        return cls((version >> 16, version >> 8 & 255, version & 255), name, nonce, state, payload_max)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading as the board keeps it."""

    time_ms: int
    microcelsius: int

    @property
    def celsius(self) -> float:
        """The temperature in °C."""
        return self.microcelsius / 1e6


@dataclass(frozen=True, slots=True)
class Readings:
    """Consecutive readings.

    Attributes:
        oldest: every reading with a lower number is acknowledged, or was overwritten and counted as dropped.
        first: the number of the first reading here.
        readings: at most `READINGS_MAX`.
    """

    oldest: int
    first: int
    readings: tuple[Reading, ...]

    def encode(self) -> bytes:
        """10 bytes and 12 for each reading."""
        head = _READINGS.pack(self.oldest, self.first, len(self.readings))
        return head + b"".join(_READING.pack(item.time_ms, item.microcelsius) for item in self.readings)

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """The readings of one message.

        Raises:
            MessageError: the count does not match the length, or a number is beyond 32 bits.
        """
        oldest, first, count = _unpack(_READINGS, message[: _READINGS.size], "readings")
        body = message[_READINGS.size :]
        if not 0 < count <= READINGS_MAX or len(body) != count * _READING.size:
            msg = f"{count!r} readings in {len(body)} bytes: expected 1 to {READINGS_MAX} of {_READING.size} bytes each"
            raise MessageError(msg)
        if first + count > NO_SEQUENCE:
            msg = f"{count!r} readings from number {first!r} on: expected numbers below {NO_SEQUENCE}"
            raise MessageError(msg)
        return cls(oldest, first, tuple(Reading(*fields) for fields in _READING.iter_unpack(body)))


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast that a board made at one reading.

    Attributes:
        reading: the number of that reading; its time is `time_ms`.
        model_version: the image that made it, in the state `slot_state`.
        celsius: float32 values in °C, one a step of the horizon.
    """

    reading: int
    model_version: int
    time_ms: int
    slot_state: SlotState
    celsius: tuple[float, ...]

    def encode(self) -> bytes:
        """20 bytes and 4 for each value."""
        fields = (self.reading, self.model_version, self.time_ms, self.slot_state, 0, len(self.celsius))
        return _FORECAST.pack(*fields) + struct.pack(f"<{len(self.celsius)}f", *self.celsius)

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """The forecast of one message.

        Raises:
            MessageError: the horizon does not match the length, or a slot state that does not exist.
        """
        head, body = message[: _FORECAST.size], message[_FORECAST.size :]
        reading, version, time_ms, state, zero, values = _unpack(_FORECAST, head, "forecast")
        if not 0 < values <= HORIZON_MAX or len(body) != 4 * values or state not in set(SlotState) or zero:
            msg = f"forecast of {values!r} values in {len(body)} bytes, slot state {state!r}: not a forecast"
            raise MessageError(msg)
        return cls(reading, version, time_ms, SlotState(state), struct.unpack(f"<{values}f", body))


@dataclass(frozen=True, slots=True)
class Shadow:
    """The challenger that a board carries in its second slot.

    Attributes:
        version: of its image; 0 without one.
        status: a number of `Status`: why it makes no forecasts, or 0.
    """

    version: int
    status: int

    def encode(self) -> bytes:
        """8 bytes."""
        return _SHADOW.pack(self.version, self.status)

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """The body of the answer to `Message.SHADOW`.

        Raises:
            MessageError: another length than 8 bytes.
        """
        return cls(*_unpack(_SHADOW, message, "challenger of the board"))


@dataclass(frozen=True, slots=True)
class Answer:
    """A board's answer to one request, or either side's refusal of one frame (then without body).

    Attributes:
        request: the sequence of the frame it is about; `NO_SEQUENCE` if that frame could not be read.
        status: a number of `Status`; kept as a number, for a newer board may know more of them.
    """

    request: int
    status: int
    body: bytes = b""

    def encode(self) -> bytes:
        """8 bytes and the body."""
        return _ANSWER.pack(self.request, self.status) + self.body

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """The answer of one message.

        Raises:
            MessageError: fewer than 8 bytes.
        """
        request, status = _unpack(_ANSWER, message[: _ANSWER.size], "answer")
        return cls(request, status, message[_ANSWER.size :])


def encode_time(time_ms: int) -> bytes:
    """The message of `Message.WELCOME` and `Message.TIME`."""
    return _TIME.pack(time_ms)


def encode_u32(value: int) -> bytes:
    """The message of `Message.ACKNOWLEDGE`, `CONFIRM`, `REVERT`, `SHADOW` and `LOG`."""
    return _U32.pack(value)


def decode_u32(message: bytes, what: str) -> int:
    """The number at the start of an answer's body.

    Raises:
        MessageError: fewer than 4 bytes.
    """
    return int(_unpack(_U32, message[: _U32.size], what)[0])


def encode_transfer_begin(image: bytes) -> bytes:
    """The length and the SHA-256 of an image, by which a board knows a transfer that was cut."""
    return _U32.pack(len(image)) + hashlib.sha256(image).digest()


def prove(key: bytes, label: Label, hub_nonce: bytes, hello: bytes) -> bytes:
    """32 bytes that only who holds the key can compute, over both nonces and all that hello says."""
    return hmac.digest(key, bytes([label]) + hub_nonce + hello, "sha256")


def tag(session_key: bytes, direction: bytes, header: bytes, message: bytes) -> bytes:
    """The tag of a frame; direction is `b"H"` from hub to board and `b"B"` from board to hub."""
    return hmac.digest(session_key, direction + header + message, "sha256")[:TAG_BYTES]


def _unpack(form: struct.Struct, message: bytes, what: str) -> tuple[Any, ...]:
    if len(message) != form.size:
        msg = f"{what} of {len(message)!r} bytes: expected {form.size}, the sender speaks another protocol"
        raise MessageError(msg)
    return form.unpack(message)
