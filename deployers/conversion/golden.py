"""Golden vectors of a converted cell: what each of its types must say to the readings of the release's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.runtimes import Runtime, board_runtime
from deployers.conversion.stream import MICRODEGREES, Streamed, board_readings, encode_golden, golden_vector, stream
from deployers.exceptions import ReleaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deployers.conversion.features import FeatureProgram

    Doubles = NDArray[np.float64]

# A feature computed in another order may round to the next integer: that many steps of the output it may make.
OUTPUT_STEPS = 4
LEAST_TOLERANCE = 1e-3  # °C, as the release allows a float runtime
# Of an image that fits a slot of 128 kB with room for the model.
PAYLOAD_BYTES = 24_576


@dataclass(frozen=True)
class Series:
    """One golden vector of a release, as a board gets it.

    Attributes:
        name: what it shows.
        readings: (ms since 1970, micro-degrees).
        streamed: the steps that come of them.
        rows: steps that Keras' forecasts were made at, `(forecasts,)`.
        keras: what they are in °C, `(forecasts, horizon)`.
    """

    name: str
    readings: list[tuple[int, int]]
    streamed: Streamed
    rows: NDArray[np.int64]
    keras: Doubles

    def forecasts(self, runtime: Runtime, program: FeatureProgram) -> Doubles:
        """What a runtime makes of every step in °C, `(steps, horizon)`."""
        features = self.streamed.features.astype(np.float32)
        residuals = runtime.forecasts(features, np.flatnonzero(self.streamed.resets))
        return self.streamed.values[:, None] + residuals.astype(np.float64) * program.target_scale


def golden_series(golden: Mapping[str, Any], program: FeatureProgram, cleaning: Mapping[str, Any]) -> list[Series]:
    """Every vector of a release's golden.json.

    Raises:
        ReleaseError: its forecasts are not at the steps that its readings make.
    """
    return [_series(vector, program, cleaning) for vector in golden["vectors"]]


def _series(vector: Mapping[str, Any], program: FeatureProgram, cleaning: Mapping[str, Any]) -> Series:
    readings = board_readings(vector)
    streamed, _ = stream(program, cleaning, [(ms * 1000, value / MICRODEGREES) for ms, value in readings])
    step_of = {int(time): row for row, time in enumerate(streamed.times)}
    wanted = [_microseconds(time) for time in vector["grid_times"]]
    unknown = [time for time, us in zip(vector["grid_times"], wanted, strict=True) if us not in step_of]
    keras = np.asarray(vector["forecasts"], np.float64)
    if unknown or keras.shape != (len(wanted), program.horizon):
        what = f"no step at {unknown[0]!r}" if unknown else f"forecasts of shape {keras.shape!r}"
        expected = f"({len(wanted)}, {program.horizon}) forecasts at the steps of its readings"
        msg = f"golden vector {vector['name']!r} has {what}, expected {expected}: train again"
        raise ReleaseError(msg)
    return Series(vector["name"], readings, streamed, np.array([step_of[us] for us in wanted], np.int64), keras)


def _microseconds(time: str) -> int:
    parsed = datetime.fromisoformat(time).replace(tzinfo=UTC)
    return int(parsed.timestamp()) * 1_000_000 + parsed.microsecond


def board_golden(file: bytes, series: list[Series], program: FeatureProgram) -> bytes:
    """The bytes that a board with this cell checks itself against.

    The forecasts are the cell's own: that it is near enough to Keras is proven before, with readings by the thousand.
    """
    runtime = board_runtime(file)
    tolerance = LEAST_TOLERANCE
    if runtime.kind != "float32":
        tolerance = max(tolerance, OUTPUT_STEPS * runtime.outputs[0].scale * program.target_scale)
    vectors = []
    for each in series:
        made = each.forecasts(runtime, program)[each.streamed.made]
        chosen = _kept(len(each.readings), len(made), program.horizon, PAYLOAD_BYTES // len(series))
        vectors.append(
            golden_vector(each.readings, each.streamed.accepted[chosen], made[chosen].astype(np.float32), tolerance)
        )
    return encode_golden(vectors)


def keras_difference(file: bytes, series: list[Series], program: FeatureProgram) -> dict[str, Any]:
    """How far a cell is from float Keras on the readings of the golden vectors.

    Returns:
        The `runtime` that it ran in, and the largest difference in `celsius`; infinite if a forecast is not finite.
    """
    runtime = board_runtime(file)
    found = [largest(each.forecasts(runtime, program)[each.rows], each.keras) for each in series]
    return {"runtime": runtime.name, "celsius": max(found)}


def largest(one: Doubles, other: Doubles) -> float:
    """The largest difference; infinite if either has a value that is not finite, since `max` would pass over NaN."""
    difference = np.abs(one - other)
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")


def _kept(readings: int, forecasts: int, horizon: int, room: int) -> NDArray[np.int64]:
    """Evenly spread forecasts that fit into `room` bytes with all readings, the last one always."""
    fitting = max(1, (room - 12 * readings) // (8 + 4 * horizon))
    spread = np.linspace(forecasts - 1, 0, min(fitting, forecasts)).round().astype(np.int64)
    return np.unique(spread)
