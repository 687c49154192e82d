"""Forecasts that learn nothing: persistence, linear drift, the same time a day ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecaster.baselines.history import first_rows, past_values, steps_per_day

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from forecaster.arrays import Doubles

DRIFT_STEPS = 6


class Persistence:
    """The last reading stays: ŷ_{t+k} = y_t."""

    name = "persistence"

    def fit(self, grid: pd.DataFrame, horizon: int, cadence_seconds: int, parts: Sequence[str]) -> None:  # noqa: ARG002 - the signature all share
        """Take the horizon; there is nothing to learn."""
        self.horizon = horizon

    def forecast(self, grid: pd.DataFrame) -> Doubles:
        """Forecasts made at every row, `(rows, horizon)`, °C."""
        return np.repeat(grid["value"].to_numpy(np.float64)[:, None], self.horizon, axis=1)


class Drift:
    """The change over the last 6 steps goes on: ŷ_{t+k} = y_t + k (y_t − y_{t−6}) / 6.

    Where the segment is younger, its first value stands for y_{t−6}, so that the slope begins at 0.
    """

    name = "drift"

    def fit(self, grid: pd.DataFrame, horizon: int, cadence_seconds: int, parts: Sequence[str]) -> None:  # noqa: ARG002 - the signature all share
        """Take the horizon; there is nothing to learn."""
        self.horizon = horizon

    def forecast(self, grid: pd.DataFrame) -> Doubles:
        """Forecasts made at every row, `(rows, horizon)`, °C."""
        pair = past_values(grid, np.arange(len(grid)), np.array([0, DRIFT_STEPS]))
        slope = (pair[:, :1] - pair[:, 1:]) / DRIFT_STEPS
        return pair[:, :1] + slope * np.arange(1, self.horizon + 1)


class SeasonalNaive:
    """The value one day before the target's time; persistence where the segment does not reach back that far.

    A horizon of more than a day takes the newest known day with that time.
    """

    name = "seasonal naive"

    def fit(self, grid: pd.DataFrame, horizon: int, cadence_seconds: int, parts: Sequence[str]) -> None:  # noqa: ARG002 - the signature all share
        """Take horizon and cadence; there is nothing to learn."""
        self.horizon, self.day = horizon, steps_per_day(cadence_seconds)

    def forecast(self, grid: pd.DataFrame) -> Doubles:
        """Forecasts made at every row, `(rows, horizon)`, °C."""
        ahead = np.arange(1, self.horizon + 1)
        lags = -(-ahead // self.day) * self.day - ahead
        rows, value = np.arange(len(grid)), grid["value"].to_numpy(np.float64)
        known = rows[:, None] - lags >= first_rows(grid)[:, None]
        return np.where(known, past_values(grid, rows, lags), value[:, None])
