"""Cleaning: each finding on a series made for it, with its count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from forecaster.cleaning import CleaningConfig, CleaningReport, clean, infer_cadence
from forecaster.errors import ReadingError
from forecaster.sources import Selection, read_readings

START = pd.Timestamp("2024-03-04T00:00:00")
TEN_MINUTES = CleaningConfig(cadence_seconds=600, min_segment_steps=1)


def readings(seconds: Any, values: Any = None) -> pd.DataFrame:
    """Readings at these seconds after `START`; the values count up if none are given."""
    seconds = np.asarray(seconds, float)
    time = START.to_datetime64() + (seconds * 1e6).astype("timedelta64[us]")
    counted = np.arange(len(seconds), dtype=float)
    return pd.DataFrame(
        {"time": time.astype("datetime64[us]"), "value": counted if values is None else np.asarray(values, float)}
    )


def cleaned(seconds: Any, values: Any = None, **changes: Any) -> tuple[pd.DataFrame, CleaningReport]:
    return clean(readings(seconds, values), TEN_MINUTES.model_copy(update=changes))


def at(grid: pd.DataFrame) -> list[float]:
    """Seconds after `START` of the grid rows."""
    return [float(seconds) for seconds in (grid["time"] - START).dt.total_seconds()]


def test_a_regular_series_stays_as_it_is() -> None:
    grid, report = cleaned(np.arange(30) * 600)
    assert list(grid.columns) == ["time", "value", "segment", "filled"]
    assert [str(kind) for kind in grid.dtypes] == ["datetime64[us]", "float64", "int64", "bool"]
    assert isinstance(grid.index, pd.RangeIndex)
    assert at(grid) == list(np.arange(30) * 600.0)
    assert grid["value"].tolist() == list(range(30))
    assert not grid["filled"].any()
    assert report.as_dict() == {
        **dict.fromkeys(CleaningReport.__dataclass_fields__, 0),
        "rows_in": 30,
        "rows_out": 30,
        "segments": 1,
        "cadence_seconds": 600,
        "first_time": "2024-03-04T00:00:00",
        "last_time": "2024-03-04T04:50:00",
    }


def test_nanosecond_times_are_taken_too() -> None:
    frame = readings(np.arange(30) * 600)
    grid, _ = clean(frame.astype({"time": "datetime64[ns]"}), TEN_MINUTES)
    assert grid["time"].dtype == "datetime64[us]"
    assert grid["time"].tolist() == frame["time"].tolist()


def test_the_input_is_not_changed() -> None:
    frame = readings([600, 0, 600, 1200], [1, 2, 3, 4])
    before = frame.copy()
    clean(frame, TEN_MINUTES)
    pd.testing.assert_frame_equal(frame, before)


def test_rows_out_of_order_are_sorted_and_counted() -> None:
    grid, report = cleaned([0, 1200, 600, 2400, 1800], [0, 2, 1, 4, 3])
    assert grid["value"].tolist() == [0, 1, 2, 3, 4]
    assert report.out_of_order == 2


def test_exact_repetitions_are_dropped_and_counted() -> None:
    grid, report = cleaned([0, 0, 600, 1200, 0], [5, 5, 6, 7, 5])
    assert grid["value"].tolist() == [5, 6, 7]
    assert (report.exact_duplicates, report.conflicting) == (2, 0)


@pytest.mark.parametrize(("conflicts", "value"), [("last", 9.0), ("mean", 6.0), ("median", 5.0)])
def test_conflicts_are_settled_as_configured(conflicts: str, value: float) -> None:
    grid, report = cleaned([0, 600, 600, 600, 600, 1200], [1, 4, 5, 4, 9, 2], conflicts=conflicts)
    assert grid["value"].tolist() == [1, value, 2]
    assert (report.exact_duplicates, report.conflicting) == (1, 2)


def test_the_last_of_conflicting_rows_is_the_one_written_last() -> None:
    grid, report = cleaned([0, 600, 600, 600], [1, 4, 5, 4])
    assert grid["value"].tolist() == [1, 4]
    assert (report.exact_duplicates, report.conflicting) == (1, 1)


def test_the_last_stays_the_last_in_long_unsorted_series() -> None:
    seconds = np.tile(np.arange(500)[::-1] * 600, 4)
    grid, report = cleaned(seconds)
    assert grid["value"].tolist() == list(range(1999, 1499, -1))
    assert report.conflicting == 1500


def test_jitter_moves_readings_to_their_grid_points() -> None:
    jitter = np.array([2.5, -40, 120, -200, 0.000001, 299])
    grid, report = cleaned(np.arange(6) * 600 + jitter)
    assert at(grid) == [0, 600, 1200, 1800, 2400, 3000]
    assert report.missing == report.surplus == 0


def test_the_nearest_of_two_readings_wins_and_the_earlier_of_two_as_near() -> None:
    grid, report = cleaned([0, 590, 605, 1190, 1210, 1800], [0, 1, 2, 3, 4, 5])
    assert grid["value"].tolist() == [0, 2, 3, 5]
    assert report.surplus == 2


@pytest.mark.parametrize(
    ("tolerance", "seconds", "off_grid"), [(0.5, 300, 0), (0.25, 150, 0), (0.25, 151, 1), (0.4, 241, 1)]
)
def test_readings_further_than_the_tolerance_are_off_the_grid(tolerance: float, seconds: int, off_grid: int) -> None:
    grid, report = cleaned([0, 600, 1200 + seconds, 2400], tolerance=tolerance)
    assert report.off_grid == off_grid
    assert report.missing == 1 + off_grid
    assert at(grid) == [0, 600, 1200, 1800, 2400]


@pytest.mark.parametrize(
    ("first", "anchor"), [(0, 0), (3.2, 0), (74, 0), (76, 150), (302, 300), (448, 450), (598, 600)]
)
def test_the_grid_lies_on_the_quarter_of_the_cadence_next_to_the_first_reading(first: float, anchor: float) -> None:
    grid, _ = cleaned(first + np.arange(5) * 600)
    assert at(grid) == [anchor + 600.0 * step for step in range(5)]


def test_a_sensor_that_reads_half_way_between_round_times_loses_nothing() -> None:
    jitter = np.random.default_rng(1).normal(0, 5, 500)
    _, report = cleaned(300 + np.arange(500) * 600 + jitter)
    assert report.surplus == report.missing == 0


def test_short_gaps_are_held_never_interpolated() -> None:
    grid, report = cleaned([0, 600, 4200, 4800], [10, 11, 20, 21], max_hold_steps=5)
    assert grid["value"].tolist() == [10, 11, 11, 11, 11, 11, 11, 20, 21]
    assert grid["filled"].tolist() == [False] * 2 + [True] * 5 + [False] * 2
    assert set(grid["segment"]) == {0}
    assert (report.missing, report.held, report.gaps_long, report.longest_gap_steps) == (5, 5, 0, 5)


def test_longer_gaps_begin_a_segment() -> None:
    grid, report = cleaned([0, 600, 4200, 4800, 6000], [10, 11, 20, 21, 22], max_hold_steps=4)
    assert at(grid) == [0, 600, 4200, 4800, 5400, 6000]
    assert grid["segment"].tolist() == [0, 0, 1, 1, 1, 1]
    assert grid["filled"].tolist() == [False] * 4 + [True, False]
    assert (report.missing, report.held, report.gaps_long, report.longest_gap_steps) == (6, 1, 1, 5)
    assert report.segments == 2


def test_short_segments_are_dropped_and_the_others_renumbered() -> None:
    first, second, third = np.arange(3) * 600, 100_200 + np.arange(6) * 600, 200_400 + np.arange(6) * 600
    grid, report = cleaned(np.concatenate([first, second, third]), min_segment_steps=4)
    assert grid["segment"].tolist() == [0] * 6 + [1] * 6
    assert grid["value"].tolist() == list(range(3, 15))
    assert (report.segments, report.segments_dropped, report.rows_dropped_with_segments) == (2, 1, 3)
    assert report.first_time == str(grid["time"].iloc[0].isoformat())


def test_held_rows_count_towards_the_length_of_a_segment() -> None:
    _, report = cleaned([0, 1800], min_segment_steps=4)
    assert (report.rows_out, report.held) == (4, 2)


def test_a_clock_that_was_not_set_yet_costs_no_memory() -> None:
    grid, report = cleaned([-1.7e9, *(np.arange(10) * 600)], min_segment_steps=2)
    assert len(grid) == 10
    assert report.longest_gap_steps > 2_000_000
    assert report.rows_dropped_with_segments == 1


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (readings([]), "there are 0 readings"),
        (readings([0]), r"1 reading\(s\) at 1 distinct time"),
        (readings([0, 0, 0]), r"3 reading\(s\) at 1 distinct time"),
    ],
)
def test_too_few_readings_are_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(ReadingError, match=message):
        clean(frame, TEN_MINUTES)


def test_nothing_left_is_refused_with_what_there_was() -> None:
    with pytest.raises(ReadingError, match="longest of 2 segments has 3 steps of 600 s, expected at least 24"):
        cleaned([0, 600, 1200, 60000], min_segment_steps=24)


@pytest.mark.parametrize("interval", [1e-4, 0.4, 86401, 1e8])
def test_a_cadence_that_cannot_be_inferred_is_refused_but_may_be_given(interval: float) -> None:
    frame = readings(np.arange(30) * interval)
    with pytest.raises(ReadingError, match=r"no cadence can be inferred .* set cadence_seconds"):
        clean(frame, CleaningConfig(min_segment_steps=1))
    assert len(clean(frame, CleaningConfig(cadence_seconds=1, min_segment_steps=1))[0])


@pytest.mark.parametrize(
    ("seconds", "jitter", "inferred"),
    [
        (600, 0, 600),
        (600, 5, 600),
        (600, 60, 600),
        (602, 0, 600),  # sleeps ten minutes, then works two seconds
        (604, 0, 604),
        (90, 0, 90),
        (90, 2, 90),
        (60, 0, 60),
        (61, 0, 61),
        (10, 0.5, 10),
        (1, 0, 1),
        (0.6, 0, 1),
        (3600, 30, 3600),
        (86400, 100, 86400),
    ],
)
def test_the_cadence_is_the_median_interval_sensibly_rounded(seconds: float, jitter: float, inferred: int) -> None:
    strayed = np.random.default_rng(2).uniform(-jitter, jitter, 2001) if jitter else 0
    times = readings(np.arange(2001) * seconds + strayed)["time"].to_numpy("datetime64[us]")
    assert infer_cadence(np.sort(times)) == inferred


@pytest.mark.parametrize("seed", range(20))
def test_few_readings_with_much_jitter_still_show_a_whole_minute(seed: int) -> None:
    strayed = np.arange(31) * 60 + np.random.default_rng(seed).uniform(-12, 12, 31)
    assert infer_cadence(readings(strayed)["time"].to_numpy("datetime64[us]")) == 60


def test_gaps_and_repetitions_do_not_move_the_inferred_cadence() -> None:
    seconds = np.delete(np.arange(200) * 600, [3, 4, 5, 50, 51, 120])
    frame = readings(np.repeat(seconds, 3))
    _, report = clean(frame, CleaningConfig())
    assert report.cadence_seconds == 600


@pytest.mark.parametrize(
    "wrong",
    [
        {"cadence_seconds": 0},
        {"cadence_seconds": 86401},
        {"tolerance": 0.51},
        {"tolerance": 0.2},
        {"conflicts": "first"},
        {"max_hold_steps": -1},
        {"min_segment_steps": 0},
        {"hold": 3},
    ],
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CleaningConfig(**wrong)


def test_the_faults_of_the_simulated_sensor_are_found() -> None:
    frame = read_readings("simulated://lab?days=60&gaps=8&duplicates=0.05", Selection())
    grid, report = clean(frame, CleaningConfig())
    assert report.exact_duplicates == round(len(frame) / 1.05 * 0.05)
    assert report.missing == 60 * 144 - (len(frame) - report.exact_duplicates)
    assert 1 <= report.gaps_long <= 8
    assert report.rows_out == len(grid) == grid["time"].nunique()


def test_a_million_readings_in_any_order() -> None:
    rng = np.random.default_rng(3)
    frame = readings(np.arange(1_000_000) * 60 + rng.uniform(-5, 5, 1_000_000), rng.normal(20, 1, 1_000_000))
    shuffled = frame.sample(frac=1, random_state=4, ignore_index=True)
    _, report = clean(shuffled, CleaningConfig())
    assert (report.rows_out, report.cadence_seconds) == (1_000_000, 60)
