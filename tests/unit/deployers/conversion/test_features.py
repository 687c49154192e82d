"""Feature programs: names, values, and the bytes a board follows."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.conversion.features import (
    ENTRY,
    HEADER,
    Feature,
    FeatureProgram,
    ProgramError,
    check_program,
    clock,
    decode_program,
    encode_program,
    parse,
    raw_features,
    scaled_features,
)

CLEANING = {"tolerance": 0.4, "max_hold_steps": 6, "min_segment_steps": 24}
PROGRAM = FeatureProgram(("difference:1", "hour:1:sin"), (0.25, 1.0), 0.75, 600, 6)
DAY_US = 86_400_000_000

argument = st.integers(1, 65_535)
functions = st.sampled_from(["sin", "cos"])
names = st.one_of(
    st.builds("difference:{}".format, argument),
    st.builds("deviation:{}".format, st.integers(2, 65_535)),
    st.builds("hour:{}:{}".format, st.integers(1, 24), functions),
    st.builds("weekday:{}".format, functions),
)
scales = st.floats(1e-6, 1e6)


@st.composite
def programs(draw: st.DrawFn) -> FeatureProgram:
    """Everything that a board takes."""
    chosen = draw(st.lists(names, min_size=1, max_size=64))
    given_scales = draw(st.lists(scales, min_size=len(chosen), max_size=len(chosen)))
    sizes = draw(st.integers(1, 86_400)), draw(st.integers(1, 288))
    return FeatureProgram(tuple(chosen), tuple(given_scales), draw(scales), *sizes)


# Names


@given(names)
def test_a_name_survives_parsing(name: str) -> None:
    assert parse(name).name == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "difference", "difference:", "difference:0", "difference:01", "difference:-1", "difference:1:sin"),
        *("deviation:0", "deviation:1", "hour:1", "hour:0:sin", "hour:1:tan", "weekday", "weekday:1:sin"),
        *("difference:1 ", "Difference:1", "difference:1\n", "difference:¹", "level"),
    ],
)
def test_another_name_is_refused_by_itself(name: str) -> None:
    with pytest.raises(ProgramError, match="expected") as caught:
        parse(name)
    assert repr(name) in str(caught.value)


def test_what_a_feature_reaches() -> None:
    reaches = {"difference:1": 2, "difference:18": 19, "deviation:6": 6, "hour:2:cos": 1, "weekday:sin": 1}
    assert {name: parse(name).reach for name in reaches} == reaches
    assert [name for name in reaches if parse(name).is_clock] == ["hour:2:cos", "weekday:sin"]


def test_a_selection_keeps_each_name_with_its_scale() -> None:
    assert PROGRAM.select(["hour:1:sin"]) == replace(PROGRAM, names=("hour:1:sin",), scales=(1.0,))
    with pytest.raises(ProgramError, match="'deviation:6' is not in the dataset, which has difference:1, hour:1:sin"):
        PROGRAM.select(["deviation:6"])


# Values


def test_values_of_each_operation() -> None:
    time = np.array([0, 6, 12]) * DAY_US // 24
    value = np.array([-1.0, 2.0, 5.0])
    out = raw_features(time, value, np.zeros(3, np.int64), ["difference:2", "deviation:2", "hour:1:sin", "hour:2:cos"])
    assert out[:, 0].tolist() == [0, 3, 6]
    assert out[:, 1].tolist() == [0, 1.5, 1.5]
    assert out[:, 2] == pytest.approx([0, 1, 0], abs=1e-12)
    assert out[:, 3] == pytest.approx([1, -1, 1], abs=1e-12)


@given(st.integers(0, 10**15), st.integers(1, 24))
def test_the_clock_repeats_every_day_and_every_week(time: int, harmonic: int) -> None:
    hour, weekday = Feature("hour", harmonic, "sin"), Feature("weekday", 0, "cos")
    now, tomorrow = np.array(time), np.array(time + DAY_US)
    assert clock(now, hour) == pytest.approx(clock(tomorrow, hour), abs=1e-9)
    assert clock(now, weekday) == pytest.approx(clock(np.array(time + 7 * DAY_US), weekday), abs=1e-9)


@pytest.mark.parametrize("date", ["2024-02-26", "2023-12-25", "1970-01-05", "2100-03-01"])
def test_a_week_begins_on_monday(date: str) -> None:
    """Leap day in the week, the turn of a year, the first one, and no leap day in 2100."""
    monday = np.array(np.datetime64(date, "us").astype(np.int64))
    assert clock(monday, parse("weekday:cos")) == pytest.approx(1)
    assert clock(monday + 7 * DAY_US // 4, parse("weekday:sin")) == pytest.approx(1)


def test_features_are_divided_by_their_scales_and_stay_in_their_segment() -> None:
    value, segment = np.array([1.0, 2.0, 50.0, 50.5]), np.array([0, 0, 1, 1])
    out = scaled_features(np.zeros(4, np.int64), value, segment, PROGRAM)
    assert out[:, 0].tolist() == [0, 4, 0, 2]


# Bytes


@given(programs(), st.integers(250_000, 500_000), st.integers(0, 65_535))
def test_a_program_survives_its_bytes(program: FeatureProgram, ppm: int, hold: int) -> None:
    cleaning = {"tolerance": ppm / 1e6, "max_hold_steps": hold}
    assert decode_program(encode_program(program, cleaning)) == (program, cleaning)


def test_the_bytes_are_those_of_the_specification() -> None:
    expected = struct.pack("<IHHdIHH", 600, 6, 2, 0.75, 400_000, 6, 0)
    expected += struct.pack("<BBHId", 1, 0, 1, 0, 0.25) + struct.pack("<BBHId", 3, 1, 1, 0, 1.0)
    assert encode_program(PROGRAM, CLEANING) == expected
    assert (HEADER.size, ENTRY.size) == (24, 16)


@given(st.binary(max_size=120))
def test_any_bytes_are_refused_in_one_line_or_are_what_would_be_written(payload: bytes) -> None:
    try:
        program, cleaning = decode_program(payload)
    except ProgramError as error:
        refused = str(error)
    else:
        refused = "nothing"
        assert encode_program(program, cleaning) == payload
    assert refused.isprintable()


@given(st.integers(0, 55), st.integers(0, 255))
def test_one_byte_changed_is_refused_or_another_program(at: int, byte: int) -> None:
    payload = bytearray(encode_program(PROGRAM, CLEANING))
    payload[at] = byte
    try:
        program, cleaning = decode_program(bytes(payload))
    except ProgramError:
        return
    assert encode_program(program, cleaning) == payload


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"cadence_seconds": 0}, "cadence_seconds is 0: a board takes 1 to 86400"),
        ({"cadence_seconds": 86_401}, "cadence_seconds is 86401"),
        ({"horizon": 0}, "horizon is 0: a board takes 1 to 288"),
        ({"horizon": 289}, "horizon is 289"),
        ({"target_scale": 0.0}, "target_scale is 0.0"),
        ({"target_scale": math.nan}, "target_scale is nan"),
        ({"target_scale": math.inf}, "target_scale is inf"),
        ({"scales": (1e-7, 1.0)}, "scale of difference:1 is 1e-07"),
        ({"scales": (1.0, -1.0)}, "scale of hour:1:sin is -1.0"),
        ({"scales": (1.0,)}, "2 features have 1 scales"),
        ({"names": (), "scales": ()}, "count of features is 0: a board takes 1 to 64"),
        ({"names": ("difference:1",) * 65, "scales": (1.0,) * 65}, "count of features is 65"),
        ({"names": ("difference:65536", "hour:1:sin")}, "argument of difference:65536 is 65536"),
        ({"names": ("difference:1", "hour:25:sin")}, "argument of hour:25:sin is 25: a board takes 0 to 24"),
    ],
)
def test_what_a_board_refuses_is_not_written(change: dict[str, object], named: str) -> None:
    program = replace(PROGRAM, **change)
    for refuse in (lambda: check_program(program), lambda: encode_program(program, CLEANING)):
        with pytest.raises(ProgramError) as caught:
            refuse()
        assert str(caught.value).startswith(named)


@pytest.mark.parametrize(("key", "value"), [("tolerance", 0.2), ("tolerance", 0.51), ("max_hold_steps", 65_536)])
def test_cleaning_that_a_board_cannot_follow_is_refused(key: str, value: float) -> None:
    with pytest.raises(ProgramError, match=f"{key} is {value}: a board takes"):
        encode_program(PROGRAM, {**CLEANING, key: value})


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (b"", "0 bytes: expected at least 24"),
        (bytes(23), "23 bytes"),
        (encode_program(PROGRAM, CLEANING)[:-1], "55 bytes with 2 features"),
        (encode_program(PROGRAM, CLEANING) + b"\0", "57 bytes with 2 features"),
    ],
)
def test_a_length_that_does_not_fit_is_named(payload: bytes, named: str) -> None:
    with pytest.raises(ProgramError, match=named):
        decode_program(payload)


def test_a_program_survives_json() -> None:
    assert FeatureProgram.from_dict(PROGRAM.as_dict()) == PROGRAM
