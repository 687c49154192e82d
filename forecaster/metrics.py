"""Forecast errors: what was to be forecast, the usual measures, and an interval for a difference of two of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from forecaster.errors import ConfigError, ForecasterError, InputError, ReadingError
from forecaster.features import residuals

if TYPE_CHECKING:
    import pandas as pd

    from forecaster.arrays import Doubles

Metric = Literal["rmse", "mae"]
LEVEL = 0.95  # share of the bootstrap differences inside an interval


@dataclass(frozen=True)
class ErrorFigures:
    """Measures of one set of forecasts.

    Attributes:
        mae: mean absolute error, °C.
        rmse: root mean squared error, °C.
        mape: mean absolute error in % of the absolute reading; readings of exactly 0 °C are left out, and those
            near it weigh much, for 0 °C is an arbitrary point. NaN where no reading is left.
        mase: mean absolute error over the in-sample error of the one-step naive forecast (Hyndman & Koehler 2006).
        count: forecasts that have a reading to compare with; 0 makes the other figures NaN.
    """

    mae: float
    rmse: float
    mape: float
    mase: float
    count: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None for NaN."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ErrorFigures:
        """The inverse of `as_dict`."""
        read: dict[str, Any] = {name: math.nan if value is None else value for name, value in fields.items()}
        return cls(**read)


@dataclass(frozen=True)
class ForecastMetrics:
    """Measures over all horizons together, and of each horizon from the first to the last."""

    overall: ErrorFigures
    by_horizon: tuple[ErrorFigures, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the overall figures, and `by_horizon` beside them."""
        return {**self.overall.as_dict(), "by_horizon": [figures.as_dict() for figures in self.by_horizon]}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> ForecastMetrics:
        """The inverse of `as_dict`."""
        overall = {name: value for name, value in fields.items() if name != "by_horizon"}
        return cls(ErrorFigures.from_dict(overall), tuple(map(ErrorFigures.from_dict, fields["by_horizon"])))


@dataclass(frozen=True)
class Interval:
    """A difference with its bootstrap interval, in °C."""

    estimate: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign of the difference is certain at the interval's level."""
        return self.low > 0 or self.high < 0


def truth(grid: pd.DataFrame, horizon: int) -> Doubles:
    """The readings to be forecast at every row, `(rows, horizon)`, in °C.

    Column k−1 holds the value k steps later; NaN where that row lies in another segment, past the end, or was
    filled. Parts do not matter: a forecast made in one part may be about the next.
    """
    changes = residuals(grid[["value", "segment", "filled"]], horizon)
    return np.asarray(grid["value"].to_numpy(np.float64)[:, None] + changes)


def naive_scale(grid: pd.DataFrame) -> float:
    """MASE's denominator in °C: mean absolute one-step change in the training part (Hyndman & Koehler 2006).

    Raises:
        ReadingError: the training part has no step, or never changes.
    """
    steps = np.abs(residuals(grid, 1)[(grid["part"] == "train").to_numpy(), 0])
    steps = steps[np.isfinite(steps)]
    scale = float(steps.mean()) if len(steps) else 0.0
    if scale == 0:
        msg = f"the {len(steps)} steps of the training part have a mean change of 0.0 °C, give readings that change"
        raise ReadingError(msg)
    return scale


def score(forecasts: Doubles, truth: Doubles, scale: float) -> ForecastMetrics:
    """Compare forecasts with readings, over all horizons and for each.

    Args:
        forecasts: `(origins, horizon)`, °C.
        truth: the same shape; NaN is left out.
        scale: MASE's denominator, °C, above 0 (see `naive_scale`).

    Raises:
        InputError: shapes differ, the scale is not above 0, or no reading is known.
        ForecasterError: a forecast is not finite where the reading is known.
    """
    if not (math.isfinite(scale) and scale > 0):
        msg = f"the scale of MASE is {scale!r}, expected °C above 0: take naive_scale of the grid"
        raise InputError(msg)
    errors = forecast_errors(forecasts, truth)
    if not np.isfinite(errors).any():
        msg = f"none of {truth.shape[0]} origins has a reading to compare with, give a longer part or a shorter horizon"
        raise InputError(msg)
    by_horizon = tuple(_figures(errors[:, k], truth[:, k], scale) for k in range(truth.shape[1]))
    return ForecastMetrics(_figures(errors, truth, scale), by_horizon)


def forecast_errors(forecasts: Doubles, truth: Doubles) -> Doubles:
    """Forecast minus reading, `(origins, horizon)`, °C; NaN where the reading is unknown.

    Raises:
        InputError: shapes differ.
        ForecasterError: a forecast is not finite where the reading is known.
    """
    if forecasts.shape != truth.shape:
        msg = f"forecasts have shape {forecasts.shape!r}, expected {truth.shape!r} (origins, horizon) like the readings"
        raise InputError(msg)
    known = np.isfinite(truth)
    broken = known & ~np.isfinite(forecasts)
    if broken.any():
        origin, step = np.argwhere(broken)[0]
        msg = (
            f"the forecast of row {origin} at step {step + 1} is {float(forecasts[origin, step])!r} where a finite °C "
            f"is expected ({int(broken.sum())} such in all): train again or check the baseline"
        )
        raise ForecasterError(msg)
    return np.where(known, forecasts - truth, np.nan)


def _figures(errors: Doubles, truth: Doubles, scale: float) -> ErrorFigures:
    known = np.isfinite(errors)
    size, reading = np.abs(errors[known]), np.abs(truth[known])
    if len(size) == 0:
        return ErrorFigures(math.nan, math.nan, math.nan, math.nan, 0)
    relative = size[reading > 0] / reading[reading > 0]
    mae = float(size.mean())
    mape = 100 * float(relative.mean()) if len(relative) else math.nan
    return ErrorFigures(mae, float(np.sqrt(np.square(size).mean())), mape, mae / scale, len(size))


def difference_interval(  # noqa: PLR0913 - settings by keyword
    errors_a: Doubles, errors_b: Doubles, *, block: int, samples: int, seed: int, metric: Metric = "rmse"
) -> Interval:
    """The difference a − b of two errors with its 95 % interval; below 0 means that a is better.

    Paired moving-block bootstrap (Künsch 1989): each sample draws overlapping blocks of successive origins, the
    same for both, so that what a day does to both forecasts cancels and the dependence within a block stays.

    Args:
        errors_a, errors_b: `(origins, horizon)` in °C, in time order; NaN where the reading is unknown.
        block: origins of a block; one day of steps keeps the daily cycle whole.
        samples: bootstrap samples.
        seed: of the drawing.
        metric: pooled over all horizons.

    Raises:
        InputError: shapes differ, or an error is known for one of them only.
        ConfigError: block or samples outside their range.
    """
    if errors_a.shape != errors_b.shape or not np.array_equal(np.isnan(errors_a), np.isnan(errors_b)):
        msg = (
            f"errors of shape {errors_a.shape!r} and {errors_b.shape!r} are not pairs: score both on the same readings"
        )
        raise InputError(msg)
    origins = len(errors_a)
    if not (1 <= block <= origins and samples >= 1):
        msg = f"block {block!r} must be 1 to {origins} (the origins) and samples {samples!r} at least 1: choose them so"
        raise ConfigError(msg)
    sums = np.stack([_losses(errors_a, metric), _losses(errors_b, metric), np.isfinite(errors_a).sum(axis=1)])
    until = np.concatenate([np.zeros((3, 1)), sums.cumsum(axis=1)], axis=1)
    blocks = until[:, block:] - until[:, :-block]
    starts = np.random.default_rng(seed).integers(0, blocks.shape[1], (samples, -(-origins // block)))
    drawn = _difference(*(row[starts].sum(axis=1) for row in blocks), metric=metric)
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    estimate = _difference(*sums.sum(axis=1, keepdims=True), metric=metric)[0]
    return Interval(float(estimate), float(low), float(high))


def _losses(errors: Doubles, metric: Metric) -> Doubles:
    """Sum of the squared or absolute errors of each origin, `(origins,)`."""
    return np.asarray(np.nansum(np.square(errors) if metric == "rmse" else np.abs(errors), axis=1))


def _difference(first: Doubles, second: Doubles, count: Doubles, *, metric: Metric) -> Doubles:
    with np.errstate(invalid="ignore"):  # a sample of blocks without any reading says nothing: NaN
        # Differences of running sums can fall below 0 by rounding.
        means = np.maximum(first, 0) / count, np.maximum(second, 0) / count
    a, b = map(np.sqrt, means) if metric == "rmse" else means
    return np.asarray(a - b)
