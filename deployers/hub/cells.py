"""What computes the hub's forecasts: LiteRT from either of its wheels, else ONNX Runtime; whichever is installed.

LiteRT runs the cell that the boards run. ONNX Runtime has no such cell and runs the float sequence model instead,
which is nearer to Keras than an integer cell is; see `onnx_cell`.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from deployers.conversion.runtimes import LiteRT
from deployers.exceptions import InputError, MissingTool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from deployers.conversion.runtimes import End

    Integers = NDArray[Any]

MODULES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime", "onnx": "onnxruntime"}
FLOAT = "float32"


class Cell(Protocol):
    """What a model steps with.

    Attributes:
        name: of the runtime.
        inputs, outputs: x and the states, y and the next states.
    """

    name: ClassVar[str]
    inputs: list[End]
    outputs: list[End]

    def carry(self, x: Integers, states: list[Integers]) -> tuple[Integers, list[Integers]]:
        """Steps in a row from given states; of who carries those of many series.

        Args:
            x: quantised features, `(steps, inputs)`, of one step or more.
            states: before the first of them; not changed.

        Returns:
            The last step's integers `(1, horizon)`, and the states after it.
        """
        ...


class LiteCell(LiteRT):
    """The cell in LiteRT."""

    def carry(self, x: Integers, states: list[Integers]) -> tuple[Integers, list[Integers]]:
        """See `Cell.carry`. The outputs of steps between are not fetched: that is a third of the time of a step."""
        put, invoke, get = self._interpreter.set_tensor, self._interpreter.invoke, self._interpreter.get_tensor
        first, *given = self._given
        output, *made = self._made
        for index, state in zip(given, states, strict=True):
            put(index, state)
        pairs = list(zip(given, made, strict=True))
        for number, row in enumerate(x[:, None]):
            if number:
                for index, following in pairs:
                    put(index, get(following))
            put(first, row)
            invoke()
        return get(output), [get(index) for index in made]


def chosen_runtime(name: str) -> str:
    """The runtime that a setting stands for: its own name, or for "auto" the first one installed.

    Raises:
        InputError: another name.
        MissingTool: it is not installed, or none is.
    """
    if name != "auto" and name not in MODULES:
        msg = f"runtime {name!r}: expected auto, {', '.join(MODULES)}: correct it in hub.toml"
        raise InputError(msg)
    wanted = list(MODULES) if name == "auto" else [name]
    found = [each for each in wanted if importlib.util.find_spec(MODULES[each]) is not None]
    if not found:
        names = " nor ".join(MODULES[each] for each in wanted)
        msg = f"runtime {name!r}: {names} is installed, expected one of them: install locks/hub.txt"
        raise MissingTool(msg)
    return found[0]


def kind_in(runtime: str, chosen: str) -> str:
    """The number format that the cell of a chosen type computes in here."""
    return FLOAT if runtime == "onnx" else chosen


def cell_maker(folder: Path, kind: str, runtime: str) -> tuple[Callable[[], Cell], str]:
    """What makes a cell of a converted folder, from bytes read now, and the number format it computes in.

    Args:
        folder: a conversion.
        kind: its chosen type.
        runtime: as `chosen_runtime` names it.

    Raises:
        OSError: a file cannot be read.
    """
    if runtime != "onnx":
        file = (folder / f"cell_{kind}.tflite").read_bytes()
        return lambda: LiteCell(file, wheels=(MODULES[runtime],)), kind_in(runtime, kind)
    from deployers.hub.onnx_cell import OnnxCell  # noqa: PLC0415 - where LiteRT runs, ONNX Runtime is not loaded

    model = (folder / "model.onnx").read_bytes()
    return lambda: OnnxCell(model), kind_in(runtime, kind)
