"""The e-value: the integral that it stands for, a fair game where nobody is better, and its error rate."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from deployers.hub.settings import ShadowSection
from deployers.hub.shadow.betting import e_value
from deployers.hub.shadow.simulation import Differences, simulated

RULES = ShadowSection()


@pytest.mark.parametrize(("better", "days"), [(0, 0), (0, 9), (5, 5), (9, 12), (14, 28), (27, 28), (3, 60), (200, 365)])
def test_it_is_the_integral_over_all_bets(better: int, days: int) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(200)  # exact: it is a polynomial of a lower degree than 400
    bets = (nodes + 1) / 2
    money = np.exp(better * np.log1p(bets) + (days - better) * np.log1p(-bets))
    assert e_value(better, days) == pytest.approx(float(weights @ money) / 2, rel=1e-9)


@pytest.mark.parametrize("days", [0, 1, 7, 28, 200])
def test_it_is_a_fair_game_where_better_is_as_likely_as_not(days: int) -> None:
    for better in range(days + 1):
        tomorrow = (e_value(better + 1, days + 1) + e_value(better, days + 1)) / 2
        assert tomorrow == pytest.approx(e_value(better, days), rel=1e-12)


def test_more_better_days_say_more_and_seven_of_seven_are_enough() -> None:
    assert all(one < other for one, other in pairwise(e_value(better, 28) for better in range(29)))
    assert e_value(6, 6) < 20 < e_value(7, 7)


def test_of_equal_models_fewer_than_alpha_are_ever_called_better_though_every_day_is_looked_at() -> None:
    rules = ShadowSection(most_days=200)
    found = simulated(rules, Differences(0.0, 0.02, 0.0), runs=20_000, seed=1)
    assert 0.01 < found.better <= rules.alpha
    assert 0.01 < found.worse <= rules.alpha
    within = simulated(RULES, Differences(0.0, 0.02, 0.15), runs=20_000, seed=1)
    assert within.better <= RULES.alpha, "the correlation of days on the reference readings"


def test_of_worse_models_hardly_one_is_called_better_and_the_simulation_mirrors() -> None:
    found = simulated(RULES, Differences(-0.02, 0.02, 0.0), runs=5000, seed=1)
    assert found.better < 0.001
    assert found.worse == pytest.approx(simulated(RULES, Differences(0.02, 0.02, 0.0), 5000, 2).better, abs=0.02)


@pytest.mark.parametrize(("advantage", "share", "median"), [(0.02, 0.9, 11), (0.05, 1.0, 7), (0.10, 1.0, 7)])
def test_days_until_a_better_one_is_found(advantage: float, share: float, median: int) -> None:
    found = simulated(RULES, Differences(advantage, 0.02, 0.15), runs=20_000, seed=1)
    assert found.better == pytest.approx(share, abs=0.02)
    assert found.days is not None
    assert found.days[1] == median


def test_a_margin_is_asked_for_on_top() -> None:
    rules = ShadowSection(margin=0.02)
    assert simulated(rules, Differences(0.02, 0.02, 0.0), 20_000, 1).better <= rules.alpha
