"""Golden vectors: raw readings in, the forecasts the trained Keras model makes of them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecaster.cleaning import CleaningConfig, clean
from forecaster.streaming import stream_forecasts

if TYPE_CHECKING:
    from collections.abc import Callable

    from forecaster.arrays import Doubles, Floats
    from forecaster.features import FeatureProgram

READINGS = 96
# Half of a DS18B20 step would be .03 °C; a float runtime that is off by this much computes something else.
TOLERANCE_FLOAT32 = 1e-3


def serving_cleaning(program: FeatureProgram) -> CleaningConfig:
    """How raw readings become a grid where the model is used: the training's cadence, nothing dropped."""
    return CleaningConfig(cadence_seconds=program.cadence_seconds, min_segment_steps=1)


def forecast_readings(
    readings: pd.DataFrame, program: FeatureProgram, network: Callable[[Floats], Floats]
) -> tuple[pd.DataFrame, Doubles]:
    """From raw readings to forecasts in °C with any runtime.

    Args:
        readings: readings frame; cleaned here as in training.
        program: the features the network reads.
        network: maps features `(1, steps, inputs)`, float32, to residuals `(1, steps, horizon)`.

    Returns:
        The grid frame and the forecasts made at each of its rows, `(rows, horizon)`.

    Raises:
        ReadingError: the readings cannot become a series.
    """
    grid, _ = clean(readings, serving_cleaning(program))
    return grid, stream_forecasts(grid, program, network)


def golden_vectors(grid: pd.DataFrame, program: FeatureProgram, network: Callable[[Floats], Floats]) -> dict[str, Any]:
    """Stretches of readings with the forecasts made at each grid step.

    Taken from the given grid: the calmest and the most agitated stretch, one with two readings missing
    (they are held), and one whose readings come with jitter.
    """
    starts = _stretches(grid)
    spread = [float(np.ptp(grid["value"].to_numpy()[s : s + READINGS])) for s in starts]
    calm, agitated, middle = (starts[i] for i in (np.argmin(spread), np.argmax(spread), len(starts) // 2))
    chosen = {
        "calm": _readings(grid, calm),
        "agitated": _readings(grid, agitated),
        "two readings missing": _readings(grid, middle).drop(index=[40, 41]),
        "jitter": _jittered(_readings(grid, middle), program.cadence_seconds),
    }
    vectors = [_vector(name, readings, program, network) for name, readings in chosen.items()]
    return {
        "cadence_seconds": program.cadence_seconds,
        "horizon": program.horizon,
        "tolerance_celsius": {"float32": TOLERANCE_FLOAT32},
        "vectors": vectors,
    }


def largest_difference(vectors: dict[str, Any], program: FeatureProgram, network: Callable[[Floats], Floats]) -> float:
    """Largest difference in °C between the golden forecasts and another runtime's."""
    worst = 0.0
    for vector in vectors["vectors"]:
        _, made = forecast_readings(readings_of(vector), program, network)
        worst = max(worst, float(np.abs(made - np.asarray(vector["forecasts"])).max()))
    return worst


def readings_of(vector: dict[str, Any]) -> pd.DataFrame:
    """The readings frame of one golden vector."""
    time = pd.to_datetime([time for time, _ in vector["readings"]], format="ISO8601").astype("datetime64[us]")
    return pd.DataFrame({"time": time, "value": [value for _, value in vector["readings"]]})


def _stretches(grid: pd.DataFrame) -> list[int]:
    """First rows of unbroken, unfilled stretches, a day's worth apart; the longest segment's start if there is none."""
    segment, filled = grid["segment"].to_numpy(), grid["filled"].to_numpy(bool)
    starts = range(0, max(1, len(grid) - READINGS), READINGS)
    whole = [
        s
        for s in starts
        if segment[s] == segment[min(s + READINGS, len(grid)) - 1] and not filled[s : s + READINGS].any()
    ]
    return whole or [0]


def _readings(grid: pd.DataFrame, start: int) -> pd.DataFrame:
    stretch = grid.iloc[start : start + READINGS]
    return stretch.loc[stretch["segment"] == stretch["segment"].iloc[0], ["time", "value"]].reset_index(drop=True)


def _jittered(readings: pd.DataFrame, cadence_seconds: int) -> pd.DataFrame:
    """The same values at times that stray by up to a tenth of the cadence, always by the same pattern."""
    pattern = np.sin(np.arange(len(readings)) * 2.399963) * cadence_seconds * 0.1
    shift = pd.to_timedelta(np.abs(pattern[0]) + pattern, unit="s").round("us")
    return readings.assign(time=(readings["time"] + shift).astype("datetime64[us]"))


def _vector(
    name: str, readings: pd.DataFrame, program: FeatureProgram, network: Callable[[Floats], Floats]
) -> dict[str, Any]:
    grid, made = forecast_readings(readings, program, network)
    return {
        "name": name,
        "readings": [[t.isoformat(), float(v)] for t, v in zip(readings["time"], readings["value"], strict=True)],
        "grid_times": [t.isoformat() for t in grid["time"]],
        "forecasts": [[round(float(v), 6) for v in row] for row in made],
    }
