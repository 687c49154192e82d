"""TLVs: the fields of a model image (SPEC.md, chapter "Model image"; firmware/core/image is the same in C)."""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING

from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = struct.Struct("<HHI")
ALIGNMENT = 8
OPTIONAL = 0x8000
LONGEST = 0xFFFF_FFFF


class Tlv(enum.IntEnum):
    """Types that this version knows. All below `OPTIONAL` are critical, and in every image."""

    MODEL_SHA256 = 1
    VERSION = 2
    MINIMUM_FIRMWARE = 3
    LIMITS = 4
    MODEL_TYPE = 5
    TENSORS = 6
    PROGRAM = 7
    GOLDEN = 8
    RELEASE = 9
    DESCRIPTION = 0x8001


CRITICAL = tuple(kind for kind in Tlv if not kind & OPTIONAL)
LENGTHS = {
    Tlv.MODEL_SHA256: 32,
    Tlv.VERSION: 4,
    Tlv.MINIMUM_FIRMWARE: 4,
    Tlv.LIMITS: 8,
    Tlv.MODEL_TYPE: 4,
    Tlv.RELEASE: 32,
}


class ImageError(Exception):
    """A model image that cannot be made or is refused.

    Attributes:
        status: the number by which a board refuses it; `Status.OK` for what never reaches a board.
    """

    def __init__(self, message: str, status: Status = Status.OK) -> None:
        super().__init__(message)
        self.status = status


def firmware_text(number: int) -> str:
    """Firmware major << 16 | minor << 8 | patch as people write it: 1.2.3."""
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


def aligned(count: int, alignment: int) -> int:
    """The next multiple of the alignment."""
    return -(-count // alignment) * alignment


def encode_tlvs(fields: Mapping[int, bytes]) -> bytes:
    """The fields in ascending order of their types, each filled with zeros to a multiple of 8 bytes."""
    parts = []
    for kind in sorted(fields):
        value = fields[kind]
        parts.append(HEADER.pack(kind, 0, len(value)) + value.ljust(aligned(len(value), ALIGNMENT), b"\0"))
    return b"".join(parts)


def decode_tlvs(area: bytes) -> dict[int, bytes]:
    """The fields by type; optional ones that are not known are kept.

    Raises:
        ImageError: one does not fit, is out of order, has a wrong length, is critical and unknown, or is missing.
    """
    fields: dict[int, bytes] = {}
    at, last = 0, 0
    while at < len(area):
        kind, zero, length = HEADER.unpack_from(area, at)
        start = at + HEADER.size
        end = start + aligned(length, ALIGNMENT)
        if kind <= last or zero or end > len(area) or any(area[start + length : end]):
            expected = f"expected ascending types within {len(area)} bytes and zeros between"
            msg = f"TLV {kind!r} of {length} bytes at {at}: {expected}, make the image again"
            raise ImageError(msg, Status.IMAGE_TLV)
        fields[kind] = _checked(kind, area[start : start + length])
        at, last = end, kind
    _require_all(fields)
    return fields


def _checked(kind: int, value: bytes) -> bytes:
    if kind & OPTIONAL:
        return value
    if kind not in CRITICAL:
        msg = f"TLV {kind!r} is critical and not known here: use the edgeloop that made the image, or a newer one"
        raise ImageError(msg, Status.IMAGE_TLV_UNKNOWN)
    expected = LENGTHS.get(Tlv(kind))
    if not value or expected not in {None, len(value)}:
        msg = f"TLV {Tlv(kind).name} has {len(value)!r} bytes, expected {expected or 'at least one'}: make it again"
        raise ImageError(msg, Status.IMAGE_TLV)
    return value


def _require_all(fields: Mapping[int, bytes]) -> None:
    missing = [kind.name for kind in CRITICAL if kind not in fields]
    if missing:
        msg = f"image without {', '.join(missing)}: every image has these TLVs, make it again"
        raise ImageError(msg, Status.IMAGE_TLV_MISSING)
