"""Write wire.json: the bytes of frames and of one whole session, which the tests of both languages read.

    python tests/vectors/make_wire.py

The values are written down here once more, field by field, so that neither implementation is its own judge: this file
packs with `struct`, and hashes with hashlib and zlib alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
import zlib
from pathlib import Path

KEY = bytes(range(32))
BOARD_NONCE = bytes([0xB0 + i for i in range(16)])
HUB_NONCE = bytes([0x40 + i for i in range(16)])
TIME_MS = 1_700_000_000_123


def frame(kind: int, sequence: int, payload: bytes, flags: int = 0) -> bytes:
    """Magic, type, flags, sequence, length, check of the header; payload; CRC-32."""
    head = b"EL" + struct.pack("<BBIH", kind, flags, sequence, len(payload))
    covered = head + struct.pack("<H", zlib.crc32(head) & 0xFFFF) + payload
    return covered + struct.pack("<I", zlib.crc32(covered))


def tagged(key: bytes, direction: bytes, kind: int, sequence: int, message: bytes) -> bytes:
    """A frame whose payload ends with the first eight bytes of an HMAC over direction, header and message."""
    header = frame(kind, sequence, message + bytes(8), 1)[:12]
    return frame(kind, sequence, message + mac(key, direction + header + message)[:8], 1)


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.new(key, data, hashlib.sha256).digest()


def main() -> None:
    """All vectors."""
    state = struct.pack("<BBBBIIi8Iq", 2, 1, 0, 0, 7, 6, 0, 0, 0, 0, 100, 0, 5, 0, 321, 0)
    after = struct.pack("<BBBBIIi8Iq", 2, 1, 1, 1, 7, 6, 0, 3, 3, 0, 100, 0, 6, 0, 322, TIME_MS)
    hello = struct.pack("<HHI16s", 1, 1040, 0x010203, b"board-1") + BOARD_NONCE + state
    session = mac(KEY, b"\x03" + HUB_NONCE + hello)
    readings = [(TIME_MS, 21_125_000), (TIME_MS + 600_000, -62_500), (TIME_MS + 1_200_000, 2_147_483_647)]
    vectors = {
        "frame_empty": frame(0x20, 0, b""),
        "frame_text": frame(0x7E, 0xFEDCBA98, b"EL is no frame here"),
        "frame_longest": frame(0x23, 1, bytes(i & 255 for i in range(1040))),
        "state": after,
        "hub_0_challenge": frame(2, 0, HUB_NONCE + mac(KEY, b"\x01" + HUB_NONCE + hello)),
        "hub_1_welcome": tagged(session, b"H", 4, 1, struct.pack("<q", TIME_MS)),
        "hub_2_acknowledge": tagged(session, b"H", 0x28, 2, struct.pack("<I", 3)),
        "hub_3_status": tagged(session, b"H", 0x20, 3, b""),
        "hub_4_confirm": tagged(session, b"H", 0x25, 4, struct.pack("<I", 9)),
        "hub_5_chunk": tagged(session, b"H", 0x23, 5, struct.pack("<I", 2048) + b"image"),
        "board_0_hello": frame(1, 0, hello),
        "board_1_proof": frame(3, 1, mac(KEY, b"\x02" + HUB_NONCE + hello)),
        "board_2_forecast": tagged(
            session, b"B", 0x42, 2, struct.pack("<IIqBBHff", 2, 7, TIME_MS + 1_200_000, 2, 0, 2, 21.5, -0.25)
        ),
        "board_3_readings": tagged(
            session, b"B", 0x41, 3, struct.pack("<IIH", 0, 0, 3) + b"".join(struct.pack("<qi", *r) for r in readings)
        ),
        "board_4_status": tagged(session, b"B", 0x40, 4, struct.pack("<Ii", 3, 0) + after),
        "board_5_confirm": tagged(session, b"B", 0x40, 5, struct.pack("<Ii", 4, -507)),
        "board_6_chunk": tagged(session, b"B", 0x40, 6, struct.pack("<IiI", 5, 0, 2053)),
        "board_7_refused": tagged(session, b"B", 0x7F, 7, struct.pack("<Ii", 0xFFFFFFFF, -403)),
    }
    path = Path(__file__).with_name("wire.json")
    path.write_text(json.dumps({name: data.hex() for name, data in vectors.items()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
