"""The set of baselines is fitted and asked as one."""

from __future__ import annotations

import numpy as np
import pytest

from forecaster.baselines import baseline_forecasts, standard_baselines
from forecaster.evaluation import PERSISTENCE, RIDGE
from tests.synthetic import CADENCE, grid


def test_the_names_are_different_and_hold_those_the_gate_asks_for() -> None:
    names = [baseline.name for baseline in standard_baselines()]
    assert len(set(names)) == len(names)
    assert {PERSISTENCE, RIDGE} <= set(names)


def test_each_call_gives_fresh_baselines() -> None:
    first, second = standard_baselines(), standard_baselines()
    assert not any(one is other for one, other in zip(first, second, strict=True))


def test_forecasts_are_those_of_each_baseline_alone() -> None:
    table = grid(700)
    together = baseline_forecasts(table, 3, CADENCE)
    for baseline in standard_baselines():
        baseline.fit(table, 3, CADENCE, ("train",))
        np.testing.assert_array_equal(together[baseline.name], baseline.forecast(table))


@pytest.mark.parametrize("name", ["ridge", "damped trend"])
def test_the_parts_to_learn_from_are_passed_on(name: str) -> None:
    table = grid(900)
    alone = baseline_forecasts(table, 3, CADENCE)[name]
    both = baseline_forecasts(table, 3, CADENCE, ("train", "validation"))[name]
    assert not np.array_equal(alone, both)


def test_the_grid_is_left_as_it_was() -> None:
    table = grid(400, breaks=(100,))
    before = table.copy()
    baseline_forecasts(table, 3, CADENCE)
    assert table.equals(before)
