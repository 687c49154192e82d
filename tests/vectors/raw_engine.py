"""The engine's raw tensors: integers in and out, without the scaling at its ends."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from deployers.conversion import runtimes

ENDS = 4


class _End(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_uint32),
        ("elements", ctypes.c_uint32),
        ("type", ctypes.c_int32),
        ("zero", ctypes.c_int32),
        ("scale", ctypes.c_float),
    ]


class _Plan(ctypes.Structure):
    _fields_ = [
        ("first", ctypes.c_void_p),
        ("ends", ctypes.c_uint32),
        ("inputs", _End * ENDS),
        ("outputs", _End * ENDS),
    ]


class RawEngine(runtimes.Engine):
    """A loaded model whose states are inputs like any other."""

    def run(self, inputs: list[Any]) -> list[Any]:
        """One step from given inputs and states; outputs in the dtype of the first input."""
        plan = ctypes.cast(self._model.plan, ctypes.POINTER(_Plan)).contents
        for end, value in zip(plan.inputs, inputs, strict=False):
            data = np.ascontiguousarray(value).tobytes()
            assert len(data) == end.bytes, f"{len(data)} bytes for an input of {end.bytes}"
            ctypes.memmove(end.data, data, len(data))
        self._library.nn_plan_run(ctypes.byref(plan))
        return [
            np.frombuffer(ctypes.string_at(end.data, end.bytes), inputs[0].dtype) for end in plan.outputs[: plan.ends]
        ]
