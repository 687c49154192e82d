"""The series as a board sees it, against cleaning and features of the training; golden vectors and their bytes."""

from __future__ import annotations

import struct
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployers.conversion.board import HostBoard
from deployers.conversion.features import FeatureProgram, encode_program
from deployers.conversion.runtimes import board_runtime
from deployers.conversion.stream import (
    LATEST_MS,
    Counters,
    GoldenError,
    GoldenVector,
    Streamer,
    board_readings,
    decode_golden,
    encode_golden,
    golden_vector,
    stream,
)
from deployers.exceptions import InputError
from deployers.protocol.status import Status
from forecaster.cleaning import CleaningConfig, clean
from forecaster.features import features
from tests.unit.deployers.conftest import FORMS, HORIZON, INPUTS

CADENCE = 600
STEP = CADENCE * 1_000_000
START = 1_709_503_200_000_000  # 2024-03-03T22:00:00, a Sunday
NAMES = ("difference:1", "deviation:4", "hour:1:cos")
PROGRAM = FeatureProgram(NAMES, (0.25, 0.3, 1.0), 0.75, CADENCE, HORIZON)
CLEANING = {"tolerance": 0.4, "max_hold_steps": 3}
assert len(NAMES) == INPUTS


def pushed(*times: int) -> tuple[Streamer, list[bool]]:
    """Which readings are accepted, after the first one at START."""
    streamer = Streamer(PROGRAM, CLEANING)
    assert streamer.push(START, 20.0) is not None
    return streamer, [streamer.push(START + time, 20.0) is not None for time in times]


# The grid


def test_the_first_reading_places_the_grid_at_a_quarter_of_the_cadence() -> None:
    for late, expected in ((0, 0), (STEP // 8 - 1, 0), (STEP // 8, STEP // 4), (STEP // 2 + 5, STEP // 2)):
        rows = Streamer(PROGRAM, CLEANING).push(START + late, 20.0)
        assert rows is not None
        assert rows.times.tolist() == [START + expected]
        assert rows.reset


def test_the_tolerance_is_exact() -> None:
    streamer, accepted = pushed(STEP - STEP * 2 // 5 - 1, STEP - STEP * 2 // 5, 2 * STEP + STEP * 2 // 5)
    assert accepted == [False, True, True]
    assert streamer.counters.off_grid == 1


def test_a_second_reading_at_a_point_is_surplus_and_an_earlier_one_late() -> None:
    streamer, accepted = pushed(0, STEP, STEP + 1, STEP, STEP - 1, 0)
    assert accepted == [False, True, False, False, False, False]
    assert (streamer.counters.surplus, streamer.counters.late) == (3, 2)


def test_gaps_are_held_up_to_the_limit_and_begin_a_segment_beyond() -> None:
    streamer = Streamer(PROGRAM, CLEANING)
    streamer.push(START, 20.0)
    held = streamer.push(START + 4 * STEP, 21.0)
    assert held is not None
    assert not held.reset
    assert held.features[:, 0].tolist() == [0, 0, 0, 4]
    begun = streamer.push(START + 9 * STEP, 22.0)
    assert begun is not None
    assert begun.reset
    assert len(begun.features) == 1
    assert begun.features[0, :2].tolist() == [0, 0]
    assert (streamer.counters.held, streamer.counters.resets) == (3, 1)
    assert streamer.counters.as_dict() == asdict(Counters(accepted=3, held=3, resets=1))


def test_reset_forgets_the_series() -> None:
    streamer, _ = pushed(STEP, 2 * STEP)
    streamer.reset()
    rows = streamer.push(START, 7.0)
    assert rows is not None
    assert rows.reset
    assert streamer.counters.accepted == 4


def test_a_stream_tells_where_forecasts_are_made() -> None:
    readings = [(START + i * STEP, 20.0 + i) for i in (0, 1, 1, 4, 20, 21)]
    streamed, counters = stream(PROGRAM, CLEANING, readings)
    assert streamed.values.tolist() == [20, 21, 21, 21, 24, 40, 41]  # noqa: PD011 - no frame
    assert streamed.made.tolist() == [0, 1, 4, 5, 6]
    assert streamed.accepted.tolist() == [0, 1, 3, 4, 5]
    assert [(part.start, part.stop) for part in streamed.segments] == [(0, 5), (5, 7)]
    assert (counters.held, counters.surplus, counters.resets) == (2, 1, 1)


def test_nothing_to_stream_is_refused() -> None:
    with pytest.raises(InputError, match="0 readings to stream"):
        stream(PROGRAM, CLEANING, [])


@given(
    st.lists(st.tuples(st.sampled_from([1] * 8 + [2, 4, 5, 30]), st.floats(-0.39, 0.39)), min_size=2, max_size=60),
    st.integers(0, STEP),
    st.integers(0, 100),
)
@settings(max_examples=60)
def test_a_stream_is_what_cleaning_and_features_make(steps: list[tuple[int, float]], phase: int, seed: int) -> None:
    """At most one reading a grid point: there the two say the same."""
    anchor = START + round(phase / (STEP / 4)) * (STEP // 4)
    index = np.cumsum([step for step, _ in steps])
    times = [START + phase, *(anchor + index * STEP + np.array([int(jitter * STEP) for _, jitter in steps])).tolist()]
    values = np.random.default_rng(seed).normal(20, 3, len(times))
    config = CleaningConfig(cadence_seconds=CADENCE, min_segment_steps=1, **CLEANING)
    grid, _ = clean(pd.DataFrame({"time": np.array(times).astype("datetime64[us]"), "value": values}), config)
    streamed, counters = stream(PROGRAM, CLEANING, zip(times, values, strict=True))
    assert streamed.times.tolist() == grid["time"].to_numpy("datetime64[us]").astype(np.int64).tolist()
    assert streamed.values.tolist() == grid["value"].tolist()  # noqa: PD011 - no frame
    assert counters.held == int(grid["filled"].sum())
    assert np.abs(streamed.features - features(grid, PROGRAM)).max() < 1e-9


# The board says the same


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "limit"), [("float32", 2e-5), ("int16x8", 0.0), ("int8", 0.0)])
def test_a_converted_cell_says_on_the_board_what_the_reference_says(forms, form: str, kind: str, limit: float) -> None:
    """Sixteenths of a degree and scales that are powers of two make the same features on both sides, to the bit."""
    exact = replace(PROGRAM, names=("difference:1", "deviation:4", "difference:3"), scales=(0.25, 0.5, 0.5))
    file, rng = forms[form].files[kind], np.random.default_rng(5)
    at = np.cumsum(rng.choice([1, 1, 1, 1, 1, 3, 7], 300))
    readings = [
        (START // 1000 + int(i) * CADENCE * 1000, int(v) * 62_500)
        for i, v in zip(at, rng.integers(200, 400, 300), strict=True)
    ]
    streamed, _ = stream(exact, CLEANING, [(ms * 1000, value / 1e6) for ms, value in readings])
    residuals = board_runtime(file).forecasts(streamed.features.astype(np.float32), np.flatnonzero(streamed.resets))
    expected = streamed.values[:, None] + residuals.astype(np.float64) * exact.target_scale  # noqa: PD011 - no frame
    numbers, made = HostBoard(file, encode_program(exact, CLEANING), HORIZON).forecasts(readings)
    assert numbers == streamed.accepted.tolist()
    assert np.abs(made - expected[streamed.made].astype(np.float32)).max() <= limit


def test_golden_vectors_of_a_converted_cell_pass_on_its_board_only(forms) -> None:
    found = forms["gru"].files
    readings = [(START // 1000 + i * CADENCE * 1000, 20_000_000 + i * i % 7 * 62_500) for i in range(40)]
    program = encode_program(PROGRAM, CLEANING)
    numbers, made = HostBoard(found["int8"], program, HORIZON).forecasts(readings)
    payload = encode_golden([golden_vector(readings, numbers, made, 1e-5)])
    assert HostBoard(found["int8"], program, HORIZON).golden(payload) == (Status.OK, 0.0)
    other, worst = HostBoard(found["float32"], program, HORIZON).golden(payload)
    assert other == Status.GOLDEN_MISMATCH
    assert worst > 1e-5


# Golden vectors and their bytes


def vector(**change: object) -> GoldenVector:
    fields = {
        "times": np.array([5, 3, 9]),
        "microcelsius": np.array([-1, 0, 2**31 - 1]),
        "forecast_times": np.array([5, 9]),
        "forecasts": np.array([[1.5, 2], [3, -4]], np.float32),
        "tolerance": 0.25,
    }
    return GoldenVector(**{**fields, **change})


def test_the_bytes_are_those_of_the_specification() -> None:
    expected = struct.pack("<HHHf", 1, 3, 2, 0.25)
    expected += struct.pack("<qiqiqi", 5, -1, 3, 0, 9, 2**31 - 1)
    expected += struct.pack("<qffqff", 5, 1.5, 2, 9, 3, -4)
    assert encode_golden([vector()]) == expected


def test_golden_vectors_survive_their_bytes() -> None:
    (one, two) = decode_golden(encode_golden([vector(), vector(tolerance=10.0)]), 2)
    assert one.readings == [(5000, -1e-6), (3000, 0.0), (9000, 2147.483647)]
    assert one.forecast_times.tolist() == [5, 9]
    assert one.forecasts.tolist() == [[1.5, 2], [3, -4]]
    assert two.tolerance == 10


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"times": np.array([5, -1, 9])}, r"time of a reading is \(-1, 9\)"),
        ({"times": np.array([5, LATEST_MS + 1, 9])}, "time of a reading"),
        ({"times": np.array([5, 6, 7])}, r"times of forecasts is \[5, 9\]"),
        ({"times": np.array([], np.int64)}, "count of readings in a golden vector is 0"),
        ({"microcelsius": np.array([0, 2**31, 0])}, "size of a reading is 2147483648"),
        ({"forecast_times": np.array([9, 5])}, "order of forecasts"),
        ({"forecast_times": np.array([5, 5])}, "order of forecasts"),
        ({"forecast_times": np.array([5])}, "count of forecasts is 2"),
        ({"forecast_times": np.array([], np.int64), "forecasts": np.zeros((0, 2))}, "count of forecasts in a"),
        ({"forecasts": np.array([[1, np.nan], [0, 0]])}, "a forecast is 'not finite'"),
        ({"forecasts": np.array([[1, 0], [np.inf, 0]])}, "a forecast is 'not finite'"),
        ({"tolerance": -0.1}, "tolerance of a golden vector is -0.1"),
        ({"tolerance": 10.5}, "tolerance of a golden vector is 10.5"),
        ({"tolerance": float("nan")}, "tolerance of a golden vector is nan"),
    ],
)
def test_what_a_board_refuses_is_not_written(change: dict[str, object], named: str) -> None:
    with pytest.raises(GoldenError, match=named):
        encode_golden([vector(**change)])


def test_nothing_to_check_is_refused() -> None:
    with pytest.raises(GoldenError, match="count of golden vectors is 0"):
        encode_golden([])


def test_every_other_length_is_refused() -> None:
    payload = encode_golden([vector(), vector()])
    for length in range(len(payload)):
        with pytest.raises(GoldenError):
            decode_golden(payload[:length], 2)
    with pytest.raises(GoldenError):
        decode_golden(payload + b"\0", 2)
    with pytest.raises(GoldenError):
        decode_golden(payload, 3)


def test_readings_of_a_release_become_milliseconds_and_microdegrees() -> None:
    golden = {"readings": [["1970-01-01T00:00:01.000600", -0.0000004], ["2024-02-29T12:00:00", 21.0625]]}
    assert board_readings(golden) == [(1001, 0), (1_709_208_000_000, 21_062_500)]
