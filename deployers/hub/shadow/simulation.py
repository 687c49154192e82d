"""How often the test errs, and how many days it takes, by simulated days."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deployers.hub.shadow.betting import e_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deployers.hub.settings import ShadowSection


class Outcome(NamedTuple):
    """Of many challengers.

    Attributes:
        better, worse, undecided: shares of them, by their verdict.
        days: until the verdict, 10th, 50th and 90th percentile of those called better; none of none.
    """

    better: float
    worse: float
    undecided: float
    days: tuple[float, float, float] | None


class Differences(NamedTuple):
    """How much better a challenger's skill is than its champion's, day by day: normal numbers.

    Attributes:
        advantage: their mean.
        spread: their standard deviation.
        correlation: of one with that of the day before.
    """

    advantage: float
    spread: float
    correlation: float


def simulated(rules: ShadowSection, differences: Differences, runs: int, seed: int) -> Outcome:
    """Challengers that are looked at every day.

    Args:
        rules: of the test.
        differences: of their days.
        runs: challengers.
        seed: of the random numbers.
    """
    noise = _days(np.random.default_rng(seed), differences.correlation, (runs, rules.most_days))
    apart = differences.advantage + differences.spread * noise
    table = _table(rules.most_days)
    days = np.arange(1, rules.most_days + 1)
    enough = (days >= rules.least_days) & (table[days, np.cumsum(apart > rules.margin, axis=1)] >= 1 / rules.alpha)
    losing = (days >= rules.least_days) & (table[days, np.cumsum(-apart > rules.margin, axis=1)] >= 1 / rules.alpha)
    better, worse = _first(enough), _first(losing)
    is_better, is_worse = better < worse, worse < better
    quantiles = np.quantile(better[is_better], (0.1, 0.5, 0.9), method="higher") if is_better.any() else None
    return Outcome(
        float(is_better.mean()),
        float(is_worse.mean()),
        float((~is_better & ~is_worse).mean()),
        None if quantiles is None else (float(quantiles[0]), float(quantiles[1]), float(quantiles[2])),
    )


def _days(random: np.random.Generator, correlation: float, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Standard normal numbers, each row an autoregressive series that has gone on for ever."""
    found = random.normal(size=shape)
    for day in range(1, shape[1]):
        found[:, day] = correlation * found[:, day - 1] + np.sqrt(1 - correlation**2) * found[:, day]
    return found


def _table(most: int) -> NDArray[np.float64]:
    """E-values by days and better days."""
    table = np.ones((most + 1, most + 1))
    for days in range(most + 1):
        table[days, : days + 1] = [e_value(better, days) for better in range(days + 1)]
    return table


def _first(reached: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first day on which it is, from 1; beyond all days where it never is."""
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, reached.shape[1] + 1)
