"""Forecasts beside readings, in whatever order they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.hub.monitor.pairing import FORECASTS_HELD, READINGS_HELD, Pairing

STEP = 600_000


def test_a_reading_is_paired_with_each_forecast_that_was_for_it() -> None:
    pairing = Pairing()
    for at, value in enumerate((20.0, 21.0)):
        pairing.reading(at * STEP, value, STEP)
        pairing.forecast("hub", 3, at * STEP, (value + 0.5, value + 0.6), STEP)
    found = pairing.reading(2 * STEP, 22.0, STEP)
    assert [(pair.source, pair.version, pair.step, pair.time_ms) for pair in found] == [
        ("hub", 3, 2, 2 * STEP),
        ("hub", 3, 1, 2 * STEP),
    ]
    assert [pair.model for pair in found] == pytest.approx([1.4, 0.5])
    assert [pair.persistence for pair in found] == pytest.approx([2.0, 1.0])


def test_a_forecast_that_comes_after_its_readings_is_paired_as_well() -> None:
    pairing = Pairing()
    for at in range(3):
        pairing.reading(at * STEP, 20.0 + at, STEP)
    assert [pair.step for pair in pairing.forecast("hub", 1, 0, (20.0, 20.0, 20.0), STEP)] == [1, 2]


def test_a_boards_forecast_comes_before_the_reading_that_it_was_made_at() -> None:
    pairing = Pairing()
    assert pairing.forecast("board", 1, 0, (20.5,), STEP) == []
    assert pairing.reading(0, 20.0, STEP) == []
    (pair,) = pairing.reading(STEP, 20.4, STEP)
    assert (pair.model, pair.persistence) == pytest.approx((0.1, 0.4))


def test_a_forecast_without_its_own_reading_has_no_persistence_and_is_left_out() -> None:
    pairing = Pairing()
    pairing.forecast("hub", 1, 0, (20.0,), STEP)
    assert pairing.reading(STEP, 20.0, STEP) == []


@pytest.mark.parametrize(("apart", "step"), [(STEP - 299_000, 1), (STEP + 299_000, 1), (STEP + 301_000, 2), (1000, 0)])
def test_a_reading_belongs_to_the_nearest_step(apart: int, step: int) -> None:
    pairing = Pairing()
    pairing.reading(0, 20.0, STEP)
    pairing.forecast("hub", 1, 0, (20.0, 20.0), STEP)
    assert [pair.step for pair in pairing.reading(apart, 20.0, STEP)] == ([step] if step else [])


def test_a_step_is_paired_once() -> None:
    pairing = Pairing()
    pairing.reading(0, 20.0, STEP)
    pairing.forecast("hub", 1, 0, (20.0,), STEP)
    assert len(pairing.reading(STEP - 1000, 20.0, STEP)) == 1
    assert pairing.reading(STEP + 1000, 20.0, STEP) == []


def test_what_is_held_is_bounded() -> None:
    pairing = Pairing()
    for at in range(500):
        pairing.reading(at * STEP, 20.0, STEP)
        pairing.forecast("hub", 1, at * STEP, (20.0,) * 32, STEP)
    assert len(pairing._readings) == READINGS_HELD  # noqa: SLF001
    assert len(pairing._pending["hub"]) == FORECASTS_HELD  # noqa: SLF001
    assert len(pairing.reading(500 * STEP, 20.0, STEP)) == 32


@given(st.permutations([("reading", at) for at in range(6)] + [("forecast", at) for at in range(6)]))
def test_the_order_of_arrival_does_not_matter(order: list[tuple[str, int]]) -> None:
    pairing, found = Pairing(), []
    for kind, at in order:
        if kind == "reading":
            found += pairing.reading(at * STEP, 20.0 + at * at, STEP)
        else:
            found += pairing.forecast("hub", 1, at * STEP, (20.0, 20.0), STEP)
    expected = {(at + step, step) for at in range(6) for step in (1, 2) if at + step < 6}
    assert sorted((pair.time_ms // STEP, pair.step) for pair in found) == sorted(expected)
    for pair in found:
        at = pair.time_ms // STEP
        assert pair.model == at * at
        assert pair.persistence == at * at - (at - pair.step) ** 2
