"""What the network reads at each step: a program of causal features, scaled from the training part.

A feature is named by its operation, so that a program is data a microcontroller can follow:

    difference:L        y_t − y_{t−L}, in units of its standard deviation
    deviation:W         y_t − mean(y_{t−W+1} … y_t), likewise
    hour:H:sin|cos      sine or cosine of the H-th harmonic of the time of day
    weekday:sin|cos     sine or cosine of the position in the week

Before a segment has L (W) readings its first reading stands in for the missing ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from forecaster.errors import ConfigError, ReadingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from forecaster.arrays import Doubles, Rows

DAY_SECONDS = 86_400
# Below this a training part does not move at all; a DS18B20 step is 0.0625 °C.
SMALLEST_SCALE = 1e-6


# The mean of one reading is that reading.
Window = Annotated[int, Field(ge=2)]


class FeatureConfig(BaseModel):
    """The candidate features; the search chooses among them, and always reads the first difference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    differences: tuple[PositiveInt, ...] = Field((1, 3, 6, 18), description="lags of the step differences, in steps")
    deviations: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        (6, 36), description="windows of the moving means, in steps"
    )
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


@dataclass(frozen=True)
class FeatureProgram:
    """Features with their scales, and the scale of the forecast residuals.

    Attributes:
        names: operations, in the order of the network's inputs.
        scales: divisor of each feature, °C for differences and deviations, 1 for the clock.
        target_scale: °C of one unit of the network's output.
        cadence_seconds: seconds of one step.
        horizon: steps that are forecast.
    """

    names: tuple[str, ...]
    scales: tuple[float, ...]
    target_scale: float
    cadence_seconds: int
    horizon: int

    def select(self, names: Sequence[str]) -> FeatureProgram:
        """The program with only the named features, in the given order.

        Raises:
            ConfigError: a name is not in this program.
        """
        scale_of = dict(zip(self.names, self.scales, strict=True))
        unknown = [name for name in names if name not in scale_of]
        if unknown:
            msg = f"feature {unknown[0]!r} is not in the dataset, which has {', '.join(self.names)}"
            raise ConfigError(msg)
        scales = tuple(scale_of[name] for name in names)
        return FeatureProgram(tuple(names), scales, self.target_scale, self.cadence_seconds, self.horizon)

    @property
    def history_steps(self) -> int:
        """Readings that must be kept to compute the next features (the ring buffer's length)."""
        return max((_reach(name) for name in self.names), default=0) + 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> FeatureProgram:
        """The inverse of `as_dict`."""
        return cls(**{**fields, "names": tuple(fields["names"]), "scales": tuple(fields["scales"])})


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
    scales = [1.0 if _is_clock(name) else float(np.std(raw[:, i])) for i, name in enumerate(config.names())]
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
    scaled: Doubles = raw_features(grid, program.names) / np.asarray(program.scales)
    return scaled


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
    segment = grid["segment"].to_numpy()
    starts = np.flatnonzero(np.r_[True, segment[1:] != segment[:-1]])
    value = grid["value"].to_numpy(np.float64)
    out = np.empty((len(grid), len(names)))
    for column, name in enumerate(names):
        if _is_clock(name):
            out[:, column] = _clock(grid["time"], name)
            continue
        for start, stop in zip(starts, [*starts[1:], len(grid)], strict=True):
            out[start:stop, column] = _history(value[start:stop], name)
    return out


def _is_clock(name: str) -> bool:
    return name.startswith(("hour:", "weekday:"))


def _reach(name: str) -> int:
    operation, argument = name.split(":")[:2]
    if operation == "difference":
        return int(argument)
    return int(argument) - 1 if operation == "deviation" else 0


def _history(value: Doubles, name: str) -> Doubles:
    operation, argument = name.split(":")
    reach = int(argument)
    if operation == "difference":
        before = np.concatenate([np.full(min(reach, len(value)), value[0]), value[:-reach]])
        return np.subtract(value, before[: len(value)])
    # The mean of exact window sums: a running sum would carry rounding from one step to the next.
    padded = np.concatenate([np.full(reach - 1, value[0]), value])
    return np.subtract(value, np.lib.stride_tricks.sliding_window_view(padded, reach).mean(axis=1))


def _clock(time: pd.Series, name: str) -> Doubles:
    operation, *_, function = name.split(":")
    seconds = (time - time.dt.normalize()).dt.total_seconds().to_numpy()
    days = seconds / DAY_SECONDS
    turns = days * int(name.split(":")[1]) if operation == "hour" else (days + time.dt.dayofweek.to_numpy()) / 7
    angle: Doubles = 2 * np.pi * turns
    return np.sin(angle) if function == "sin" else np.cos(angle)


def _run_numbers(*labels: NDArray[Any]) -> Rows:
    """Number of the run of rows in which every label stays the same."""
    change = np.zeros(len(labels[0]), bool)
    for label in labels:
        change[1:] |= label[1:] != label[:-1]
    return np.cumsum(change)
