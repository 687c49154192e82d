"""TLVs: there and back, and every way in which they can be wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.protocol.status import Status
from deployers.protocol.tlv import CRITICAL, LENGTHS, OPTIONAL, ImageError, Tlv, aligned, decode_tlvs, encode_tlvs


def fields() -> dict[int, bytes]:
    return {kind: bytes([kind]) * LENGTHS.get(kind, 5) for kind in CRITICAL}


def raw(kind: int, value: bytes, *, zero: int = 0, length: int | None = None) -> bytes:
    header = struct.pack("<HHI", kind, zero, len(value) if length is None else length)
    return header + value.ljust(aligned(len(value), 8), b"\0")


def judged(read: Callable[[], object]) -> Status:
    try:
        read()
    except ImageError as error:
        return error.status
    return Status.OK


def refusal(area: bytes) -> Status:
    with pytest.raises(ImageError) as caught:
        decode_tlvs(area)
    assert "\n" not in str(caught.value)
    assert ": " in str(caught.value)
    return caught.value.status


@given(
    st.dictionaries(st.integers(OPTIONAL, 0xFFFF), st.binary(max_size=40), max_size=5),
    st.dictionaries(
        st.sampled_from([Tlv.TENSORS, Tlv.PROGRAM, Tlv.GOLDEN]), st.binary(min_size=1, max_size=40), max_size=3
    ),
)
def test_fields_go_there_and_back(optional: dict[int, bytes], varying: dict[int, bytes]) -> None:
    given_fields = {**fields(), **optional, **varying}
    area = encode_tlvs(given_fields)
    assert len(area) % 8 == 0
    assert decode_tlvs(area) == given_fields


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_refused(area: bytes) -> None:
    padded = area.ljust(aligned(len(area), 8), b"\0")
    status = judged(lambda: decode_tlvs(padded))
    assert status in {Status.OK, Status.IMAGE_TLV, Status.IMAGE_TLV_UNKNOWN, Status.IMAGE_TLV_MISSING}
    assert status or encode_tlvs(decode_tlvs(padded)) == padded


def test_the_order_of_encoding_does_not_depend_on_the_caller() -> None:
    backwards = dict(reversed(list(fields().items())))
    assert encode_tlvs(backwards) == encode_tlvs(fields())


@pytest.mark.parametrize("kind", CRITICAL)
def test_a_missing_field_is_named(kind: Tlv) -> None:
    rest = {other: value for other, value in fields().items() if other != kind}
    with pytest.raises(ImageError, match=kind.name) as caught:
        decode_tlvs(encode_tlvs(rest))
    assert caught.value.status == Status.IMAGE_TLV_MISSING


@pytest.mark.parametrize("kind", LENGTHS)
@pytest.mark.parametrize("change", [-1, 1])
def test_a_field_of_fixed_length_has_that_length(kind: Tlv, change: int) -> None:
    assert refusal(encode_tlvs({**fields(), kind: bytes(LENGTHS[kind] + change)})) == Status.IMAGE_TLV


@pytest.mark.parametrize("kind", CRITICAL)
def test_no_critical_field_is_empty(kind: Tlv) -> None:
    assert refusal(encode_tlvs({**fields(), kind: b""})) == Status.IMAGE_TLV


@pytest.mark.parametrize("kind", [10, 11, 0x7FFF])
def test_an_unknown_critical_field_is_refused(kind: int) -> None:
    assert refusal(encode_tlvs({**fields(), kind: b"later"})) == Status.IMAGE_TLV_UNKNOWN


def test_an_unknown_optional_field_is_kept() -> None:
    assert decode_tlvs(encode_tlvs({**fields(), 0x8777: b"later"}))[0x8777] == b"later"


@pytest.mark.parametrize(
    "tail",
    [
        raw(Tlv.RELEASE, bytes(32)),
        raw(Tlv.MODEL_SHA256, bytes(32)),
        raw(0, b"x"),
        raw(0x8001, b"x", zero=1),
        raw(0x8001, b"abcdefgh", length=3),
        raw(0x8001, b"", length=1),
        raw(0x8001, b"abcdefgh", length=9),
        raw(0x8001, b"abcdefgh", length=0x7FFFFFFF),
        raw(0x8001, b"abcdefgh", length=0xFFFFFFF8),
        raw(0x8001, b"abcdefgh", length=0xFFFFFFFF),
    ],
    ids=[
        "twice", "out of order", "type 0", "header not zero", "filling not zero", "beyond the end by one",
        "into the next", "half of everything", "wraps to the start", "longest",
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tail: bytes) -> None:
    assert refusal(encode_tlvs(fields()) + tail) == Status.IMAGE_TLV


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 8), (7, 8), (8, 8), (9, 16)])
def test_alignment_goes_up(count: int, expected: int) -> None:
    assert aligned(count, 8) == expected
