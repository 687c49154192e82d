"""Exponential smoothing with a damped trend."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from forecaster.baselines.history import first_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from forecaster.arrays import Bools, Doubles

# α, β/α and φ. The damping stays where it differs from no trend and from no damping (Hyndman et al. 2008, 2.3).
BOUNDS = np.array([(0.01, 1.0), (0.0, 1.0), (0.8, 0.98)])
GRID, ROUNDS = 7, 5  # the last round's grid is finer than a thousandth of the bounds


class DampedTrend:
    """Holt's method with additive damped trend, ETS(A,Ad,N) (Gardner & McKenzie 1985; Hyndman et al. 2008).

        ε_t = y_t − l_{t−1} − φ b_{t−1},   l_t = y_t − (1−α) ε_t,   b_t = φ b_{t−1} + β ε_t
        ŷ_{t+k} = l_t + (φ + φ² + … + φᵏ) b_t

    The state of a segment begins with its first value and no trend. α, β and φ have the lowest squared
    one-step error over the rows fitted.
    """

    name = "damped trend"

    def fit(self, grid: pd.DataFrame, horizon: int, cadence_seconds: int, parts: Sequence[str]) -> None:  # noqa: ARG002 - the signature all share
        """Find α, β and φ on grids that shrink around the best point, which misses no valley as a descent may."""
        self.horizon = horizon
        value, begins = _columns(grid)
        taken = grid["part"].isin(parts).to_numpy() & ~grid["filled"].to_numpy(bool)
        # Rows behind the last one taken change nothing, for the recursion looks back only.
        last = int(np.flatnonzero(taken)[-1]) + 1 if taken.any() else 0
        value, begins, taken = value[:last], begins[:last], taken[:last]
        low, high = BOUNDS.T
        for _ in range(ROUNDS):
            axes = np.linspace(low, high, GRID).T
            best = np.array(min(product(*axes), key=lambda point: _loss(value, begins, taken, point)))
            step = (high - low) / (GRID - 1)
            low, high = np.maximum(best - step, BOUNDS[:, 0]), np.minimum(best + step, BOUNDS[:, 1])
        self.alpha, self.beta, self.phi = float(best[0]), float(best[0] * best[1]), float(best[2])

    def forecast(self, grid: pd.DataFrame) -> Doubles:
        """Forecasts made at every row, `(rows, horizon)`, °C."""
        level, trend, _ = smoothed(*_columns(grid), self.alpha, self.beta, self.phi)
        damping = np.cumsum(self.phi ** np.arange(1, self.horizon + 1))
        return np.asarray(level[:, None] + trend[:, None] * damping)


@njit(cache=True)
def smoothed(value: Doubles, begins: Bools, alpha: float, beta: float, phi: float) -> tuple[Doubles, Doubles, Doubles]:
    """Level, trend and one-step error of every row, `(rows,)` each, °C; a state begins where `begins` is true."""
    level, trend, error = np.empty_like(value), np.empty_like(value), np.empty_like(value)
    for row in range(len(value)):
        if begins[row]:
            level[row], trend[row], error[row] = value[row], 0.0, 0.0
        else:
            error[row] = value[row] - level[row - 1] - phi * trend[row - 1]
            level[row] = value[row] - (1 - alpha) * error[row]
            trend[row] = phi * trend[row - 1] + beta * error[row]
    return level, trend, error


def _columns(grid: pd.DataFrame) -> tuple[Doubles, Bools]:
    return grid["value"].to_numpy(np.float64), first_rows(grid) == np.arange(len(grid))


def _loss(value: Doubles, begins: Bools, taken: Bools, point: tuple[float, ...]) -> float:
    """Sum of the squared one-step errors of the rows taken."""
    alpha, share, phi = point
    error = smoothed(value, begins, alpha, alpha * share, phi)[2]
    return float(np.square(error[taken]).sum())
