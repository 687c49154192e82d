"""Frames: the golden bytes of both languages, and what damage to them does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.protocol.frame import PAYLOAD_MAX, Frame, FrameError, FrameReader
from deployers.protocol.status import Status

VECTORS = {
    name: bytes.fromhex(text)
    for name, text in json.loads((Path(__file__).parents[3] / "vectors" / "wire.json").read_text()).items()
}
TEXT = VECTORS["frame_text"]
frames = st.builds(
    Frame,
    type=st.integers(0, 255),
    sequence=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=200),
    flags=st.integers(0, 255),
)


def read(data: bytes) -> list[Frame | Status]:
    return list(FrameReader().read(data))


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("frame_empty", Frame(0x20, 0)),
        ("frame_text", Frame(0x7E, 0xFEDCBA98, b"EL is no frame here")),
        ("frame_longest", Frame(0x23, 1, bytes(i & 255 for i in range(1040)))),
    ],
)
def test_frames_equal_the_golden_bytes(name: str, frame: Frame) -> None:
    assert frame.encode() == VECTORS[name]
    assert read(VECTORS[name]) == [frame]


def test_the_vectors_are_what_their_script_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    script = Path(__file__).parents[3] / "vectors" / "make_wire.py"
    spec = importlib.util.spec_from_file_location("make_wire", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "make_wire.py"))
    module.main()
    assert (tmp_path / "wire.json").read_text() == script.with_name("wire.json").read_text()


@given(st.lists(frames, max_size=4), st.integers(1, 50))
def test_frames_come_back_whatever_the_parts(sent: list[Frame], part: int) -> None:
    data = b"".join(frame.encode() for frame in sent)
    reader = FrameReader()
    found = [item for at in range(0, len(data), part) for item in reader.read(data[at : at + part])]
    assert found == sent


def test_every_damaged_bit_is_refused_and_the_next_frame_is_found() -> None:
    for bit in range(8 * len(TEXT)):
        damaged = bytearray(TEXT)
        damaged[bit // 8] ^= 1 << bit % 8
        *reasons, last = read(bytes(damaged) + TEXT)
        assert isinstance(last, Frame), bit
        assert reasons, bit
        assert all(isinstance(reason, Status) and -404 < reason <= -400 for reason in reasons), bit


def test_a_lost_byte_costs_at_most_the_next_frame() -> None:
    for lost in range(len(TEXT)):
        found = read(TEXT[:lost] + TEXT[lost + 1 :] + 3 * TEXT)
        assert sum(isinstance(item, Frame) for item in found) >= 2, lost


def test_junk_is_skipped_once_and_by_name() -> None:
    assert read(100 * b"E" + VECTORS["frame_empty"]) == [Status.WIRE_MAGIC, Frame(0x20, 0)]
    assert read(b"junk") == [Status.WIRE_MAGIC]


def test_a_magic_that_may_still_come_is_waited_for() -> None:
    reader = FrameReader()
    assert list(reader.read(b"xE")) == [Status.WIRE_MAGIC]
    assert list(reader.read(VECTORS["frame_empty"][1:])) == [Frame(0x20, 0)]


def test_a_length_beyond_the_limit_is_refused_at_once() -> None:
    header = Frame(1, 0, bytes(PAYLOAD_MAX + 1)).header
    assert read(header) == [Status.WIRE_LENGTH]


def test_a_payload_that_is_too_long_is_not_written() -> None:
    with pytest.raises(FrameError, match="1041 bytes: a frame takes at most 1040, send it in chunks"):
        Frame(1, 0, bytes(PAYLOAD_MAX + 1)).encode()


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    for item in read(data):
        assert isinstance(item, Frame | Status)
