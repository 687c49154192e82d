"""The firmware's forecast, built for this machine: readings in, °C out, by the code that runs on the board."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.runtimes import Engine
from deployers.exceptions import ConversionError
from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# More than forecast_t has (firmware/core/forecast/forecast.h): its fields are nobody's business here.
STRUCT_BYTES = 1024


class HostBoard:
    """A model with its feature program, as a board has them.

    Args:
        file: bytes of the .tflite file.
        program: bytes of the feature program (`encode_program`).
        horizon: steps that are forecast.

    Raises:
        MissingTool: the engine cannot be built.
        ConversionError: it refuses the file or the program.
    """

    def __init__(self, file: bytes, program: bytes, horizon: int) -> None:
        self.engine, self.horizon = Engine(file), horizon
        self._library = self.engine.library
        self._program = ctypes.create_string_buffer(program, len(program))
        need = ctypes.c_size_t()
        size = ctypes.c_size_t(len(program))
        _require(self._library.forecast_buffer_bytes(self._program, size, ctypes.byref(need)), "the feature program")
        self.buffer_bytes = int(need.value)
        self._buffer = (ctypes.c_double * (need.value // 8 + 1))()
        self._forecast = (ctypes.c_double * (STRUCT_BYTES // 8))()
        model = ctypes.byref(self.engine.model)
        status = self._library.forecast_init(self._forecast, self._program, size, model, self._buffer, need)
        _require(status, "the feature program")

    def golden(self, payload: bytes) -> tuple[Status, float]:
        """Run golden vectors as a board does before it takes a model; the largest difference in °C."""
        worst = ctypes.c_float(float("nan"))
        given = ctypes.create_string_buffer(payload, len(payload))
        status = self._library.golden_check(self._forecast, given, ctypes.c_size_t(len(payload)), ctypes.byref(worst))
        return Status(status), float(worst.value)

    def forecasts(self, readings: Sequence[tuple[int, int]]) -> tuple[list[int], NDArray[np.float32]]:
        """Push a series, (ms since 1970, micro-degrees), to a board that has seen nothing.

        Returns:
            Numbers of the readings that a forecast was made from, and the forecasts in °C, `(made, horizon)`.
        """
        self._library.forecast_reset(self._forecast)
        row, made, numbers, rows = np.empty(self.horizon, np.float32), ctypes.c_int(), list[int](), list[Any]()
        for number, (time_ms, microcelsius) in enumerate(readings):
            at = (ctypes.c_int64(time_ms), ctypes.c_int32(microcelsius), ctypes.c_void_p(row.ctypes.data))
            _require(self._library.forecast_push(self._forecast, *at, ctypes.byref(made)), f"reading {number}")
            if made.value:
                numbers.append(number)
                rows.append(row.copy())
        return numbers, np.array(rows, np.float32).reshape(-1, self.horizon)


def _require(status: int, what: str) -> None:
    if status:
        msg = f"the firmware refuses {what}: {Status(status).name} ({status}, firmware/core/status.h); convert it again"
        raise ConversionError(msg)
