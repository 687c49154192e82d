"""The board's features and forecasts from inside: what it computed, counted and remembers (firmware/core/forecast)."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from deployers.conversion.board import STRUCT_BYTES, HostBoard
from deployers.conversion.runtimes import engine_library

COUNTERS = ("accepted", "surplus", "off_grid", "late", "held", "resets")


class _Features(ctypes.Structure):
    """`features_t`."""

    _fields_ = [
        ("program", ctypes.c_void_p),
        ("sums", ctypes.c_void_p),
        ("history", ctypes.c_void_p),
        ("target_scale", ctypes.c_double),
        *[(name, ctypes.c_uint32) for name in ("cadence", "tolerance", "hold", "horizon", "count", "reach", "next")],
    ]


class _Forecast(ctypes.Structure):
    """`forecast_t`."""

    _fields_ = [
        ("features", _Features),
        *[(name, ctypes.c_void_p) for name in ("model", "x", "celsius")],
        *[(name, ctypes.c_int64) for name in ("anchor", "index", "time")],
        *[(name, ctypes.c_int32) for name in ("microcelsius", "started")],
        *[(name, ctypes.c_uint32) for name in COUNTERS],
    ]


@dataclass(frozen=True)
class Pushed:
    """What became of one reading.

    Attributes:
        status: of forecast_push.
        celsius: the forecasts, None if none was made.
        features: scaled features of the last step.
    """

    status: int
    celsius: Any
    features: Any


class RawBoard(HostBoard):
    """A board that tells everything."""

    def push(self, time_ms: int, microcelsius: int) -> Pushed:
        """One reading."""
        made, row = ctypes.c_int(-1), np.full(self.horizon, np.nan, np.float32)
        given = (ctypes.c_int64(time_ms), ctypes.c_int32(microcelsius), ctypes.c_void_p(row.ctypes.data))
        status = self._library.forecast_push(self._forecast, *given, ctypes.byref(made))
        inside = self.inside
        x = np.frombuffer(ctypes.string_at(inside.x, 4 * inside.features.count), np.float32)
        return Pushed(status, row if made.value else None, x)

    def reset(self) -> None:
        """Forget everything but the counters."""
        self._library.forecast_reset(self._forecast)

    @property
    def inside(self) -> Any:
        """Its `forecast_t`."""
        return ctypes.cast(self._forecast, ctypes.POINTER(_Forecast)).contents

    @property
    def counters(self) -> dict[str, int]:
        """Named as in Python."""
        return {name: int(getattr(self.inside, name)) for name in COUNTERS}


def check_program(payload: bytes) -> tuple[int, int]:
    """What features_init says to the bytes of a program, and the bytes of buffer that it asks for."""
    library, need, size = engine_library(), ctypes.c_size_t(), ctypes.c_size_t(len(payload))
    program, features = ctypes.create_string_buffer(payload, len(payload)), (ctypes.c_double * (STRUCT_BYTES // 8))()
    status = int(library.features_buffer_bytes(program, size, ctypes.byref(need)))
    buffer = (ctypes.c_double * (need.value // 8 + 1))()
    again = int(library.features_init(features, program, size, buffer, need))
    assert status == again, (status, again)
    return status, int(need.value)
