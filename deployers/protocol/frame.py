"""Frames: what both sides of a board's link send (SPEC.md, chapter "Frames"; firmware/core/wire is the same in C).

A damaged frame is refused by name, and the next one is found again.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"EL"
HEADER = struct.Struct("<2sBBIHH")
CRC = struct.Struct("<I")
PAYLOAD_MAX = 1040
TAGGED = 1
_CHECKED_BYTES = HEADER.size - 2


class FrameError(Exception):
    """A frame that cannot be written."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        type: what the payload is; see `messages.Message`.
        sequence: counts the frames of one sender on one connection, from 0.
        payload: at most `PAYLOAD_MAX` bytes, with the tag if there is one.
        flags: `TAGGED` if the payload ends with an authentication tag.
    """

    type: int
    sequence: int
    payload: bytes = b""
    flags: int = 0

    @property
    def header(self) -> bytes:
        """The first 12 bytes, which the tag covers too."""
        fields = (MAGIC, self.type, self.flags, self.sequence, len(self.payload))
        return HEADER.pack(*fields, zlib.crc32(HEADER.pack(*fields, 0)[:_CHECKED_BYTES]) & 0xFFFF)

    def encode(self) -> bytes:
        """All bytes of the frame.

        Raises:
            FrameError: the payload is too long.
        """
        if len(self.payload) > PAYLOAD_MAX:
            msg = f"payload of {len(self.payload)!r} bytes: a frame takes at most {PAYLOAD_MAX}, send it in chunks"
            raise FrameError(msg)
        covered = self.header + self.payload
        return covered + CRC.pack(zlib.crc32(covered))


class FrameReader:
    """Finds frames in a stream of bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def read(self, data: bytes) -> Iterator[Frame | Status]:
        """Each frame that is complete with these bytes, and the reason for each run of bytes that was skipped."""
        self._buffer += data
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> Frame | Status | None:
        junk = self._bytes_before_magic(0)
        if junk:
            return self._skip(junk, Status.WIRE_MAGIC)
        if len(self._buffer) < HEADER.size:
            return None
        reason = self._check_header()
        if reason is not Status.OK:
            return self._skip(self._bytes_before_magic(1), reason)
        return self._whole_frame()

    def _check_header(self) -> Status:
        *_, length, check = HEADER.unpack_from(self._buffer)
        if check != zlib.crc32(self._buffer[:_CHECKED_BYTES]) & 0xFFFF:
            return Status.WIRE_HEADER
        return Status.WIRE_LENGTH if length > PAYLOAD_MAX else Status.OK

    def _whole_frame(self) -> Frame | Status | None:
        _, kind, flags, sequence, length, _ = HEADER.unpack_from(self._buffer)
        covered = HEADER.size + length
        if len(self._buffer) < covered + CRC.size:
            return None
        sound = CRC.unpack_from(self._buffer, covered)[0] == zlib.crc32(self._buffer[:covered])
        payload = bytes(self._buffer[HEADER.size : covered])
        # The header is sound, so its length is believed and nothing inside this payload is taken for a frame.
        del self._buffer[: covered + CRC.size]
        return Frame(kind, sequence, payload, flags) if sound else Status.WIRE_CRC

    def _bytes_before_magic(self, start: int) -> int:
        at = self._buffer.find(MAGIC, start)
        if at >= 0:
            return at
        end = len(self._buffer)
        return end - 1 if end > start and self._buffer[-1] == MAGIC[0] else end

    def _skip(self, count: int, reason: Status) -> Status:
        del self._buffer[:count]
        return reason
