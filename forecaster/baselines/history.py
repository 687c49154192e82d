"""Past values of a grid, row by row, without a look over the border of a segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from forecaster.arrays import Doubles

DAY_SECONDS = 86400


def first_rows(grid: pd.DataFrame) -> NDArray[np.int64]:
    """For every row the first row of its segment, `(rows,)`."""
    segment = grid["segment"].to_numpy()
    begins = np.r_[True, segment[1:] != segment[:-1]][: len(segment)]
    return np.maximum.accumulate(np.where(begins, np.arange(len(segment)), 0))


def past_values(grid: pd.DataFrame, rows: NDArray[np.int64], lags: NDArray[np.int64]) -> Doubles:
    """Values `lags` steps before each row, `(rows, lags)`; before a segment's beginning its first value stands in."""
    wanted = np.maximum(rows[:, None] - lags, first_rows(grid)[rows, None])
    return np.asarray(grid["value"].to_numpy(np.float64)[wanted])


def steps_per_day(cadence_seconds: int) -> int:
    """Steps nearest to one day, at least 1."""
    return max(1, round(DAY_SECONDS / cadence_seconds))
