"""Forecasts that a model has to beat, each answering at every row from what was known up to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from forecaster.baselines.linear import Ridge
from forecaster.baselines.naive import Drift, Persistence, SeasonalNaive

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from forecaster.arrays import Doubles


class Baseline(Protocol):
    """A rival of the model."""

    name: str

    def fit(self, grid: pd.DataFrame, horizon: int, cadence_seconds: int, parts: Sequence[str]) -> None:
        """Learn from the rows whose part is one of `parts`.

        Args:
            grid: split grid frame.
            horizon: steps to forecast.
            cadence_seconds: time between rows of a segment.
            parts: parts whose readings may be learned from.
        """
        ...

    def forecast(self, grid: pd.DataFrame) -> Doubles:
        """Forecasts made at every row, `(rows, horizon)` in °C, from readings of its segment up to that row."""
        ...


def standard_baselines() -> tuple[Baseline, ...]:
    """Every baseline that an evaluation compares with."""
    # The configuration's schema imports this package, and no command should wait for numba.
    from forecaster.baselines.smoothing import DampedTrend  # noqa: PLC0415

    return (Persistence(), Drift(), SeasonalNaive(), Ridge(), DampedTrend())


def baseline_forecasts(
    grid: pd.DataFrame, horizon: int, cadence_seconds: int, fit_parts: Sequence[str] = ("train",)
) -> dict[str, Doubles]:
    """Fit every standard baseline and forecast the whole grid.

    Args:
        grid: split grid frame.
        horizon: steps to forecast.
        cadence_seconds: time between rows of a segment.
        fit_parts: parts to learn from; also "validation" for a model that has learned from it.

    Returns:
        Forecasts `(rows, horizon)` in °C by the baseline's name.
    """
    forecasts = {}
    for baseline in standard_baselines():
        baseline.fit(grid, horizon, cadence_seconds, fit_parts)
        forecasts[baseline.name] = baseline.forecast(grid)
    return forecasts
