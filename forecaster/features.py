"""The candidate features, their scales from the training part, and the targets.

What each feature is stands in deployers/conversion/features.py, which the board's side reads too; here are grid frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from deployers.conversion import features as conversion
from forecaster.errors import ConfigError, ReadingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from forecaster.arrays import Doubles, Rows

# Below this a training part does not move at all; a DS18B20 step is 0.0625 °C.
SMALLEST_SCALE = 1e-6

# The mean of one reading is that reading.
Window = Annotated[int, Field(ge=2)]


class FeatureConfig(BaseModel):
    """The candidate features; the search chooses among them, and always reads the first difference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    differences: tuple[PositiveInt, ...] = Field((1, 3, 6, 18), description="lags of the step differences, in steps")
    deviations: tuple[Window, ...] = Field((6, 36), description="windows of the moving means, in steps")
    harmonics: int = Field(2, ge=0, le=4, description="harmonics of the time of day")
    weekday: bool = Field(
        default=False,
        description="whether the position in the week is a candidate; it wants a year of readings rather than months",
    )

    def names(self) -> tuple[str, ...]:
        """Names of all candidates, the first difference first."""
        lags = dict.fromkeys((1, *self.differences))
        names = [f"difference:{lag}" for lag in lags]
        names += [f"deviation:{window}" for window in dict.fromkeys(self.deviations)]
        names += [f"hour:{h}:{f}" for h in range(1, self.harmonics + 1) for f in ("sin", "cos")]
        names += [f"weekday:{f}" for f in ("sin", "cos")] if self.weekday else []
        return tuple(names)


class FeatureProgram(conversion.FeatureProgram):
    """Features with their scales; its errors are the forecaster's."""

    def select(self, names: Sequence[str]) -> Self:
        """The program with only the named features, in the given order.

        Raises:
            ConfigError: a name is not in this program.
        """
        try:
            return super().select(names)
        except conversion.ProgramError as error:
            raise ConfigError(str(error)) from None


def fit_program(grid: pd.DataFrame, config: FeatureConfig, cadence_seconds: int, horizon: int) -> FeatureProgram:
    """Scales from the training part alone.

    Args:
        grid: grid frame with `part`.
        config: candidate features.
        cadence_seconds, horizon: seconds of a step, steps forecast.

    Raises:
        ReadingError: the training part does not move, or has no segment longer than the horizon, so nothing can be
            scaled or learned.
    """
    training = grid[grid["part"] == "train"]
    raw = raw_features(training, config.names())
    scales = [
        1.0 if conversion.parse(name).is_clock else float(np.std(raw[:, i])) for i, name in enumerate(config.names())
    ]
    changes = residuals(training, horizon)[:, -1]
    if not np.isfinite(changes).any():
        msg = (
            f"no segment of the training part is longer than the horizon of {horizon!r} steps: "
            "lower data.sequences.horizon or raise data.cleaning.max_hold_steps"
        )
        raise ReadingError(msg)
    target_scale = float(np.nanstd(changes))
    if min(*scales, target_scale) < SMALLEST_SCALE:
        value = float(training["value"].iloc[0])
        msg = f"the training part does not change (all readings near {value!r} °C), select a sensor that moves"
        raise ReadingError(msg)
    return FeatureProgram(config.names(), tuple(scales), target_scale, cadence_seconds, horizon)


def features(grid: pd.DataFrame, program: FeatureProgram) -> Doubles:
    """Scaled features of every row, `(rows, features)`; a row reads itself and earlier rows of its segment."""
    return conversion.scaled_features(*_columns(grid), program)


def residuals(grid: pd.DataFrame, horizon: int) -> Doubles:
    """What is to be forecast: y_{t+k} − y_t in °C, `(rows, horizon)`.

    NaN where the target row lies in another segment or another part, past the end, or was filled.
    """
    value = grid["value"].to_numpy(np.float64)
    known = ~grid["filled"].to_numpy(bool)
    part = grid["part"].to_numpy() if "part" in grid else np.zeros(len(grid))
    run = _run_numbers(grid["segment"].to_numpy(), part)
    out = np.full((len(value), horizon), np.nan)
    for k in range(1, min(horizon, len(value) - 1) + 1):
        usable = (run[k:] == run[:-k]) & known[k:]
        out[:-k, k - 1] = np.where(usable, value[k:] - value[:-k], np.nan)
    return out


def raw_features(grid: pd.DataFrame, names: Sequence[str]) -> Doubles:
    """Unscaled features of every row, `(rows, len(names))`."""
    return conversion.raw_features(*_columns(grid), names)


def _columns(grid: pd.DataFrame) -> tuple[Rows, Doubles, Rows]:
    """Times in µs since 1970, values in °C and segments."""
    time = grid["time"].to_numpy("datetime64[us]").astype(np.int64)
    return time, grid["value"].to_numpy(np.float64), grid["segment"].to_numpy(np.int64)


def _run_numbers(*labels: NDArray[Any]) -> Rows:
    """Number of the run of rows in which every label stays the same."""
    change = np.zeros(len(labels[0]), bool)
    for label in labels:
        change[1:] |= label[1:] != label[:-1]
    return np.cumsum(change)
