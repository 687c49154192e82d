"""Exponential smoothing with a damped trend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.signal import lfilter

from forecaster.baselines.history import first_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from forecaster.arrays import Bools, Doubles

# α, β/α and φ; the damping stays where it differs from no trend and from no damping (Hyndman et al. 2008, 2.3).
BOUNDS = ((1e-4, 1 - 1e-4), (1e-4, 1 - 1e-4), (0.8, 0.98))
STARTS = ((0.9, 0.5, 0.9), (0.5, 0.1, 0.9))


class DampedTrend:
    """Holt's method with additive damped trend, ETS(A,Ad,N) (Gardner & McKenzie 1985; Hyndman et al. 2008).

        ε_t = y_t − ℓ_{t−1} − φ b_{t−1},   ℓ_t = y_t − (1−α) ε_t,   b_t = φ b_{t−1} + β ε_t
        ŷ_{t+k} = ℓ_t + (φ + φ² + … + φᵏ) b_t

    The state of a segment begins with its first value and no trend. α, β and φ have the lowest squared
    one-step error over the parts fitted; readings that never change leave them where they start.
    """

    name = "damped trend"

    def fit(self, grid: pd.DataFrame, horizon: int, cadence_seconds: int, parts: Sequence[str]) -> None:
        """Find α, β and φ by L-BFGS-B from two starting points."""
        self.horizon = horizon
        taken = grid["part"].isin(parts).to_numpy() & ~grid["filled"].to_numpy(bool)
        # Rows behind the last one taken change nothing: the recursion looks back only.
        last = int(np.flatnonzero(taken)[-1]) + 1 if taken.any() else 0
        steps, taken = _steps(grid.iloc[:last]), taken[:last]
        found = [minimize(_loss, start, (steps, taken), "L-BFGS-B", bounds=BOUNDS) for start in STARTS] if last else []
        best = min(found, key=lambda result: float(result.fun)).x if found else STARTS[0]
        self.alpha, self.beta, self.phi = float(best[0]), float(best[0] * best[1]), float(best[2])

    def forecast(self, grid: pd.DataFrame) -> Doubles:
        """Forecasts made at every row, `(rows, horizon)`, °C."""
        errors = np.concatenate([_innovations(s, self.alpha, self.beta, self.phi) for s in _steps(grid)])
        trend = np.concatenate([lfilter([self.beta], [1, -self.phi], e) for e in np.split(errors, _cuts(grid))])
        level = grid["value"].to_numpy(np.float64) - (1 - self.alpha) * errors
        damping = np.cumsum(self.phi ** np.arange(1, self.horizon + 1))
        return np.asarray(level[:, None] + trend[:, None] * damping)


def _cuts(grid: pd.DataFrame) -> np.ndarray:
    """Rows at which a segment begins, without row 0."""
    return np.unique(first_rows(grid))[1:]


def _steps(grid: pd.DataFrame) -> list[Doubles]:
    """Differences to the row before, by segment; 0 in its first row."""
    return [np.diff(values, prepend=values[:1]) for values in np.split(grid["value"].to_numpy(np.float64), _cuts(grid))]


def _innovations(steps: Doubles, alpha: float, beta: float, phi: float) -> Doubles:
    """One-step errors ε of one segment, `(rows,)`.

    Eliminating level and trend from the equations above leaves a linear filter of the differences:
    ε_t + (α − 1 − φ + φβ) ε_{t−1} + φ (1 − α) ε_{t−2} = Δy_t − φ Δy_{t−1}.
    """
    return np.asarray(lfilter([1, -phi], [1, alpha - 1 - phi + phi * beta, phi * (1 - alpha)], steps))


def _loss(parameters: Doubles, steps: list[Doubles], taken: Bools) -> float:
    alpha, share, phi = parameters
    errors = np.concatenate([_innovations(s, alpha, alpha * share, phi) for s in steps])
    return float(np.square(errors[taken]).mean())
