"""History ends at the border of its segment."""

from __future__ import annotations

import numpy as np
import pytest

from forecaster.baselines.history import first_rows, past_values, steps_per_day
from tests.synthetic import grid


def test_first_rows_are_those_of_the_segment() -> None:
    assert first_rows(grid(7, breaks=(3, 5))).tolist() == [0, 0, 0, 3, 3, 5, 5]


def test_first_rows_of_an_empty_grid() -> None:
    assert first_rows(grid(7).iloc[:0]).shape == (0,)


def test_past_values_repeat_the_first_value_of_the_segment() -> None:
    table = grid(6, breaks=(3,)).assign(value=[1.0, 2, 3, 10, 20, 30])
    made = past_values(table, np.arange(6), np.array([0, 1, 2]))
    assert made.tolist() == [[1, 1, 1], [2, 1, 1], [3, 2, 1], [10, 10, 10], [20, 10, 10], [30, 20, 10]]


def test_past_values_take_the_rows_asked_for() -> None:
    table = grid(4).assign(value=[1.0, 2, 3, 4])
    assert past_values(table, np.array([3]), np.array([2])).tolist() == [[2]]


@pytest.mark.parametrize(("cadence", "steps"), [(600, 144), (3600, 24), (7 * 60, 206), (86400, 1), (10 * 86400, 1)])
def test_steps_per_day_are_the_nearest_and_at_least_one(cadence: int, steps: int) -> None:
    assert steps_per_day(cadence) == steps
