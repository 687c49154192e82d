"""Answers with forecasts in °C from raw timestamped readings, from nothing but a release folder.

MLflow loads this module by name (`loader_module`) on any server; it needs NumPy, pandas, pydantic and ONNX Runtime.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecaster.errors import ReadingError
from forecaster.preprocessing import Preprocessing
from forecaster.sources.csv import readings_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from forecaster.arrays import Doubles, Floats

INPUT_COLUMNS = ("time_point", "value")


class ServedForecaster:
    """A release that forecasts.

    Args:
        release: a release folder.
    """

    def __init__(self, release: Path) -> None:
        fields = json.loads((release / "features.json").read_text(encoding="utf-8"))
        self.preprocessing = Preprocessing.from_dict(fields)
        self.program = self.preprocessing.program
        self.network = onnx_network(release / "model.onnx")

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Forecast the steps after the last reading, or after each one.

        Args:
            data: columns `time_point` (ISO 8601 text or timestamps) and `value` (°C); the more history, the
                better the state: a day of readings or more.
            params: `every_reading`: forecasts at each grid step instead of only the last.

        Returns:
            One row a forecast: `made_at`, `time` (ISO 8601), `step` (1 …), `forecast` (°C).

        Raises:
            ReadingError: missing columns, or readings that cannot become a series.
        """
        missing = [name for name in INPUT_COLUMNS if name not in data.columns]
        if missing:
            msg = f"column {missing[0]!r} is missing, readings need the columns {', '.join(INPUT_COLUMNS)}"
            raise ReadingError(msg)
        readings = readings_frame(data["time_point"], data["value"])
        grid, made = self.preprocessing.forecasts(readings, self.network)
        if not (params or {}).get("every_reading"):
            grid, made = grid.iloc[-1:], made[-1:]
        return _long(grid["time"], made, self.program.cadence_seconds)


def _load_pyfunc(path: str) -> ServedForecaster:
    """What MLflow calls with the folder it kept."""
    return ServedForecaster(Path(path))


def onnx_network(path: Path) -> Callable[[Floats], Floats]:
    """The network in ONNX Runtime, one thread, features `(1, steps, inputs)` to residuals."""
    import onnxruntime  # noqa: PLC0415 - seconds to import, and only serving and release writing need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(features: Floats) -> Floats:
        return np.asarray(session.run(None, {"features": features})[0], np.float32)

    return run


def _long(times: pd.Series, made: Doubles, cadence_seconds: int) -> pd.DataFrame:
    horizon = made.shape[1]
    made_at = np.repeat(times.to_numpy("datetime64[us]"), horizon)
    step = np.tile(np.arange(1, horizon + 1), len(made))
    time = made_at + (step * cadence_seconds * 1_000_000).astype("timedelta64[us]")
    return pd.DataFrame(
        {
            "made_at": np.datetime_as_string(made_at, unit="s"),
            "time": np.datetime_as_string(time, unit="s"),
            "step": step,
            "forecast": made.ravel(),
        }
    )
