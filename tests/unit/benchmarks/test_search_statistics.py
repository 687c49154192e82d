"""Intervals over seeds: against SciPy's tests, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.search_statistics import Estimate, difference, estimate, median_interval

FIVE = [0.31, 0.29, 0.30, 0.34, 0.28]


def ends(found: Estimate) -> list[float]:
    assert found["low"] is not None
    assert found["high"] is not None
    return [found["low"], found["high"]]


def test_the_interval_of_a_mean_is_students() -> None:
    found = estimate(FIVE)
    expected = stats.ttest_1samp(FIVE, 0.0).confidence_interval(0.95)
    assert found["mean"] == pytest.approx(np.mean(FIVE))
    assert ends(found) == pytest.approx([expected.low, expected.high])


def test_one_of_several_intervals_is_wider() -> None:
    found = estimate(FIVE, 5)
    expected = stats.ttest_1samp(FIVE, 0.0).confidence_interval(0.99)
    assert ends(found) == pytest.approx([expected.low, expected.high])


def test_five_intervals_of_equals_hold_all_together_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    whole = 0
    for _ in range(2000):
        found = [ends(estimate(list(row), 5)) for row in rng.normal(size=(5, 5))]
        whole += all(low <= 0 <= high for low, high in found)
    assert 0.935 <= whole / 2000 <= 0.97


def test_one_seed_has_no_interval() -> None:
    assert estimate([0.3]) == {"mean": 0.3, "low": None, "high": None}
    assert median_interval([0.3]) == (None, None)
    found = difference([0.3], [0.1, 0.2])
    assert found["mean"] == pytest.approx(0.15)
    assert (found["low"], found["high"]) == (None, None)


def test_equal_seeds_have_an_interval_without_width() -> None:
    assert estimate([0.3, 0.3, 0.3]) == {"mean": 0.3, "low": 0.3, "high": 0.3}
    assert ends(difference([0.3, 0.3], [0.1, 0.1])) == pytest.approx([0.2, 0.2])


def test_the_interval_of_a_difference_is_welchs() -> None:
    others = [0.2, 0.5, 0.4]
    found = difference(FIVE, others)
    expected = stats.ttest_ind(FIVE, others, equal_var=False).confidence_interval(0.95)
    assert found["mean"] == pytest.approx(np.mean(FIVE) - np.mean(others))
    assert ends(found) == pytest.approx([expected.low, expected.high])


def test_an_interval_of_medians() -> None:
    assert median_interval([1.0, 2.0, 3.0, 4.0, 100.0]) == (1.0, 100.0)
    assert median_interval([1.0, 2.0, 2.0, 2.0, 2.0])[1] == 2.0
    assert median_interval([0.1, 0.5, 0.7]) == median_interval([0.1, 0.5, 0.7])
