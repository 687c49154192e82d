"""Golden vectors: raw readings in, the forecasts the trained Keras model makes of them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecaster.streaming import segments

if TYPE_CHECKING:
    from collections.abc import Callable

    from forecaster.arrays import Floats
    from forecaster.preprocessing import Preprocessing

READINGS = 96
LEAST_WITH_GAP = 6
# Half of a DS18B20 step would be .03 °C; a float runtime that is off by this much computes something else.
TOLERANCE_FLOAT32 = 1e-3


def golden_vectors(
    grid: pd.DataFrame, preprocessing: Preprocessing, network: Callable[[Floats], Floats]
) -> dict[str, Any]:
    """Stretches of readings with the forecasts made at each grid step.

    Taken from the given grid: the calmest and the most agitated stretch, one whose readings come with jitter, and
    one with two readings missing, if it is long enough for that.
    """
    starts = _stretches(grid)
    spread = [float(np.ptp(grid["value"].to_numpy()[s : s + READINGS])) for s in starts]
    calm, agitated, middle = (starts[i] for i in (np.argmin(spread), np.argmax(spread), len(starts) // 2))
    ordinary = _readings(grid, middle)
    chosen = {
        "calm": _readings(grid, calm),
        "agitated": _readings(grid, agitated),
        "jitter": _jittered(ordinary, preprocessing.program.cadence_seconds),
    }
    if len(ordinary) >= LEAST_WITH_GAP:
        half = len(ordinary) // 2
        chosen["two readings missing"] = ordinary.drop(index=[half, half + 1])
    vectors = [_vector(name, readings, preprocessing, network) for name, readings in chosen.items()]
    return {
        "cadence_seconds": preprocessing.program.cadence_seconds,
        "horizon": preprocessing.program.horizon,
        "tolerance_celsius": {"float32": TOLERANCE_FLOAT32},
        "vectors": vectors,
    }


def largest_difference(
    vectors: dict[str, Any], preprocessing: Preprocessing, network: Callable[[Floats], Floats]
) -> float:
    """Largest difference in °C between the golden forecasts and another runtime's."""
    worst = 0.0
    for vector in vectors["vectors"]:
        _, made = preprocessing.forecasts(readings_of(vector), network)
        worst = max(worst, float(np.abs(made - np.asarray(vector["forecasts"])).max()))
    return worst


def readings_of(vector: dict[str, Any]) -> pd.DataFrame:
    """The readings frame of one golden vector."""
    time = pd.to_datetime([time for time, _ in vector["readings"]], format="ISO8601").astype("datetime64[us]")
    return pd.DataFrame({"time": time, "value": [value for _, value in vector["readings"]]})


def _stretches(grid: pd.DataFrame) -> list[int]:
    """First rows of unbroken, unfilled stretches side by side; the longest segment's if there is none."""
    segment, filled = grid["segment"].to_numpy(), grid["filled"].to_numpy(bool)
    last = len(grid) - READINGS
    whole = [
        start
        for start in range(0, last + 1, READINGS)
        if segment[start] == segment[start + READINGS - 1] and not filled[start : start + READINGS].any()
    ]
    return whole or [int(max(segments(grid), key=len)[0])]


def _readings(grid: pd.DataFrame, start: int) -> pd.DataFrame:
    stretch = grid.iloc[start : start + READINGS]
    return stretch.loc[stretch["segment"] == stretch["segment"].iloc[0], ["time", "value"]].reset_index(drop=True)


def _jittered(readings: pd.DataFrame, cadence_seconds: int) -> pd.DataFrame:
    """The same values at times that stray by up to a tenth of the cadence, always by the same pattern."""
    pattern = np.sin(np.arange(len(readings)) * 2.399963) * cadence_seconds * 0.1
    shift = pd.to_timedelta(np.abs(pattern[0]) + pattern, unit="s").round("us")
    return readings.assign(time=(readings["time"] + shift).astype("datetime64[us]"))


def _vector(
    name: str, readings: pd.DataFrame, preprocessing: Preprocessing, network: Callable[[Floats], Floats]
) -> dict[str, Any]:
    grid, made = preprocessing.forecasts(readings, network)
    return {
        "name": name,
        "readings": [[t.isoformat(), float(v)] for t, v in zip(readings["time"], readings["value"], strict=True)],
        "grid_times": [t.isoformat() for t in grid["time"]],
        "forecasts": [[round(float(v), 6) for v in row] for row in made],
    }
