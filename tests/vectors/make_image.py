"""Writes tests/vectors/image.json: images that the C and Python readers must judge alike.

    .venv/bin/python tests/vectors/make_image.py

The keys are the published ones of RFC 6979 (A.2.5) and that number plus one: nothing real is signed with them.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from deployers.protocol.image import (  # noqa: E402 - found only from here on
    ALIGNMENT,
    HEADER,
    ImageParts,
    ModelType,
    Tensor,
    TensorKind,
    TensorType,
    create_image,
)
from deployers.protocol.signature import SIGNATURE_BYTES, key_id, public_point, sign  # noqa: E402
from deployers.protocol.status import Status  # noqa: E402
from deployers.protocol.tlv import Tlv, aligned, encode_tlvs  # noqa: E402

SCALAR = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
KEY, OTHER_KEY, STRANGER = (ec.derive_private_key(SCALAR + i, ec.SECP256R1()) for i in range(3))

PARTS = ImageParts(
    model=bytes(range(40)),
    program=b"program of features",
    golden=b"golden",
    tensors=(Tensor(TensorKind.X, TensorType.INT8, 4, 0.5, -3), Tensor(TensorKind.Y, TensorType.INT8, 6, 0.25, 1)),
    version=7,
    model_type=ModelType.INT8,
    arena_bytes=2000,
    buffer_bytes=300,
    release_sha256=hashlib.sha256(b"release").digest(),
    minimum_firmware=0x000100,
    description="small",
)


def signed(tlvs: bytes, model: bytes = PARTS.model, gap: bytes = b"\0", tail: bytes = b"\0") -> bytes:
    """An image with any TLV area and filling, soundly signed: what a signer with a fault would make."""
    model_offset = aligned(HEADER.size + len(tlvs), ALIGNMENT)
    end = aligned(model_offset + len(model), ALIGNMENT)
    lengths = (end + SIGNATURE_BYTES, len(tlvs), model_offset, len(model))
    header = HEADER.pack(b"ELIM", 1, HEADER.size, *lengths, key_id(public_point(KEY)), 1, b"")
    data = ((header + tlvs).ljust(model_offset, gap) + model).ljust(end, tail)
    return data + sign(KEY, data)


def fields() -> dict[int, bytes]:
    """The TLVs of the small image."""
    tensor = struct.pack("<BBHIfi", 0, 1, 0, 4, 0.5, -3)
    return {
        Tlv.MODEL_SHA256: hashlib.sha256(PARTS.model).digest(),
        Tlv.VERSION: struct.pack("<I", 7),
        Tlv.MINIMUM_FIRMWARE: struct.pack("<I", 0x100),
        Tlv.LIMITS: struct.pack("<II", 2000, 300),
        Tlv.MODEL_TYPE: struct.pack("<I", 1),
        Tlv.TENSORS: tensor,
        Tlv.PROGRAM: b"program!",
        Tlv.GOLDEN: b"golden",
        Tlv.RELEASE: bytes(32),
    }


def raw(kind: int, value: bytes, *, zero: int = 0, length: int | None = None) -> bytes:
    """One TLV with any header."""
    padded = value.ljust(aligned(len(value), 8), b"\0")
    return struct.pack("<HHI", kind, zero, len(value) if length is None else length) + padded


def faults() -> dict[str, tuple[bytes, Status]]:
    """TLV areas by name, and why an image with them is refused."""
    good = fields()
    whole = encode_tlvs(good)
    bad, unknown, missing = Status.IMAGE_TLV, Status.IMAGE_TLV_UNKNOWN, Status.IMAGE_TLV_MISSING
    changed: dict[str, tuple[dict[int, bytes], Status]] = {
        "unknown_critical": ({10: b"x"}, unknown),
        "unknown_last_critical": ({0x7FFF: b"x"}, unknown),
        "model_hash": ({Tlv.MODEL_SHA256: bytes(32)}, Status.IMAGE_MODEL_HASH),
        "model_type_3": ({Tlv.MODEL_TYPE: struct.pack("<I", 3)}, bad),
        "version_long": ({Tlv.VERSION: bytes(5)}, bad),
        "version_empty": ({Tlv.VERSION: b""}, bad),
        "limits_short": ({Tlv.LIMITS: bytes(4)}, bad),
        "program_empty": ({Tlv.PROGRAM: b""}, bad),
        "golden_empty": ({Tlv.GOLDEN: b""}, bad),
        "tensors_empty": ({Tlv.TENSORS: b""}, bad),
        "tensors_partial": ({Tlv.TENSORS: good[Tlv.TENSORS] + b"\0"}, bad),
        "tensor_kind": ({Tlv.TENSORS: struct.pack("<BBHIfi", 3, 1, 0, 4, 0.5, 0)}, bad),
        "tensor_type": ({Tlv.TENSORS: struct.pack("<BBHIfi", 0, 3, 0, 4, 0.5, 0)}, bad),
        "tensor_zero": ({Tlv.TENSORS: struct.pack("<BBHIfi", 0, 1, 9, 4, 0.5, 0)}, bad),
        "tensor_without_elements": ({Tlv.TENSORS: struct.pack("<BBHIfi", 0, 1, 0, 0, 0.5, 0)}, bad),
    }
    areas = {name: (encode_tlvs({**good, **change}), status) for name, (change, status) in changed.items()}
    for kind in good:
        rest = encode_tlvs({other: value for other, value in good.items() if other != kind})
        areas[f"without_{kind:d}"] = (rest, missing)
    areas["no_tlvs"] = (b"", missing)
    areas["type_0"] = (raw(0, b"x") + whole, bad)
    areas["twice"] = (whole + raw(9, bytes(32)), bad)
    areas["descending"] = (raw(2, struct.pack("<I", 7)) + raw(1, bytes(32)) + whole, bad)
    areas["header_not_zero"] = (whole + raw(0x8001, b"x", zero=1), bad)
    areas["padding_not_zero"] = (whole + raw(0x8001, b"abcdefgh", length=3), bad)
    for length in (9, 17, 0x7FFFFFFF, 0xFFFFFFF8, 0xFFFFFFF9, 0xFFFFFFFF):
        areas[f"length_{length:x}"] = (whole + raw(0x8001, b"abcdefgh", length=length), bad)
    return areas


def vectors() -> dict[str, str]:
    """Byte strings by name; those refused carry their status in `statuses`."""
    points = {"key": KEY, "other_key": OTHER_KEY}
    found = {name: public_point(key) for name, key in points.items()}
    found["image"] = create_image(PARTS, KEY)
    found["image_other_key"] = create_image(PARTS, OTHER_KEY)
    found["image_stranger"] = create_image(PARTS, STRANGER)
    good = encode_tlvs(fields())
    found["unknown_optional"] = signed(encode_tlvs({**fields(), 0x8777: b"for later"}))
    found["no_optional"] = signed(good)
    refused = {name: (signed(area), status) for name, (area, status) in faults().items()}
    odd = good + raw(0x8001, b"")
    refused["gap_not_zero"] = (signed(odd, gap=b"\1"), Status.IMAGE_STRUCTURE)
    refused["tail_not_zero"] = (signed(odd, tail=b"\1"), Status.IMAGE_STRUCTURE)
    texts = {name: data.hex() for name, data in found.items()}
    texts |= {name: data.hex() for name, (data, _) in refused.items()}
    names = {"refused": ",".join(f"{name}={status:d}" for name, (_, status) in refused.items())}
    return texts | {key: value.encode().hex() for key, value in names.items()}


if __name__ == "__main__":
    path = ROOT / "tests" / "vectors" / "image.json"
    path.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes, image of {len(create_image(PARTS, KEY))} bytes")
