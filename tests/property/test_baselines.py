"""No baseline looks ahead, over the border of a segment, or at readings it may not learn from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecaster.baselines import Baseline, baseline_forecasts, standard_baselines
from tests.synthetic import CADENCE, grid

ROWS, BREAK, HORIZON = 500, 300, 4
NAMES = [baseline.name for baseline in standard_baselines()]


def fitted(name: str, table, parts: tuple[str, ...] = ("train",)) -> Baseline:
    baseline = next(one for one in standard_baselines() if one.name == name)
    baseline.fit(table, HORIZON, CADENCE, parts)
    return baseline


@pytest.mark.parametrize("name", NAMES)
@given(row=st.integers(1, ROWS - 1), change=st.floats(0.1, 50), seed=st.integers(0, 3))
@settings(max_examples=12)
def test_no_future_reading_changes_a_past_forecast(name: str, row: int, change: float, seed: int) -> None:
    table = grid(ROWS, seed, breaks=(BREAK,))
    baseline = fitted(name, table)
    before = baseline.forecast(table)
    table.loc[row:, "value"] += change
    after = baseline.forecast(table)
    np.testing.assert_allclose(after[:row], before[:row], atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_past_reading_changes_a_later_forecast(name: str) -> None:
    """Otherwise the law above would hold for forecasts that read nothing."""
    table = grid(ROWS)
    baseline = fitted(name, table)
    before = baseline.forecast(table)
    table.loc[200, "value"] += 5
    assert not np.allclose(baseline.forecast(table)[200:], before[200:])


@pytest.mark.parametrize("name", NAMES)
@given(change=st.floats(-50, 50))
@settings(max_examples=8)
def test_no_reading_of_another_segment_changes_a_forecast(name: str, change: float) -> None:
    table = grid(ROWS, breaks=(BREAK,))
    baseline = fitted(name, table)
    before = baseline.forecast(table)[BREAK:]
    table.loc[: BREAK - 1, "value"] += change
    np.testing.assert_allclose(baseline.forecast(table)[BREAK:], before, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@given(row=st.integers(int(ROWS * 0.7), ROWS - 1), value=st.floats(-100, 100))
@settings(max_examples=8)
def test_no_reading_outside_the_fitted_parts_changes_what_was_learned(name: str, row: int, value: float) -> None:
    table = grid(ROWS)
    spoilt = table.copy()
    spoilt.loc[row:, "value"] = value
    np.testing.assert_array_equal(fitted(name, spoilt).forecast(table), fitted(name, table).forecast(table))


@pytest.mark.parametrize("name", NAMES)
@given(change=st.floats(-20, 20))
@settings(max_examples=8)
def test_a_shift_of_all_readings_shifts_the_forecasts(name: str, change: float) -> None:
    table = grid(ROWS)
    moved = table.assign(value=table["value"] + change)
    before, after = fitted(name, table).forecast(table), fitted(name, moved).forecast(moved)
    np.testing.assert_allclose(after, before + change, atol=1e-4)


@given(st.lists(st.integers(1, 299), max_size=6), st.integers(1, 8), st.sampled_from([600, 3600, 5000]))
@settings(max_examples=15)
def test_all_answer_for_every_row(breaks: list[int], horizon: int, cadence: int) -> None:
    table = grid(300, breaks=tuple(sorted(breaks)))
    for made in baseline_forecasts(table, horizon, cadence).values():
        assert made.shape == (300, horizon)
        assert np.isfinite(made).all()
