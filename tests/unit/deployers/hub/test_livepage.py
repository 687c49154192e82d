"""Lines of a bounded length, increments that add up to the whole, and errors as a plain loop finds them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployers.hub.livepage import (
    DAY_MS,
    HOUR_MS,
    POINTS_MOST,
    Made,
    Measured,
    View,
    at_lead,
    cadence_ms,
    chart,
    error,
    error_by_version,
    newest,
    part,
)
from deployers.hub.store import StoredForecast
from tests.page_hub import HORIZON, START_MS, STEP_MS, forecast, reading

if TYPE_CHECKING:
    from deployers.protocol.messages import Reading

DAY = View(DAY_MS, HORIZON, STEP_MS)


def measured(steps: int) -> Measured:
    return Measured.of([reading(step) for step in range(steps)])


def made(steps: int) -> Made:
    return Made.of([forecast("a", "board", step) for step in range(steps)])


def points(line: list[list[float]]) -> list[tuple[int, float]]:
    return [(int(time), value) for time, value in line]


def test_a_day_of_ten_minute_steps_is_shown_point_by_point() -> None:
    shown = part(chart(measured(300), {"board": made(300)}, DAY), None)
    line = points(shown["lines"]["readings"])
    assert line[-1] == (reading(299).time_ms, round(reading(299).celsius, 4))
    assert line == [
        (one.time_ms, round(one.celsius, 4)) for one in map(reading, range(300)) if one.time_ms >= line[0][0]
    ]
    assert line[-1][0] - line[0][0] >= DAY_MS - STEP_MS - 40_000
    assert (shown["from_ms"], shown["kept"]) == (None, {"readings": 0, "board": 0})


def test_readings_of_a_second_are_thinned_but_no_peak_is_lost() -> None:
    times = START_MS + 1000 * np.arange(20_000, dtype=np.int64)
    values = np.sin(np.arange(20_000) / 900.0)
    values[15_001], values[15_007] = 40.0, -40.0
    line = points(chart(Measured(times, values), {}, View(6 * HOUR_MS, 1, 1000))["lines"]["readings"])
    assert 300 < len(line) <= POINTS_MOST
    assert (int(times[15_001]), 40.0) in line
    assert (int(times[15_007]), -40.0) in line
    assert line == sorted(line)


@settings(max_examples=60)
@given(
    gaps=st.lists(st.integers(1, 3 * HOUR_MS), min_size=1, max_size=200),
    hours=st.sampled_from([1, 6, 24, 168]),
    lead=st.integers(1, 32),
    share=st.floats(0, 1),
)
def test_an_increment_on_what_was_kept_is_the_whole(gaps: list[int], hours: int, lead: int, share: float) -> None:
    times = START_MS + np.cumsum(np.array(gaps, np.int64))
    celsius = np.array([20 + (number * 7919 % 101) / 50 for number in range(len(gaps))])
    count = len(times)
    forecasts = Made(times, np.full(count, 3), np.full(count, 2), np.tile(celsius[:, None], 32))
    view = View(hours * HOUR_MS, lead, 60_000)
    known = max(1, round(share * count))
    early = {
        "board": Made(
            times[:known], *(field[:known] for field in (forecasts.versions, forecasts.states, forecasts.celsius))
        )
    }
    before = chart(Measured(times[:known], celsius[:known]), early, view)["lines"]
    whole = chart(Measured(times, celsius), {"board": forecasts}, view)
    after = part(whole, int(times[known - 1]))
    for name, line in whole["lines"].items():
        left = [p for p in before[name] if after["window_start_ms"] <= p[0] < after["from_ms"]]
        assert len(line) <= POINTS_MOST
        if (
            name == "readings"
        ):  # forecasts made later may be for a time before the newest reading: then the counts differ
            assert len(left) == after["kept"][name]
        if len(left) == after["kept"][name]:
            assert left + after["lines"][name] == line


def test_forecasts_stand_at_the_time_that_they_are_for() -> None:
    times, celsius = at_lead(made(10), View(DAY_MS, 3, STEP_MS))
    assert times.tolist() == [reading(step).time_ms + 3 * STEP_MS for step in range(10)]
    assert celsius.tolist() == [pytest.approx(forecast("a", "board", step).celsius[2]) for step in range(10)]


def test_a_horizon_shorter_than_the_lead_has_no_line() -> None:
    times, celsius = at_lead(made(3), View(DAY_MS, HORIZON + 1, STEP_MS))
    assert (len(times), len(celsius)) == (0, 0)


def test_the_newest_forecast_names_its_version_and_the_time_of_each_step() -> None:
    assert newest(Made.of([]), STEP_MS) is None
    found = newest(made(10), STEP_MS)
    assert found is not None
    assert (found["time_ms"], found["version"], found["slot_state"]) == (reading(9).time_ms, 7, 2)
    assert [time - found["time_ms"] for time, _ in found["values"]] == [STEP_MS * step for step in range(1, 7)]


def test_of_two_versions_at_one_reading_the_newer_one_counts() -> None:
    both = [forecast("a", "hub", 1, version=8, off=0.0), forecast("a", "hub", 1, version=7)]
    found = Made.of(both)
    assert (found.versions.tolist(), len(found.times)) == ([8], 1)


def test_shorter_horizons_are_filled_and_not_shown() -> None:
    short = StoredForecast("a", "hub", reading(5).time_ms, 9, 0, (20.0, 20.5), 0)
    found = Made.of([forecast("a", "hub", 4), short])
    assert found.celsius.shape == (2, HORIZON)
    last = newest(found, STEP_MS)
    assert last is not None
    assert len(last["values"]) == 2
    joined = Made.of([short]).joined(made(3), 10)
    assert joined.celsius.shape == (4, HORIZON)
    assert np.isnan(joined.celsius[-1, 2:]).all()


def by_hand(readings: list[Reading], forecasts: list[StoredForecast]) -> tuple[int, float, float]:
    """Count of pairs, MAE of the model and of persistence, by a plain loop."""
    base = {one.time_ms: one.celsius for one in readings}
    off, still = [], []
    for one in forecasts:
        for step, value in enumerate(one.celsius, 1):
            wanted = one.time_ms + step * STEP_MS
            near = min(readings, key=lambda item: abs(item.time_ms - wanted))
            if abs(near.time_ms - wanted) <= STEP_MS // 2 and one.time_ms in base:
                off.append(abs(value - near.celsius))
                still.append(abs(base[one.time_ms] - near.celsius))
    return len(off), math.fsum(off) / len(off), math.fsum(still) / len(still)


@settings(max_examples=60)
@given(st.sets(st.integers(0, 60), min_size=2), st.sets(st.integers(0, 60), min_size=1), st.floats(-1, 1))
def test_the_error_is_that_of_a_plain_loop(there: set[int], at: set[int], off: float) -> None:
    readings = [reading(step) for step in sorted(there)]
    forecasts = [forecast("a", "board", step, off=off) for step in sorted(at)]
    found = error(Measured.of(readings), Made.of(forecasts), STEP_MS)
    if found is None:
        with pytest.raises(ZeroDivisionError):
            by_hand(readings, forecasts)
        return
    count, model, persistence = by_hand(readings, forecasts)
    assert found["count"] == count
    assert found["model"] == pytest.approx(model, abs=1e-6)
    assert found["persistence"] == pytest.approx(persistence, abs=1e-6)
    assert sum(one["count"] for one in found["by_lead"]) == count


def test_only_the_last_day_counts_and_the_span_says_how_much_there_was() -> None:
    whole = error(measured(400), made(400), STEP_MS)
    hour = error(measured(400), made(400), STEP_MS, HOUR_MS)
    assert whole is not None
    assert hour is not None
    assert abs(whole["span_ms"] - DAY_MS) < 2 * STEP_MS
    assert whole["count"] > 800
    assert 10 < hour["count"] < 40
    assert [one["ahead_ms"] for one in whole["by_lead"]] == [STEP_MS * step for step in range(1, 7)]
    assert [one["model"] for one in whole["by_lead"]] == sorted(one["model"] for one in whole["by_lead"])


def test_each_version_is_judged_by_its_own_forecasts_beside_persistence() -> None:
    both = [
        forecast("a", "hub", step, version=7 + (step >= 200), off=0.2 if step >= 200 else 0.0) for step in range(300)
    ]
    newer, older = error_by_version(measured(300), Made.of(both), STEP_MS)
    assert (newer["version"], older["version"]) == (8, 7)
    assert older["model"] == pytest.approx(0, abs=0.07)  # the reading's clock is a little off the step that is forecast
    assert newer["model"] > 4 * older["model"]
    assert newer["count"] + older["count"] == pytest.approx(6 * 300, abs=21)
    assert abs(older["span_ms"] - 300 * STEP_MS) < 2 * STEP_MS
    assert error_by_version(measured(300), Made.of([]), STEP_MS) == []
    many = Made.of([forecast("a", "hub", step, version=step) for step in range(40)])
    assert [row["version"] for row in error_by_version(measured(300), many, STEP_MS)] == [39, 38, 37, 36, 35, 34]


def test_there_is_no_error_without_pairs() -> None:
    assert error(measured(0), made(3), STEP_MS) is None
    assert error(measured(3), Made.of([]), STEP_MS) is None
    assert error(measured(3), made(3), 0) is None
    ahead = Made.of([forecast("a", "hub", 50)])
    assert error(measured(51), ahead, STEP_MS) is None  # what it forecasts has not come yet
    one_step = error(measured(52), ahead, STEP_MS)
    assert one_step is not None
    assert (one_step["count"], one_step["by_lead"][1]["model"]) == (1, None)


def test_joining_keeps_the_newer_value_and_the_bound() -> None:
    old = Measured(np.array([10, 20, 30]), np.array([1.0, 2.0, 3.0]))
    new = Measured(np.array([20, 40]), np.array([9.0, 4.0]))
    joined = old.joined(new, 3)
    assert (joined.times.tolist(), joined.celsius.tolist()) == ([20, 30, 40], [9.0, 3.0, 4.0])
    assert Measured.of([]).joined(old, 5).times.tolist() == [10, 20, 30]
    forecasts = made(4).joined(Made.of([forecast("a", "board", 3, version=9)]), 2)
    assert (forecasts.versions.tolist(), forecasts.times.tolist()) == ([7, 9], [reading(2).time_ms, reading(3).time_ms])


def test_the_step_is_the_median_of_what_lies_between_readings() -> None:
    times = START_MS + STEP_MS * np.array([0, 1, 2, 3, 7, 8, 40])
    assert cadence_ms(times + np.array([0, 90, -70, 30, 0, 20, 0])) == STEP_MS
    assert cadence_ms(measured(1).times) == 0
    assert cadence_ms(np.array([0, 3, 5])) == 1000
