"""The engine's raw tensors, by ctypes on the host library: integers in and out, without the scaling at its ends."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

ENDS = 4


class _Model(ctypes.Structure):
    _fields_ = [
        ("plan", ctypes.c_void_p),
        *[(name, ctypes.c_int32) for name in ("inputs", "outputs", "fused", "type")],
    ]


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


def _aligned(size: int) -> Any:
    block = ctypes.create_string_buffer(size + 16)
    offset = -ctypes.addressof(block) % 16
    return block, ctypes.addressof(block) + offset


class Engine:
    """A loaded model.

    Args:
        library: `libedgeloop.so`.
        file: the .tflite file's bytes.

    Raises:
        ValueError: the engine refuses it; the message is the status number.
    """

    def __init__(self, library: Path, file: bytes) -> None:
        self.library = ctypes.CDLL(str(library))
        self._file, address = _aligned(len(file))
        ctypes.memmove(address, file, len(file))
        need = ctypes.c_size_t()
        self._require(self.library.nn_arena_bytes(ctypes.c_void_p(address), ctypes.c_size_t(len(file)), ctypes.byref(need)))
        self.arena_bytes = need.value
        self._arena, arena = _aligned(need.value)
        self.model = _Model()
        self._require(
            self.library.nn_load(
                ctypes.byref(self.model),
                ctypes.c_void_p(address),
                ctypes.c_size_t(len(file)),
                ctypes.c_void_p(arena),
                need,
            )
        )
        self.plan = ctypes.cast(self.model.plan, ctypes.POINTER(_Plan)).contents

    @staticmethod
    def _require(status: int) -> None:
        if status:
            raise ValueError(status)

    def run(self, inputs: list[Any]) -> list[Any]:
        """One step from given inputs and states; outputs in the dtypes of the inputs."""
        for end, value in zip(self.plan.inputs, inputs, strict=False):
            data = np.ascontiguousarray(value).tobytes()
            if len(data) != end.bytes:
                message = f"{len(data)} bytes for an input of {end.bytes}"
                raise ValueError(message)
            ctypes.memmove(end.data, data, len(data))
        self.library.nn_plan_run(ctypes.byref(self.plan))
        return [
            np.frombuffer(ctypes.string_at(end.data, end.bytes), inputs[0].dtype)
            for end in self.plan.outputs[: self.plan.ends]
        ]
