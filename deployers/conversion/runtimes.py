"""Three runtimes of one cell behind one interface: LiteRT, TFLM (its wheel), and our engine built for this machine.

    runtime = LiteRT(file)
    runtime.stream(features)        # (steps, inputs) → (steps, horizon), scaled units, from a zero state

LiteRT runs its built-in kernels without XNNPACK: with that delegate int8 results depend on the processor. TFLM runs
its reference kernels, with which the engine agrees to the bit in int8 and int16x8.
"""

from __future__ import annotations

import ctypes
import importlib
import shutil
import struct
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from deployers.exceptions import ConversionError, MissingTool
from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "build" / "firmware" / "host" / "libedgeloop.so"
LITERT = ("ai_edge_litert", "tflite_runtime")
TFLM_ARENA = 1 << 18
KINDS = {np.dtype(np.float32): "float32", np.dtype(np.int8): "int8", np.dtype(np.int16): "int16x8"}


@dataclass(frozen=True)
class End:
    """An input or output of a cell: its type and how integers stand for reals."""

    dtype: np.dtype[Any]
    width: int
    scale: float
    zero: int

    @classmethod
    def of(cls, details: dict[str, Any]) -> End:
        """What an interpreter tells about it."""
        parameters = details["quantization_parameters"]
        scales, zeros = parameters["scales"], parameters["zero_points"]
        scale, zero = (float(scales[0]), int(zeros[0])) if len(scales) else (1.0, 0)
        return cls(np.dtype(details["dtype"]), int(details["shape"][-1]), scale, zero)

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest integer."""
        found = np.iinfo(self.dtype)
        return int(found.min), int(found.max)

    def quantise(self, values: Floats) -> NDArray[Any]:
        """To the nearest integer, halves away from zero, clamped: as the engine does it, in float32."""
        if self.dtype == np.float32:
            return values.astype(np.float32)
        scaled = values.astype(np.float32) / np.float32(self.scale)
        rounded = np.trunc(scaled) + np.sign(scaled) * (np.abs(scaled - np.trunc(scaled)) >= 0.5)
        quantised: NDArray[Any] = np.clip(rounded + self.zero, *self.limits).astype(self.dtype)
        return quantised

    def real(self, values: NDArray[Any]) -> Floats:
        """What the integers stand for."""
        if self.dtype == np.float32:
            return values.astype(np.float32)
        return ((values.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)).astype(np.float32)

    @property
    def nothing(self) -> NDArray[Any]:
        """Real value 0, `(1, width)`."""
        return np.full((1, self.width), self.zero if self.dtype != np.float32 else 0, self.dtype)


class Runtime(ABC):
    """A cell that can be stepped.

    Attributes:
        name: as reports call it.
        delegate: which kernels compute.
    """

    name: ClassVar[str]
    delegate: ClassVar[str]

    @abstractmethod
    def stream(self, features: Floats, *, reset: bool = True) -> Floats:
        """Residuals of steps in a row, `(steps, horizon)`, from a zero state or, without `reset`, the present one.

        Args:
            features: scaled, `(steps, inputs)`.
        """

    def forecasts(self, features: Floats, starts: NDArray[Any]) -> Floats:
        """Residuals of stretches, each from a zero state; `starts` has their first rows."""
        return np.concatenate([self.stream(part) for part in np.split(features, starts[starts > 0])])


class Interpreter(Runtime):
    """What LiteRT and TFLM have in common: integers in and out, the state carried here.

    Args:
        file: bytes of the .tflite file.

    Attributes:
        inputs, outputs: x and the states, y and the next states.
        state: integers of each state, `(1, width)`.
    """

    inputs: list[End]
    outputs: list[End]
    state: list[NDArray[Any]]

    @abstractmethod
    def invoke(self, values: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """One step from given integers."""

    @property
    def kind(self) -> str:
        """float32, int8 or int16x8."""
        return KINDS[self.inputs[0].dtype]

    def reset(self) -> None:
        """Zero the state."""
        self.state = [end.nothing for end in self.inputs[1:]]

    def step(self, x: NDArray[Any]) -> NDArray[Any]:
        """One step of quantised features `(1, inputs)`; the output's integers `(1, horizon)`."""
        y, *self.state = self.invoke([x, *self.state])
        return y

    def stream(self, features: Floats, *, reset: bool = True) -> Floats:
        """See `Runtime.stream`."""
        if reset:
            self.reset()
        quantised = self.inputs[0].quantise(features)
        out = np.empty((len(features), self.outputs[0].width), self.outputs[0].dtype)
        for row in range(len(features)):
            out[row] = self.step(quantised[row : row + 1])[0]
        return self.outputs[0].real(out)

    def real_states(self) -> Floats:
        """The present states as reals, one after the other."""
        pairs = zip(self.inputs[1:], self.state, strict=True)
        return np.concatenate([end.real(values)[0] for end, values in pairs])


class LiteRT(Interpreter):
    """Google's runtime for Linux and phones.

    Args:
        file: bytes of the .tflite file.
        inspect: keep every tensor, so that `tensors` can be asked after a step.
        wheels: of these the first that is installed.

    Raises:
        MissingTool: neither ai_edge_litert nor tflite_runtime is installed.
        ConversionError: it refuses the file.
    """

    name = "LiteRT"
    delegate = "built-in kernels, no XNNPACK"

    def __init__(self, file: bytes, *, inspect: bool = False, wheels: tuple[str, ...] = LITERT) -> None:
        litert = _litert(wheels)
        try:
            self._interpreter = litert.Interpreter(
                model_content=file,
                experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                experimental_preserve_all_tensors=inspect,
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ConversionError(_refused(self.name, error)) from error
        given, made = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.inputs, self.outputs = [End.of(d) for d in given], [End.of(d) for d in made]
        self._given, self._made = [d["index"] for d in given], [d["index"] for d in made]
        self.reset()

    def invoke(self, values: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """See `Interpreter.invoke`."""
        for index, value in zip(self._given, values, strict=True):
            self._interpreter.set_tensor(index, value)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._made]

    def tensors(self, indices: list[int]) -> list[NDArray[Any]]:
        """Values of any tensors after a step, for a runtime made with `inspect`."""
        return [self._interpreter.get_tensor(index) for index in indices]


class TFLM(Interpreter):
    """TensorFlow Lite for Microcontrollers, reference kernels, from the `tflite-micro` wheel.

    Args:
        file: bytes of the .tflite file.

    Raises:
        MissingTool: the wheel is not installed.
        ConversionError: it refuses the file.
    """

    name = "TFLM"
    delegate = "reference kernels"

    def __init__(self, file: bytes) -> None:
        try:
            runtime = importlib.import_module("tflite_micro.python.tflite_micro.runtime")
        except ImportError as error:
            msg = "tflite_micro is not installed, install the pre-release wheel tflite-micro: make setup"
            raise MissingTool(msg) from error
        try:
            self._interpreter = runtime.Interpreter.from_bytes(file, arena_size=TFLM_ARENA)
        except (ValueError, RuntimeError, TypeError, IndexError, struct.error) as error:
            raise ConversionError(_refused(self.name, error)) from error
        ends = range(1 + _states(file))
        self.inputs = [End.of(self._interpreter.get_input_details(index)) for index in ends]
        self.outputs = [End.of(self._interpreter.get_output_details(index)) for index in ends]
        self.reset()

    def invoke(self, values: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """See `Interpreter.invoke`."""
        for index, value in enumerate(values):
            self._interpreter.set_input(value, index)
        self._interpreter.invoke()
        return [self._interpreter.get_output(index) for index in range(len(values))]


class _Model(ctypes.Structure):
    """`nn_model` of firmware/core/nn/nn.h."""

    _fields_: ClassVar = [
        ("plan", ctypes.c_void_p),
        *[(name, ctypes.c_int32) for name in ("inputs", "outputs", "fused", "type")],
    ]


class Engine(Runtime):
    """The firmware's engine (firmware/core/nn), built for this machine.

    Args:
        file: bytes of the .tflite file.
        library: where it is built, by `make -C firmware host`.
        build: whether it may be built; else it is there already.

    Attributes:
        arena_bytes: what it needs beside the file.
        fused: GRU layers that run as one node.

    Raises:
        MissingTool: there is no compiler, or the build failed.
        ConversionError: it refuses the file.
    """

    name = "engine"
    delegate = "firmware/core/nn"

    def __init__(self, file: bytes, library: Path = LIBRARY, *, build: bool = True) -> None:
        self._library = engine_library(library, build=build)
        self._file, address = _aligned(len(file))
        ctypes.memmove(address, file, len(file))
        size, need = ctypes.c_size_t(len(file)), ctypes.c_size_t()
        self._require(self._library.nn_arena_bytes(ctypes.c_void_p(address), size, ctypes.byref(need)))
        self._arena, arena = _aligned(need.value)
        self._model = _Model()
        self._require(
            self._library.nn_load(
                ctypes.byref(self._model), ctypes.c_void_p(address), size, ctypes.c_void_p(arena), need
            )
        )
        self.arena_bytes, self.fused = int(need.value), int(self._model.fused)

    @property
    def library(self) -> ctypes.CDLL:
        """The library it runs in."""
        return self._library

    @property
    def model(self) -> ctypes.Structure:
        """Its `nn_model`, for other functions of the library."""
        return self._model

    def stream(self, features: Floats, *, reset: bool = True) -> Floats:
        """See `Runtime.stream`."""
        model = ctypes.byref(self._model)
        if reset:
            self._library.nn_reset(model)
        x = np.ascontiguousarray(features, np.float32)
        y = np.empty((len(x), self._model.outputs), np.float32)
        for row in range(len(x)):
            at = (ctypes.c_void_p(a.ctypes.data + row * a.strides[0]) for a in (x, y))
            self._library.nn_step(model, *at)
        return y

    def _require(self, status: int) -> None:
        if status:
            name = Status(status).name
            msg = f"the engine refuses the file: {name} ({status}, firmware/core/status.h); convert it again"
            raise ConversionError(msg)


RUNTIMES: dict[str, Callable[[bytes], Runtime]] = {"LiteRT": LiteRT, "TFLM": TFLM, "engine": Engine}


def board_runtime(file: bytes) -> Interpreter:
    """The runtime that says what the board will say: TFLM's kernels, or LiteRT where the wheel is not to be had."""
    try:
        return TFLM(file)
    except MissingTool:
        return LiteRT(file)


@lru_cache(maxsize=4)
def engine_library(path: Path = LIBRARY, *, build: bool = True) -> ctypes.CDLL:
    """The host library, as its sources are now.

    Args:
        path: where `make -C firmware host` puts it.
        build: whether make may be run. It is where there is a compiler: a library of older sources proves nothing.

    Raises:
        MissingTool: the library is not there and cannot be built, or the build failed; the message has its last line.
    """
    missing = [tool for tool in ("make", "gcc") if shutil.which(tool) is None]
    if build and not missing:
        _build_engine()
    if not path.exists():
        reason = f"{missing[0]!r} is not installed" if missing else f"{str(path)!r} is not there"
        msg = f"{reason}, the engine is not built: apt-get install build-essential, then make -C firmware host"
        raise MissingTool(msg)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        msg = f"the engine's library cannot be loaded ({error}): run make -C firmware host"
        raise MissingTool(msg) from error


def _build_engine() -> None:
    command = ["make", "-C", str(ROOT / "firmware"), "host"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"the engine does not build ({last}): run make -C firmware host"
        raise MissingTool(msg)


def _aligned(size: int) -> tuple[Any, int]:
    """A block of memory and the address in it that is divisible by 16."""
    block = ctypes.create_string_buffer(size + 16)
    return block, ctypes.addressof(block) + -ctypes.addressof(block) % 16


@lru_cache(maxsize=4)
def _litert(wheels: tuple[str, ...]) -> Any:
    for name in wheels:
        try:
            return importlib.import_module(f"{name}.interpreter")
        except ImportError:
            continue
    msg = f"neither {' nor '.join(wheels)} is installed: make setup"
    raise MissingTool(msg)


def _states(file: bytes) -> int:
    from deployers.conversion.flat import Graph  # noqa: PLC0415 - only TFLM does not say

    return len(Graph(file).inputs) - 1


def _refused(runtime: str, error: Exception) -> str:
    return f"{runtime} refuses the file ({' '.join(str(error).split())[:200]}): convert it again"
