"""Model images: the golden bytes, there and back, and everything that is refused, by the name a board has for it."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.protocol.image import (
    HEADER,
    ImageParts,
    ModelType,
    Policy,
    Tensor,
    TensorKind,
    TensorType,
    create_image,
    parse_image,
    signer_of,
    verify_image,
)
from deployers.protocol.signature import key_id
from deployers.protocol.status import Status
from deployers.protocol.tlv import ImageError
from tests.vectors import make_image
from tests.vectors.make_image import KEY, PARTS, STRANGER

VECTORS = {
    name: bytes.fromhex(text)
    for name, text in json.loads((Path(__file__).parents[3] / "vectors" / "image.json").read_text()).items()
}
IMAGE, POINT = VECTORS["image"], VECTORS["key"]
POLICY = Policy((POINT,))
REFUSED = [entry.split("=") for entry in VECTORS["refused"].decode().split(",")]
u32s = st.integers(0, 2**32 - 1)
tensors = st.builds(
    Tensor,
    kind=st.sampled_from(TensorKind),
    type=st.sampled_from(TensorType),
    elements=st.integers(1, 2**32 - 1),
    scale=st.floats(0, 1, width=32),
    zero_point=st.integers(-(2**31), 2**31 - 1),
)
parts = st.builds(
    ImageParts,
    model=st.binary(min_size=1, max_size=100),
    program=st.binary(min_size=1, max_size=50),
    golden=st.binary(min_size=1, max_size=50),
    tensors=st.lists(tensors, min_size=1, max_size=4).map(tuple),
    version=st.integers(1, 2**32 - 1),
    model_type=st.sampled_from(ModelType),
    arena_bytes=u32s,
    buffer_bytes=u32s,
    release_sha256=st.binary(min_size=32, max_size=32),
    minimum_firmware=u32s,
    description=st.text(max_size=20),
)


def refusal(image: bytes, policy: Policy = POLICY) -> Status:
    with pytest.raises(ImageError) as caught:
        verify_image(image, policy)
    message = str(caught.value)
    assert "\n" not in message
    assert ": " in message
    return caught.value.status


def header(**fields: int) -> bytes:
    """The golden image with some lengths changed."""
    names = ("bytes", "tlvs", "offset", "model")
    values = dict(zip(names, HEADER.unpack_from(IMAGE)[3:7], strict=True)) | fields
    return IMAGE[:8] + struct.pack("<4I", *(values[name] for name in names)) + IMAGE[24:]


def test_the_vectors_are_what_their_script_writes() -> None:
    assert {name: bytes.fromhex(text) for name, text in make_image.vectors().items()} == VECTORS


def test_the_golden_image_is_made_and_read_alike() -> None:
    assert create_image(PARTS, KEY) == IMAGE
    assert verify_image(IMAGE, POLICY) == parse_image(IMAGE) == PARTS
    assert signer_of(IMAGE) == key_id(POINT)


@given(parts)
def test_parts_go_there_and_back(given_parts: ImageParts) -> None:
    image = create_image(given_parts, KEY)
    assert verify_image(image, POLICY) == given_parts
    assert len(image) % 16 == 0
    offset = HEADER.unpack_from(image)[5]
    assert offset % 16 == 0
    assert image[offset:].startswith(given_parts.model)


def test_the_same_parts_make_the_same_image() -> None:
    assert create_image(PARTS, KEY) == create_image(PARTS, KEY)


@pytest.mark.parametrize("name", ["unknown_optional", "no_optional"])
def test_optional_fields_may_be_unknown_or_missing(name: str) -> None:
    assert verify_image(VECTORS[name], POLICY).version == 7


def test_any_of_the_keys_may_have_signed() -> None:
    both = Policy((POINT, VECTORS["other_key"]))
    assert verify_image(IMAGE, both) == verify_image(VECTORS["image_other_key"], both) == PARTS


@pytest.mark.parametrize(("name", "status"), REFUSED, ids=[name for name, _ in REFUSED])
def test_a_fault_behind_a_sound_signature_is_refused_by_name(name: str, status: str) -> None:
    assert refusal(VECTORS[name]) == int(status)
    with pytest.raises(ImageError):
        parse_image(VECTORS[name])


@pytest.mark.parametrize("change", [0x01, 0x80, 0xFF])
def test_every_changed_byte_is_refused(change: int) -> None:
    for at in range(len(IMAGE)):
        changed = bytearray(IMAGE)
        changed[at] ^= change
        status = refusal(bytes(changed))
        assert status != Status.OK
        assert at < HEADER.size or status == Status.IMAGE_SIGNATURE


def test_every_truncation_and_excess_is_refused() -> None:
    for length in range(len(IMAGE)):
        assert refusal(IMAGE[:length]) == Status.IMAGE_TRUNCATED
    for more in (b"\0", bytes(16), IMAGE):
        assert refusal(IMAGE + more) == Status.IMAGE_TRUNCATED


def words(image: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        verify_image(image, POLICY)
    return str(caught.value)


def test_a_file_that_is_too_long_is_not_called_cut_short() -> None:
    size = len(IMAGE)
    assert words(IMAGE + b"\0") == f"too long: {size + 1} bytes, expected {size} by its header: make the image again"
    assert words(IMAGE[:-1]).startswith(f"cut short: {size - 1} bytes, expected {size}")


def test_refusals_are_words_not_structures() -> None:
    told = words(IMAGE[:4] + b"\2" + IMAGE[5:])
    assert told.startswith("format 2 with a header of 48 bytes and signature algorithm 1, expected 1, 48 and 1: make")
    told = words(header(bytes=80))
    assert told.startswith("the header says 80 bytes in all, ")
    assert not any(mark in told for mark in "{}[]()'")
    assert not any(mark in words(VECTORS["tensor_kind"]) for mark in "{}[]()'")


@given(st.binary(max_size=600))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert refusal(data) != Status.OK
    assert refusal(IMAGE[:8] + data) != Status.OK


@pytest.mark.parametrize("field", ["bytes", "tlvs", "offset", "model"])
@pytest.mark.parametrize("value", [0, 1, 15, 16, 0x7FFFFFFF, 0x80000000, 0xFFFFFFC0, 0xFFFFFFF8, 0xFFFFFFFF])
def test_hostile_lengths_are_refused(field: str, value: int) -> None:
    assert refusal(header(**{field: value})) in {Status.IMAGE_STRUCTURE, Status.IMAGE_TRUNCATED}


def test_lengths_that_wrap_round_are_refused() -> None:
    assert refusal(header(tlvs=0xFFFFFFD0, offset=0, model=1, bytes=80)) == Status.IMAGE_STRUCTURE
    assert refusal(header(tlvs=0x10, offset=0x40, model=0xFFFFFFC1, bytes=0x50)) == Status.IMAGE_STRUCTURE


@pytest.mark.parametrize(
    ("at", "value", "status"),
    [
        (0, b"ELIN", Status.IMAGE_MAGIC),
        (4, b"\2", Status.IMAGE_FORMAT),
        (6, b"\x40", Status.IMAGE_FORMAT),
        (32, b"\2", Status.IMAGE_FORMAT),
        (36, b"\1", Status.IMAGE_STRUCTURE),
        (47, b"\1", Status.IMAGE_STRUCTURE),
        (24, b"\0", Status.IMAGE_KEY),
    ],
)
def test_a_header_field_is_refused_by_name(at: int, value: bytes, status: Status) -> None:
    assert refusal(IMAGE[:at] + value + IMAGE[at + len(value) :]) == status


def test_a_stranger_is_refused() -> None:
    assert refusal(VECTORS["image_stranger"], Policy((POINT, VECTORS["other_key"]))) == Status.IMAGE_KEY
    assert refusal(IMAGE, Policy(())) == Status.IMAGE_KEY
    borrowed = VECTORS["image_other_key"][:24] + IMAGE[24:32] + VECTORS["image_other_key"][32:]
    assert refusal(borrowed) == Status.IMAGE_SIGNATURE
    assert refusal(create_image(PARTS, STRANGER)) == Status.IMAGE_KEY


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (Policy((POINT,), lowest_version=8), Status.IMAGE_VERSION),
        (Policy((POINT,), firmware_version=0xFF), Status.IMAGE_FIRMWARE),
        (Policy((POINT,), arena_bytes=1999), Status.IMAGE_LIMIT),
        (Policy((POINT,), buffer_bytes=299), Status.IMAGE_LIMIT),
        (Policy((POINT,), model_types=frozenset({ModelType.FLOAT32})), Status.IMAGE_TYPE),
    ],
)
def test_the_policy_is_kept(policy: Policy, status: Status) -> None:
    assert refusal(IMAGE, policy) == status


def test_the_limits_of_a_policy_are_inclusive() -> None:
    exact = Policy((POINT,), 0x000100, 7, frozenset({ModelType.INT8}), 2000, 300)
    assert verify_image(IMAGE, exact) == PARTS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": b""}, "image without model"),
        ({"program": b""}, "image without program"),
        ({"golden": b""}, "image without golden"),
        ({"tensors": ()}, "image without tensors"),
        ({"version": 0}, "version 0: expected 1 to"),
        ({"version": 2**32}, "version 4294967296: expected 1 to"),
        ({"arena_bytes": -1}, "arena_bytes -1: expected 0 to"),
        ({"buffer_bytes": 2**32}, "buffer_bytes 4294967296"),
        ({"minimum_firmware": -1}, "minimum_firmware -1"),
        ({"release_sha256": b"short"}, "expected 32 bytes"),
        ({"tensors": (Tensor(TensorKind.X, TensorType.INT8, -1),)}, "does not fit its fields"),
        ({"tensors": (Tensor(TensorKind.X, TensorType.INT8, 1, 1e300),)}, "does not fit its fields"),
        ({"tensors": (Tensor(TensorKind.X, TensorType.INT8, 1, 1.0, 2**31),)}, "does not fit its fields"),
    ],
)
def test_parts_that_make_no_image_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        create_image(replace(PARTS, **change), KEY)
    assert caught.value.status == Status.OK
