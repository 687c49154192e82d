"""Write image.json: images that the C and Python readers must judge alike, and published vectors of the cryptography.

    .venv/bin/python -m tests.vectors.make_image

The keys are the published one of RFC 6979 (A.2.5) and that number plus one: nothing real is signed with them.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from deployers.protocol.image import (
    ALIGNMENT,
    HEADER,
    ImageParts,
    ModelType,
    Tensor,
    TensorKind,
    TensorType,
    create_image,
)
from deployers.protocol.signature import SIGNATURE_BYTES, key_id, public_point, sign
from deployers.protocol.status import Status
from deployers.protocol.tlv import Tlv, aligned, encode_tlvs

PATH = Path(__file__).with_name("image.json")
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


# RFC 6979, A.2.5: P-256 with SHA-256, r and s of two messages.
RFC_6979 = {
    "sample": "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
    "test": "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
    "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
}
# FIPS 180-4, examples of SHA-256: one block, two blocks, a million times "a".
FIPS_180 = {
    "one_block": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "two_blocks": "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    "million": "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
}
# Models of the slot simulator: their bytes follow from length and version, so that only their ends are written down.
PATTERN_LENGTHS, PATTERN_VERSIONS = (900, 9000, 140_000), (1, 2, 3)


def pattern(length: int, version: int) -> bytes:
    """The model that firmware/tests/pattern_image.h makes alike."""
    return bytes((i * 131 + (i >> 8) * 17 + version * 59) & 0xFF for i in range(length))


def pattern_images() -> dict[str, bytes]:
    """What comes before and after the model of each pattern image."""
    found = {}
    for length in PATTERN_LENGTHS:
        for version in PATTERN_VERSIONS:
            image = create_image(replace(PARTS, model=pattern(length, version), version=version), KEY)
            head = image.index(pattern(length, version)[:64])
            found[f"pattern_{length}_{version}_head"] = image[:head]
            found[f"pattern_{length}_{version}_signature"] = image[-SIGNATURE_BYTES:]
    return found


def published() -> dict[str, bytes]:
    """Vectors that others have made."""
    found = {f"rfc6979_{message}": bytes.fromhex(text) for message, text in RFC_6979.items()}
    return found | {f"fips180_{name}": bytes.fromhex(text) for name, text in FIPS_180.items()}


def journal_record(image: bytes) -> bytes:
    """A record of the slot journal: slot 1 confirmed at version 7, two sectors of slot 0 erased to receive an image."""
    fields = struct.pack("<IBBHII12s", 5, 1, 1, 2, 7, len(image), hashlib.sha256(image).digest()[:12])
    return fields + struct.pack("<I", zlib.crc32(fields))


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
    found["journal_record"] = journal_record(found["image"])
    found |= published() | pattern_images()
    good = encode_tlvs(fields())
    found["unknown_optional"] = signed(encode_tlvs({**fields(), 0x8777: b"for later"}))
    found["no_optional"] = signed(good)
    refused = {name: (signed(area), status) for name, (area, status) in faults().items()}
    odd = good if len(good) % ALIGNMENT else good + raw(0x8001, b"")
    refused["gap_not_zero"] = (signed(odd, gap=b"\1"), Status.IMAGE_STRUCTURE)
    refused["tail_not_zero"] = (signed(odd, tail=b"\1"), Status.IMAGE_STRUCTURE)
    texts = {name: data.hex() for name, data in found.items()}
    texts |= {name: data.hex() for name, (data, _) in refused.items()}
    names = {"refused": ",".join(f"{name}={status:d}" for name, (_, status) in refused.items())}
    return texts | {key: value.encode().hex() for key, value in names.items()}


if __name__ == "__main__":
    PATH.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
    print(f"{PATH.name}: {PATH.stat().st_size} bytes, image of {len(create_image(PARTS, KEY))} bytes")  # noqa: T201
