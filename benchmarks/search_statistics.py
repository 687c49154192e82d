"""Intervals over the seeds of the comparison."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 0.95
SAMPLES = 10_000


class Estimate(TypedDict):
    """A mean and its interval; one value has none."""

    mean: float
    low: float | None
    high: float | None


def estimate(values: Sequence[float], comparisons: int = 1) -> Estimate:
    """Mean and its interval by Student's t: a bootstrap of five seeds is a third too narrow.

    Args:
        values: one for each seed.
        comparisons: intervals that shall hold their means all together (Bonferroni), this one among them.
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None}
    return _around(mean, _variance(values), len(values) - 1, comparisons)


def difference(ours: Sequence[float], others: Sequence[float]) -> Estimate:
    """Mean of the one minus mean of the other, and its interval (Welch 1947) over the seeds of both."""
    mean = statistics.fmean(ours) - statistics.fmean(others)
    if min(len(ours), len(others)) < 2:
        return {"mean": mean, "low": None, "high": None}
    own, theirs = _variance(ours), _variance(others)
    if own + theirs == 0:
        return {"mean": mean, "low": mean, "high": mean}
    freedom = (own + theirs) ** 2 / (own**2 / (len(ours) - 1) + theirs**2 / (len(others) - 1))
    return _around(mean, own + theirs, freedom, 1)


def median_interval(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """Of the median, by a bootstrap over seeds (percentiles, Efron 1979); none from a single seed."""
    if len(values) < 2:
        return (None, None)
    drawn = np.random.default_rng(0).integers(0, len(values), (SAMPLES, len(values)))
    medians = np.median(np.asarray(values, float)[drawn], axis=1)
    low, high = np.quantile(medians, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return (float(low), float(high))


def _variance(values: Sequence[float]) -> float:
    """Of the mean."""
    return float(np.var(values, ddof=1)) / len(values)


def _around(mean: float, variance: float, freedom: float, comparisons: int) -> Estimate:
    half = float(stats.t.ppf(1 - (1 - LEVEL) / 2 / comparisons, freedom)) * math.sqrt(variance)
    return {"mean": mean, "low": mean - half, "high": mean + half}
