"""The CUSUM's thresholds keep what they state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.hub.monitor import sequential
from deployers.hub.monitor.levels import LEVELS, moved, worst


@pytest.mark.parametrize("wanted", [30, 60, 365])
def test_false_alarms_are_as_far_apart_as_stated(wanted: float) -> None:
    found = sequential.simulated(sequential.threshold(wanted), runs=2000, seed=1)
    assert found == pytest.approx(wanted, rel=0.1)


def test_a_change_is_found_much_sooner_than_a_false_alarm() -> None:
    limit = sequential.threshold(365)
    delays = [sequential.simulated(limit, runs=500, seed=2, shift=shift) for shift in (1.0, 2.0, 4.0)]
    assert delays == sorted(delays, reverse=True)
    assert delays[0] < 12
    assert delays[-1] < 2.5


@given(st.floats(2, 1e5))
def test_a_threshold_is_the_inverse_of_a_run_length(wanted: float) -> None:
    found = sequential.threshold(wanted)
    assert sequential.run_length(found) == pytest.approx(max(wanted, sequential.run_length(0.0)), rel=1e-6)


@given(st.lists(st.floats(-50, 50), max_size=50))
def test_a_sum_never_falls_below_zero_and_does_not_grow_without_a_deficit(values: list[float]) -> None:
    total = 0.0
    for z in values:
        after = sequential.step(total, z)
        assert after >= 0
        assert after <= total or z > sequential.REFERENCE
        total = after


@given(st.sampled_from(LEVELS), st.floats(0, 10))
def test_a_state_follows_its_number_with_hysteresis(before: str, value: float) -> None:
    after = moved(before, value, 2.0, 4.0)  # type: ignore[arg-type]
    if value >= 4:
        assert after == "alarm"
    if value < 1:
        assert after == "ok"
    assert moved(after, value, 2.0, 4.0) == after
    if before == "ok":
        assert (after == "ok") == (value < 2)
    if before == "alarm" and value >= 2:
        assert after == "alarm"


def test_the_gravest_counts() -> None:
    assert worst([]) == "ok"
    assert worst(["ok", "alarm", "warning"]) == "alarm"
