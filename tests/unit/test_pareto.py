"""The front holds every point that no other beats, and no other point."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from forecaster.pareto import pareto_front

POINTS = st_numpy.arrays(float, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 5))


def test_dominated_points_are_off_the_front() -> None:
    assert pareto_front([[1, 5], [2, 2], [5, 1], [3, 3], [2, 6]]).tolist() == [True, True, True, False, False]


def test_a_point_equal_in_one_and_worse_in_the_other_is_off_the_front() -> None:
    assert pareto_front([[1, 1], [1, 2], [2, 1]]).tolist() == [True, False, False]


def test_equal_points_are_on_the_front_together() -> None:
    assert pareto_front([[1, 1], [1, 1]]).all()


def test_a_point_that_is_not_finite_is_never_on_the_front() -> None:
    table = [[0.0, np.nan], [-np.inf, 1.0], [2.0, 2.0]]
    assert pareto_front(table).tolist() == [False, False, True]


def test_three_objectives() -> None:
    assert pareto_front([[1, 2, 3], [1, 2, 4], [3, 2, 1]]).tolist() == [True, False, True]


def test_no_points_have_no_front() -> None:
    assert pareto_front(np.empty((0, 2))).shape == (0,)


@given(POINTS)
def test_every_point_off_the_front_is_dominated_by_one_on_it(points: np.ndarray) -> None:
    front = pareto_front(points)
    assert front.any()
    for point in points[~front]:
        better = (points[front] <= point).all(axis=1) & (points[front] < point).any(axis=1)
        assert better.any()


@given(POINTS)
def test_no_point_of_the_front_dominates_another_of_it(points: np.ndarray) -> None:
    front = points[pareto_front(points)]
    for one in front:
        assert not ((front <= one).all(axis=1) & (front < one).any(axis=1)).any()
