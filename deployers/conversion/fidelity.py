"""What a converted cell says beside the float model: over the whole test part, reading by reading, in °C."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.features import FeatureProgram, scaled_features
from deployers.conversion.flat import Graph
from deployers.conversion.runtimes import Engine, LiteRT, board_runtime
from deployers.exceptions import MissingTool, ReleaseError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Floats = NDArray[np.float32]

DAY_US = 86_400_000_000
DRIFT_STEPS = 10_000
DRIFT_WINDOW = 250
# Operators whose results may lie at a limit without anything being cut off.
CURVES = ("LOGISTIC", "TANH")


@dataclass(frozen=True)
class TestPart:
    """The test part of a release.

    Attributes:
        program: the features the network reads.
        time: µs since 1970, `(rows,)`.
        value: °C, `(rows,)`.
        starts: rows at which a segment begins.
        features: scaled, `(rows, inputs)`.
        truth: y_{t+k} − y_t in °C, `(rows, horizon)`; NaN beyond a segment's end and where the reading was filled.
    """

    __test__ = False  # a name of the field, not a test

    program: FeatureProgram
    time: NDArray[np.int64]
    value: Doubles
    starts: NDArray[np.int64]
    features: Floats
    truth: Doubles

    @classmethod
    def load(cls, release: Path) -> TestPart:
        """Read it from a release folder.

        Raises:
            ReleaseError: the release was written without a test part, or the part is empty.
        """
        if not (release / "test.npz").exists():
            msg = f"release {release.name!r} has no test.npz, it was written by an earlier edgeloop: train again"
            raise ReleaseError(msg)
        fields = json.loads((release / "features.json").read_text(encoding="utf-8"))
        program = FeatureProgram.from_dict(fields["program"])
        with np.load(release / "test.npz") as stored:
            time, value, segment, filled = (stored[name] for name in ("time", "value", "segment", "filled"))
        if not len(time):
            msg = f"test.npz of release {release.name!r} has no rows: train again on more readings"
            raise ReleaseError(msg)
        starts = np.flatnonzero(np.r_[True, segment[1:] != segment[:-1]])
        features = scaled_features(time, value, segment, program).astype(np.float32)
        return cls(program, time, value, starts, features, changes_ahead(value, segment, filled, program.horizon))


def changes_ahead(value: Doubles, segment: NDArray[Any], filled: NDArray[np.bool_], horizon: int) -> Doubles:
    """y_{t+k} − y_t for k of 1 to `horizon`, `(rows, horizon)`; NaN beyond a segment's end and where y was filled."""
    out = np.full((len(value), horizon), np.nan)
    for k in range(1, min(horizon, len(value) - 1) + 1):
        usable = (segment[k:] == segment[:-k]) & ~filled[k:]
        out[:-k, k - 1] = np.where(usable, value[k:] - value[:-k], np.nan)
    return out


@dataclass(frozen=True)
class Fidelity:
    """One type beside the float model.

    Attributes:
        kind: float32, int8 or int16x8.
        figures: plain values for JSON.
        error: forecast of this type minus that of the float model in °C, `(rows, horizon)`.
        drift: steps and the root mean square of the state's error up to each, `(windows,)` both.
    """

    kind: str
    figures: dict[str, Any]
    error: Doubles
    drift: tuple[NDArray[np.int64], Doubles]


def errors_against_truth(residuals: Doubles, truth: Doubles) -> dict[str, Any]:
    """MAE and RMSE in °C over all forecasts, and by horizon.

    Args:
        residuals: forecast changes in °C, `(rows, horizon)`; one NaN makes the figures NaN.
        truth: likewise; NaN is left out.
    """
    difference, known = residuals - truth, np.isfinite(truth)
    columns = [column[rows] for column, rows in zip(difference.T, known.T, strict=True)]
    return {**_mae_rmse(difference[known]), "by_horizon": [_mae_rmse(column) for column in columns]}


def errors_by_day(residuals: Doubles, part: TestPart) -> list[dict[str, Any]]:
    """Mean absolute errors of the test part in °C day by day, beside persistence's at the same readings.

    Args:
        residuals: forecast changes in °C, `(rows, horizon)`.
        part: the test part; a day is one of its own time.
    """
    days = part.time // DAY_US
    known = np.isfinite(part.truth)
    rows = []
    for day in np.unique(days):
        wanted = known & (days == day)[:, None]
        if wanted.any():
            truth = part.truth[wanted]
            model, persistence = (float(np.abs(each).mean()) for each in (residuals[wanted] - truth, truth))
            figures = {"model": model, "persistence": persistence, "count": len(truth)}
            rows.append({"day": str(day.astype("datetime64[D]")), **figures})
    return rows


def _mae_rmse(difference: Doubles) -> dict[str, Any]:
    if not len(difference):
        return {"mae": None, "rmse": None, "count": 0}
    mae, rmse = float(np.abs(difference).mean()), float(np.sqrt((difference**2).mean()))
    return {"mae": mae, "rmse": rmse, "count": len(difference)}


@dataclass(frozen=True)
class PartRun:
    """One type over the test part, not compared with anything yet.

    Attributes:
        kind: float32, int8 or int16x8.
        runtime: what ran it.
        residuals: changes in °C that it forecasts, `(rows, horizon)`.
        drift: steps and root mean square of the state's error in each window, `(windows,)` both, and the largest error.
        file_bytes, arena_bytes, saturation: as in the report.
    """

    kind: str
    runtime: str
    residuals: Doubles
    drift: tuple[NDArray[np.int64], Doubles, float]
    file_bytes: int
    arena_bytes: int | None
    saturation: dict[str, dict[str, int]]


def run_part(kind: str, file: bytes, exact: bytes, part: TestPart, *, build_engine: bool = True) -> PartRun:
    """Run one type over the test part.

    Args:
        kind: its name.
        file: its cell.
        exact: the float32 cell, for the drift of the state.
        part: the test part.
        build_engine: whether the engine may be built, to ask it for its arena.
    """
    runtime = board_runtime(file)
    return PartRun(
        kind,
        f"{runtime.name}, {runtime.delegate}",
        runtime.forecasts(part.features, part.starts).astype(np.float64) * part.program.target_scale,
        _drift(file, exact, part.features),
        len(file),
        _arena_bytes(file, build=build_engine),
        {} if kind == "float32" else _saturation(file, part),
    )


def compared(made: PartRun, part: TestPart, reference: Doubles) -> Fidelity:
    """Put a type beside the float Keras model.

    Args:
        made: what the type made of the test part.
        part: the test part.
        reference: changes in °C that the float Keras model forecasts, `(rows, horizon)`.
    """
    error = made.residuals - reference
    metrics, truth = errors_against_truth(made.residuals, part.truth), errors_against_truth(reference, part.truth)
    steps, drift, largest = made.drift
    figures = {
        "type": made.kind,
        "runtime": made.runtime,
        "file_bytes": made.file_bytes,
        "arena_bytes": made.arena_bytes,
        "metrics": metrics,
        "mae_growth": _growth(metrics["mae"], truth["mae"]),
        "error": _errors(error, part),
        "drift": {"steps": int(steps[-1]), "rms": float(drift[-1]), "first_rms": float(drift[0]), "largest": largest},
        "saturation": made.saturation,
    }
    return Fidelity(made.kind, figures, error, (steps, drift))


def _growth(mae: float | None, reference: float | None) -> float:
    return mae / reference - 1 if mae is not None and reference else float("nan")


def _errors(error: Doubles, part: TestPart) -> dict[str, Any]:
    size = np.abs(error)
    row, step = np.unravel_index(int(np.argmax(size)), size.shape)
    return {
        "mean": float(size.mean()),
        "largest": {
            "celsius": float(size[row, step]),
            "time": str(part.time[row].astype("datetime64[us]").astype("datetime64[s]")),
            "horizon": int(step) + 1,
        },
        "by_horizon": [
            {"mean": float(c.mean()), "p99": float(np.quantile(c, 0.99)), "largest": float(c.max())} for c in size.T
        ],
    }


def _drift(file: bytes, exact: bytes, features: Floats) -> tuple[NDArray[np.int64], Doubles, float]:
    """Error of the carried state over many steps without a reset: the test part over and over.

    Returns:
        The step at each window's end, the root mean square of the error in each window, and the largest error.
    """
    tested, float_cell = board_runtime(file), board_runtime(exact)
    tested.reset()
    float_cell.reset()
    x = np.resize(features, (DRIFT_STEPS, features.shape[1]))
    windows = DRIFT_STEPS // DRIFT_WINDOW
    squares, largest = np.zeros(windows), 0.0
    quantised = tested.inputs[0].quantise(x)
    for row in range(DRIFT_STEPS):
        tested.step(quantised[row : row + 1])
        float_cell.step(x[row : row + 1])
        error = np.abs(tested.real_states() - float_cell.real_states())
        squares[row // DRIFT_WINDOW] += float((error**2).mean())
        largest = float(np.maximum(largest, error.max()))  # NaN stays
    return np.arange(1, windows + 1) * DRIFT_WINDOW, np.sqrt(squares / DRIFT_WINDOW), largest


def _saturation(file: bytes, part: TestPart) -> dict[str, dict[str, int]]:
    """How many values lie at the limits of their type, by what makes them; of the states, by their names."""
    graph, runtime = Graph(file), LiteRT(file, inspect=True)
    low, high = runtime.inputs[0].limits
    names = {index: graph.tensor(index).name.decode() for index in (*graph.inputs, *graph.outputs)}
    watched = {
        int(op.outputs[0]): (names.get(int(op.outputs[0]), graph.name(op)), low if not _has_relu(graph, op) else high)
        for op in graph.operators
        if graph.name(op) not in CURVES
    }
    counts = {name: {"values": 0, "at_limit": 0} for name in ("x", *(name for name, _ in watched.values()))}
    quantised = runtime.inputs[0].quantise(part.features)
    _count(counts["x"], quantised, low, high)
    starts = set(part.starts.tolist())
    for row in range(len(quantised)):
        if row in starts:
            runtime.reset()
        runtime.step(quantised[row : row + 1])
        for (name, lowest), values in zip(watched.values(), runtime.tensors(list(watched)), strict=True):
            _count(counts[name], values, lowest, high)
    return counts


def _has_relu(graph: Graph, operator: Any) -> bool:
    """Whether zero, the lowest value, is where it belongs."""
    return graph.name(operator) == "FULLY_CONNECTED" and bool(operator.builtinOptions.fusedActivationFunction)


def _count(counts: dict[str, int], values: NDArray[Any], low: int, high: int) -> None:
    counts["values"] += values.size
    counts["at_limit"] += int(((values == low) | (values == high)).sum())


def _arena_bytes(file: bytes, *, build: bool) -> int | None:
    """What the engine needs, where it is built."""
    try:
        return Engine(file, build=build).arena_bytes
    except MissingTool:
        return None
