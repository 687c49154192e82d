"""Baselines without learning follow their formulas in every row, young segments included."""

from __future__ import annotations

import numpy as np
import pytest

from forecaster.baselines.naive import Drift, Persistence, SeasonalNaive
from tests.synthetic import grid

SIX_HOURS = 6 * 3600


def forecast(
    baseline, values: list[float], horizon: int, cadence: int = 600, breaks: tuple[int, ...] = ()
) -> np.ndarray:
    table = grid(len(values), breaks=breaks).assign(value=values)
    baseline.fit(table, horizon, cadence, ("train",))
    return baseline.forecast(table)


def test_persistence_repeats_the_last_reading() -> None:
    assert forecast(Persistence(), [1.0, 5.0], 3).tolist() == [[1, 1, 1], [5, 5, 5]]


def test_drift_goes_on_by_the_change_over_six_steps() -> None:
    made = forecast(Drift(), [0.0, 9, 9, 9, 9, 9, 3, 9], 2)
    assert made[6].tolist() == pytest.approx([3 + 0.5, 3 + 1.0])
    assert made[7].tolist() == pytest.approx([9, 9])


def test_drift_of_a_young_segment_takes_its_first_value() -> None:
    made = forecast(Drift(), [0.0] * 8 + [10.0, 16.0], 1, breaks=(8,))
    assert made[8].tolist() == [10]
    assert made[9].tolist() == pytest.approx([16 + 6 / 6])


def test_seasonal_naive_takes_the_value_a_day_before_the_target() -> None:
    made = forecast(SeasonalNaive(), [1.0, 2, 3, 4, 5, 6], 2, SIX_HOURS)
    assert made[4].tolist() == [2, 3]
    assert made[5].tolist() == [3, 4]


def test_seasonal_naive_is_persistence_where_the_day_before_is_not_known() -> None:
    made = forecast(SeasonalNaive(), [1.0, 2, 3, 4, 50, 60, 70, 80, 90], 2, SIX_HOURS, breaks=(4,))
    assert made[0].tolist() == [1, 1]
    assert made[2].tolist() == [3, 1]  # a day before row 3 lies before the grid, a day before row 4 is row 0
    assert made[3].tolist() == [1, 2]
    assert made[4].tolist() == [50, 50]
    assert made[8].tolist() == [60, 70]


def test_seasonal_naive_beyond_a_day_takes_the_newest_day_known() -> None:
    made = forecast(SeasonalNaive(), [1.0, 2, 3, 4, 5, 6, 7, 8], 6, SIX_HOURS)
    assert made[7].tolist() == [5, 6, 7, 8, 5, 6]


@pytest.mark.parametrize("baseline", [Persistence(), Drift(), SeasonalNaive()])
def test_an_answer_for_every_row(baseline) -> None:
    table = grid(400, breaks=(3, 150, 151))
    baseline.fit(table, 4, 600, ("train",))
    made = baseline.forecast(table)
    assert made.shape == (400, 4)
    assert np.isfinite(made).all()
