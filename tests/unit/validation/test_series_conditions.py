"""Each condition on its own: the value it measures, in its unit, and where it looks away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.validation import ValidationConfig
from forecaster.validation import conditions as c

CONFIG = ValidationConfig()


def grid_of(values: Any, cadence: float = 600.0, segment: Any = 0, filled: Any = 0) -> pd.DataFrame:
    rows = len(values)
    time = np.datetime64("2024-01-01T00:00:00", "us") + (np.arange(rows) * cadence * 1e6).astype("timedelta64[us]")
    frame = pd.DataFrame({"time": time, "value": np.asarray(values, float)})
    return frame.assign(segment=np.broadcast_to(segment, rows), filled=np.broadcast_to(filled, rows).astype(bool))


def counts(**given_counts: int) -> dict[str, int]:
    names = ("missing", "held", "rows_dropped_with_segments", "longest_gap_steps", "gaps_long")
    return dict.fromkeys(names, 0) | {"cadence_seconds": 600} | given_counts


def test_held_values_do_not_count_as_readings() -> None:
    grid = grid_of([20, 20, 21, 21], filled=[False, True, False, False])
    assert c.enough_readings(grid, CONFIG).value == 3


def test_extremes_tell_value_and_time() -> None:
    grid = grid_of([20, 18, 23, 21])
    low, high = c.lowest_value(grid, CONFIG), c.highest_value(grid, CONFIG)
    assert (low.value, low.detail) == (18.0, "at 2024-01-01 00:10:00")
    assert (high.value, high.detail) == (23.0, "at 2024-01-01 00:20:00")


def test_known_sensor_answers_are_named() -> None:
    assert "power-on value" in c.highest_value(grid_of([20, 21, 85.0]), CONFIG).detail
    assert "lost sensor" in c.lowest_value(grid_of([20, -127.0]), CONFIG).detail


@pytest.mark.parametrize(
    ("low", "high", "suspected"),
    [(66, 75, True), (60, 85, True), (15, 30, False), (30, 44, False), (150, 160, False)],
)
def test_fahrenheit_suspicion(low: float, high: float, *, suspected: bool) -> None:
    grid = grid_of(np.linspace(low, high, 50))
    assert ("values look like Fahrenheit" in c.median_value(grid, CONFIG).detail) is suspected
    assert ("values look like Fahrenheit" in c.highest_value(grid, CONFIG).detail) is suspected


def test_fahrenheit_room_fails_highest_and_median() -> None:
    grid = grid_of(np.linspace(66, 75, 50))
    assert not c.highest_value(grid, CONFIG).passed
    assert not c.median_value(grid, CONFIG).passed
    assert c.lowest_value(grid, CONFIG).passed


def test_standard_deviation_of_one_flickering_bit_is_constant() -> None:
    assert not c.standard_deviation(grid_of([20.0, 20.0625] * 50), CONFIG).passed
    assert c.standard_deviation(grid_of([20.0, 20.125] * 50), CONFIG).passed


def test_rate_is_in_degrees_per_hour() -> None:
    ramp = c.rate_of_change(grid_of(20 + 0.5 * np.arange(20)), 600, CONFIG)
    assert ramp.value == pytest.approx(3.0)


def test_rate_of_a_jump_and_where() -> None:
    jump = c.rate_of_change(grid_of([20] * 10 + [26] * 10), 600, CONFIG)
    assert jump.value == pytest.approx(36.0)
    assert jump.detail == "at 2024-01-01 01:30:00"
    assert not jump.passed


def test_rate_leaves_single_spikes_to_their_own_condition() -> None:
    assert c.rate_of_change(grid_of([20] * 10 + [60] + [20] * 10), 600, CONFIG).value == 0.0


def test_rate_ignores_the_step_between_segments() -> None:
    grid = grid_of([20] * 10 + [40] * 10, segment=[0] * 10 + [1] * 10)
    assert c.rate_of_change(grid, 600, CONFIG).value == 0.0


def test_rate_of_one_quantum_a_second_is_slow() -> None:
    values = 20 + 0.0625 * (np.arange(2000) >= 1000)
    assert c.rate_of_change(grid_of(values, 1.0), 1.0, CONFIG).value == pytest.approx(0.0625 * 6)


def test_rate_without_a_long_segment_is_not_measured() -> None:
    assert math.isnan(c.rate_of_change(grid_of([20, 21, 22]), 600, CONFIG).value)


def test_spikes_are_counted_and_located() -> None:
    values = np.full(100, 20.0)
    values[[30, 60]] = 25.0, 14.0
    found = c.spikes(grid_of(values), CONFIG)
    assert found.value == pytest.approx(0.02)
    assert found.detail == "2 found, the first at 2024-01-01 05:00:00"


@pytest.mark.parametrize("values", [[20] * 50 + [28] * 50, list(np.linspace(0, 90, 100)), [20] * 50 + [22] + [20] * 49])
def test_shifts_ramps_and_small_bumps_are_no_spikes(values: list[float]) -> None:
    assert c.spikes(grid_of(values), CONFIG).value == 0.0


def test_spike_has_to_leave_the_local_spread() -> None:
    restless = [0.0, 4.0, 9.0, 5.0, 1.0]
    assert c.spikes(grid_of(restless), CONFIG).value == 0.0
    assert c.spikes(grid_of(restless), ValidationConfig(spike_spread=0.0)).value == pytest.approx(0.2)


def test_a_departure_next_to_a_gap_is_no_spike() -> None:
    grid = grid_of([20] * 10 + [30] + [20] * 9, segment=[0] * 10 + [1] * 10)
    assert c.spikes(grid, CONFIG).value == 0.0


def test_longest_run_in_hours_from_first_to_last_reading() -> None:
    run = c.longest_run(grid_of([20, 21] + [22] * 13 + [23]), CONFIG)
    assert run.value == pytest.approx(2.0)
    assert run.detail == "from 2024-01-01 00:20:00"


def test_held_values_make_no_run() -> None:
    filled = [False] + [True] * 20 + [False] * 3
    assert c.longest_run(grid_of([20] * 21 + [21, 22, 23], filled=filled), CONFIG).value == 0.0


def test_runs_end_with_their_segment() -> None:
    run = c.longest_run(grid_of([20] * 14, segment=[0] * 7 + [1] * 7), CONFIG)
    assert run.value == pytest.approx(1.0)


def test_long_run_share_counts_readings_in_long_runs_only() -> None:
    values = [20] * 37 + list(range(21, 84))  # 37 readings at ten minutes last six hours
    assert c.long_run_share(grid_of(values), CONFIG).value == pytest.approx(0.37)
    assert c.long_run_share(grid_of(values[1:]), CONFIG).value == 0.0


@pytest.mark.parametrize(
    ("condition", "key"),
    [
        (c.out_of_order, "out_of_order"),
        (c.exact_duplicates, "exact_duplicates"),
        (c.conflicting_readings, "conflicting"),
    ],
)
def test_counts_become_shares_of_the_raw_readings(condition: Any, key: str) -> None:
    assert condition({"rows_in": 200, key: 3}, CONFIG).value == pytest.approx(0.015)
    assert condition({"rows_in": 200, key: 3}, CONFIG).detail == "3 of 200"
    assert math.isnan(condition({"rows_in": 0, key: 0}, CONFIG).value)


def readings_after(seconds: list[float]) -> pd.DataFrame:
    time = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum([0, *seconds]), unit="s")
    return pd.DataFrame({"time": time, "value": 20.0})


def test_intervals_within_tolerance_and_multiples_fit_the_cadence() -> None:
    share = c.intervals_at_cadence(readings_after([600, 700, 1210, 6000]), 600, CONFIG)
    assert share.value == 1.0


def test_intervals_off_the_cadence_do_not_fit() -> None:
    share = c.intervals_at_cadence(readings_after([600, 900, 60, 1500]), 600, CONFIG)
    assert share.value == pytest.approx(0.25)
    assert share.detail == "median interval 750 s, cadence 600 s"


def test_intervals_look_past_order_and_repetition() -> None:
    readings = readings_after([600, 600, 0, 600]).sample(frac=1.0, random_state=1)
    assert c.raw_intervals(readings).tolist() == [600.0, 600.0, 600.0]


def test_intervals_of_one_reading_are_not_measured() -> None:
    assert math.isnan(c.intervals_at_cadence(readings_after([]), 600, CONFIG).value)


def test_gap_share_counts_held_and_missing_steps() -> None:
    grid = grid_of([20.0] * 20, filled=[False] * 18 + [True, False]).drop(index=range(5, 9)).reset_index(drop=True)
    gap = c.gap_share(grid, counts(missing=5, held=1), CONFIG)
    assert gap.value == pytest.approx(5 / 20)
    assert gap.detail == "5 missing, 1 of them held, 0 dropped"


def test_gap_share_of_a_full_grid_is_nothing_even_off_phase() -> None:
    grid = grid_of([20.0] * 20)
    grid.loc[10:, "time"] -= pd.Timedelta(seconds=450)
    assert c.gap_share(grid, counts(), CONFIG).value == 0.0


def test_longest_gap_is_in_hours() -> None:
    gap = c.longest_gap(counts(longest_gap_steps=300, gaps_long=2), CONFIG)
    assert gap.value == pytest.approx(50.0)
    assert not gap.passed


series = st.lists(st.integers(-300, 800), min_size=12, max_size=80).map(lambda ticks: np.array(ticks) * 0.0625)


@given(values=series, shift=st.integers(-160, 160))
def test_moving_all_values_moves_no_dynamic_condition(values: npt.NDArray[np.float64], shift: int) -> None:
    plain, moved = grid_of(values), grid_of(values + shift * 0.0625)
    assert c.rate_of_change(plain, 600, CONFIG).value == c.rate_of_change(moved, 600, CONFIG).value
    assert c.spikes(plain, CONFIG).value == c.spikes(moved, CONFIG).value
    assert c.longest_run(plain, CONFIG).value == c.longest_run(moved, CONFIG).value


@given(values=series)
def test_time_reversed_series_measures_the_same(values: npt.NDArray[np.float64]) -> None:
    plain, back = grid_of(values), grid_of(values[::-1])
    assert c.rate_of_change(plain, 600, CONFIG).value == pytest.approx(c.rate_of_change(back, 600, CONFIG).value)
    assert c.spikes(plain, CONFIG).value == c.spikes(back, CONFIG).value
    assert c.longest_run(plain, CONFIG).value == c.longest_run(back, CONFIG).value


@given(values=series)
def test_shares_are_shares(values: npt.NDArray[np.float64]) -> None:
    grid = grid_of(values)
    for share in (c.spikes(grid, CONFIG), c.long_run_share(grid, CONFIG), c.gap_share(grid, counts(), CONFIG)):
        assert 0.0 <= share.value <= 1.0
