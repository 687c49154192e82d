"""Signed model images for boards in tests, around a cell of the engine's own vectors.

The image is put together here byte by byte, from the chapter "Model image" of SPEC.md, so that the board is not judged
by the code that makes its images.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NN_FLOAT32, NN_INT8 = 0, 1
CADENCE_MS = 600_000
START_MS = 1_699_999_800_000
HORIZON = 6
_VECTORS = Path(__file__).parent / "vectors" / "nn.bin"


@cache
def private_key(seed: int = 1) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(seed, ec.SECP256R1())


def public_point(seed: int = 1) -> bytes:
    public = private_key(seed).public_key()
    return public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def cell(name: str = "gru int8 4x16x6") -> bytes:
    """A .tflite file of the engine's vectors: name (48 bytes), u32 length and three more numbers, then the file."""
    data = _VECTORS.read_bytes()
    at = data.index(name.encode().ljust(48, b"\0"))
    (length,) = struct.unpack_from("<I", data, at + 48)
    return data[at + 64 : at + 64 + length]


def program() -> bytes:
    """Four features: two differences of readings, hour of day as sine and cosine."""
    head = struct.pack("<IHHdIHH", CADENCE_MS // 1000, HORIZON, 4, 0.01, 250_000, 3, 0)
    entries = [(1, 0, 1, 0, 1.0), (1, 0, 2, 0, 1.0), (3, 1, 1, 0, 1.0), (3, 2, 1, 0, 1.0)]
    return head + b"".join(struct.pack("<BBHId", *entry) for entry in entries)


def golden(celsius: float = 20.0) -> bytes:
    """One vector of two readings, wide enough for any cell at a target scale of a hundredth of a degree."""
    times = [START_MS, START_MS + CADENCE_MS]
    readings = b"".join(struct.pack("<qi", time, 20_000_000) for time in times)
    forecasts = b"".join(struct.pack("<q6f", time, *[celsius] * HORIZON) for time in times)
    return struct.pack("<HHHf", 1, 2, 2, 1.0) + readings + forecasts


def image(
    version: int,
    *,
    golden_vectors: bytes | None = None,
    model: bytes | None = None,
    model_type: int = NN_INT8,
    seed: int = 1,
    firmware: int = 0,
    arena_bytes: int = 4096,
) -> bytes:
    model = cell() if model is None else model
    tensors = struct.pack("<BBHIfi", 0, 0, 0, 4, 0.0, 0)
    values = {
        1: hashlib.sha256(model).digest(),
        2: struct.pack("<I", version),
        3: struct.pack("<I", firmware),
        4: struct.pack("<II", arena_bytes, 4096),
        5: struct.pack("<I", model_type),
        6: tensors,
        7: program(),
        8: golden() if golden_vectors is None else golden_vectors,
        9: bytes(32),
    }
    tlvs = b"".join(struct.pack("<HHI", kind, 0, len(value)) + _padded(value, 8) for kind, value in values.items())
    offset = -(-(48 + len(tlvs)) // 16) * 16
    body = _padded(model, 16)
    key_id = hashlib.sha256(public_point(seed)).digest()[:8]
    total = offset + len(body) + 64
    header = b"ELIM" + struct.pack("<HHIIII", 1, 48, total, len(tlvs), offset, len(model)) + key_id
    signed = (header + struct.pack("<I", 1)).ljust(48, b"\0") + tlvs
    signed = signed.ljust(offset, b"\0") + body
    r, s = decode_dss_signature(private_key(seed).sign(signed, ec.ECDSA(hashes.SHA256())))
    return signed + r.to_bytes(32, "big") + s.to_bytes(32, "big")


def forged(data: bytes) -> bytes:
    """The image with another last byte of its signature, whatever that was: ECDSA draws a nonce for each."""
    return data[:-1] + bytes([data[-1] ^ 1])


def _padded(data: bytes, alignment: int) -> bytes:
    return data + bytes(-len(data) % alignment)
