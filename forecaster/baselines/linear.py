"""Ridge regression on the readings of the last day and the hour of day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecaster.baselines.history import DAY_SECONDS, first_rows, past_values, steps_per_day
from forecaster.features import residuals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from forecaster.arrays import Doubles

MOST_LAGS = 144  # one day at a ten-minute cadence
HARMONICS = (1, 2)  # of the day
# Small beside the spread of a thousand readings; only keeps neighbouring lags from being told apart by noise.
PENALTY = 0.5
CHUNK = 16384  # rows whose lags are in memory at once


def lag_count(cadence_seconds: int) -> int:
    """Readings that a lag model sees: one day, at most 144."""
    return min(MOST_LAGS, steps_per_day(cadence_seconds))


def lag_features(grid: pd.DataFrame, rows: NDArray[np.int64], lags: int) -> Doubles:
    """Readings up to each row, newest first, then the hour of day, `(rows, lags + 4)`.

    Before a segment's beginning its first value stands in. The hour of day is sine and cosine of its first two
    harmonics.
    """
    time = grid["time"].iloc[rows]
    turns = (time - time.dt.normalize()).dt.total_seconds().to_numpy() / DAY_SECONDS
    angles = 2 * np.pi * turns[:, None] * np.array(HARMONICS)
    return np.hstack([past_values(grid, rows, np.arange(lags)), np.sin(angles), np.cos(angles)])


def learnable(grid: pd.DataFrame, horizon: int, lags: int, parts: Sequence[str]) -> tuple[NDArray[np.int64], Doubles]:
    """Rows of `parts` with a whole history and a reading at every horizon, and their changes from the last reading.

    Returns:
        Rows `(rows,)` and changes `(rows, horizon)` in °C; no change reaches into another part.
    """
    changes = residuals(grid, horizon)
    whole = np.arange(len(grid)) - first_rows(grid) >= lags - 1
    rows = np.flatnonzero(whole & grid["part"].isin(parts).to_numpy() & np.isfinite(changes).all(axis=1))
    return rows, changes[rows]


class Ridge:
    """Direct forecasts of the change from the last reading, one linear model a horizon (Hoerl & Kennard 1970).

    Closed form over centred lags and hours. A training part without a row to learn from gives persistence.
    """

    name = "ridge"

    def fit(self, grid: pd.DataFrame, horizon: int, cadence_seconds: int, parts: Sequence[str]) -> None:
        """Solve (X'X + λI) W = X'Y over the rows of `parts`."""
        self.lags = lag_count(cadence_seconds)
        rows, changes = learnable(grid, horizon, self.lags, parts)
        width = self.lags + 2 * len(HARMONICS)
        self.centre, self.offset = np.zeros(width), np.zeros(horizon)
        self.weights = np.zeros((width, horizon))
        if len(rows) == 0:
            return
        self.centre = sum(lag_features(grid, some, self.lags).sum(axis=0) for some in _chunks(rows)) / len(rows)
        self.offset = changes.mean(axis=0)
        gram, moment = np.zeros((width, width)), np.zeros((width, horizon))
        for at in _chunks(np.arange(len(rows))):
            inputs = lag_features(grid, rows[at], self.lags) - self.centre
            gram += inputs.T @ inputs
            moment += inputs.T @ (changes[at] - self.offset)
        self.weights = np.linalg.solve(gram + PENALTY * np.eye(width), moment)

    def forecast(self, grid: pd.DataFrame) -> Doubles:
        """Forecasts made at every row, `(rows, horizon)`, °C."""
        value, out = grid["value"].to_numpy(np.float64), np.empty((len(grid), len(self.offset)))
        for rows in _chunks(np.arange(len(grid))):
            inputs = lag_features(grid, rows, self.lags) - self.centre
            out[rows] = value[rows, None] + self.offset + inputs @ self.weights
        return out


def _chunks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
