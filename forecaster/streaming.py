"""The GRU as it is used: one step a reading, the state carried from reading to reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecaster.features import FeatureProgram, features

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from forecaster.arrays import Doubles, Floats, Rows


def stream_forecasts(grid: pd.DataFrame, program: FeatureProgram, network: Callable[[Floats], Floats]) -> Doubles:
    """Forecasts in °C made at every row, `(rows, horizon)`; a new segment begins with a zero state.

    Args:
        grid: grid frame.
        program: the features the network reads.
        network: any runtime: features `(1, steps, inputs)`, float32, to residuals `(1, steps, horizon)`.
    """
    inputs = features(grid, program).astype(np.float32)
    value = grid["value"].to_numpy(np.float64)
    out = np.empty((len(grid), program.horizon))
    for rows in segments(grid):
        residual = network(inputs[None, rows])[0]
        out[rows] = value[rows, None] + residual.astype(np.float64) * program.target_scale
    return out


def segments(grid: pd.DataFrame) -> list[Rows]:
    """Row numbers of each segment, in order."""
    label = grid["segment"].to_numpy()
    return np.split(np.arange(len(grid)), np.flatnonzero(label[1:] != label[:-1]) + 1)
