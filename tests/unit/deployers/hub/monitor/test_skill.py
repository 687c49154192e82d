"""What a day says beside what was to be expected of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.hub.monitor.pairing import Pair
from deployers.hub.monitor.skill import (
    DAYS_LEAST,
    WIDENING,
    Z_MOST,
    add,
    expected_of,
    is_complete,
    joined,
    means,
    of_release,
    skill,
)
from deployers.hub.store.watching import DaySums

DAYS = [(0.06 + 0.01 * (at % 3), 0.1) for at in range(20)]


def test_skill_is_what_is_better_than_persistence() -> None:
    assert skill(0.5, 1.0) == 0.5
    assert skill(1.5, 1.0) == -0.5
    assert skill(0.0, 0.0) is None


def test_too_few_days_are_no_reference() -> None:
    assert expected_of(DAYS[: DAYS_LEAST - 1], "own") is None
    assert expected_of([(0.0, 0.0)] * 30, "own") is None
    found = expected_of(DAYS, "own")
    assert found is not None
    assert (found.days, found.origin) == (20, "own")
    assert found.skill == pytest.approx(1 - 0.0695 / 0.1)


def test_the_release_s_days_are_read_from_its_report() -> None:
    report = {"days": [{"day": "2024-01-01", "model": m, "persistence": p, "count": 9} for m, p in DAYS]}
    assert of_release(report) == expected_of(DAYS, "release")
    assert of_release({}) is None


@given(st.floats(1.0, 1000.0))
def test_a_day_that_is_hard_for_everyone_is_no_deficit(times: float) -> None:
    found = expected_of(DAYS, "own")
    assert found is not None
    assert found.z(times * found.model, times * found.persistence) < 0.5


def test_a_day_on_which_nothing_happens_says_little() -> None:
    found = expected_of(DAYS, "own")
    assert found is not None
    assert found.z(0.002, 0.001) < 1
    assert found.z(2.0, 1.0) == Z_MOST


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.001, 1))
def test_a_larger_error_is_never_a_smaller_deficit(model: float, persistence: float, more: float) -> None:
    found = expected_of(DAYS, "own")
    assert found is not None
    assert found.z(model + more, persistence) >= found.z(model, persistence)


def test_a_usual_day_is_below_zero_by_what_is_tolerated() -> None:
    found = expected_of([(0.06 + 0.02 * (at % 2), 0.1) for at in range(20)], "own")
    assert found is not None
    usual = (found.z(0.06, 0.1) + found.z(0.08, 0.1)) / 2
    assert usual == pytest.approx(-0.04879 / (WIDENING * found.deviation), rel=1e-3)


def test_pairs_are_summed_and_days_joined() -> None:
    sums = DaySums(5, "hub", 2)
    add(sums, Pair("hub", 2, 3, 0, 0.5, 1.0))
    add(sums, Pair("hub", 2, 1, 0, 0.25, 0.5))
    assert (sums.counts, sums.model, sums.persistence) == ([1, 0, 1], [0.25, 0, 0.5], [0.5, 0, 1.0])
    assert means(sums) == (0.375, 0.75)
    assert means(DaySums(5, "hub", 2)) is None
    other = DaySums(6, "hub", 2, [2], [1.0], [2.0])
    total = joined([sums, other])
    assert (total.day, total.counts, total.model, total.persistence) == (6, [3, 0, 1], [1.25, 0, 0.5], [2.5, 0, 1.0])


def test_a_day_of_which_half_was_seen_is_complete() -> None:
    assert is_complete(DaySums(0, "hub", 1, [72.0, 72.0]), 600_000)
    assert not is_complete(DaySums(0, "hub", 1, [71.0, 72.0]), 600_000)
