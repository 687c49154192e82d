"""What computes the hub's forecasts: LiteRT from either of its wheels, else ONNX Runtime; whichever is installed.

LiteRT runs the cell that the boards run. ONNX Runtime has no such cell and runs the float sequence model instead,
which is nearer to Keras than an integer cell is; see `onnx_cell`.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from deployers.conversion.runtimes import LiteRT
from deployers.exceptions import InputError, MissingTool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deployers.conversion.runtimes import Interpreter

MODULES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime", "onnx": "onnxruntime"}
FLOAT = "float32"


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


def cell_maker(folder: Path, kind: str, runtime: str) -> tuple[Callable[[], Interpreter], str]:
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
        return lambda: LiteRT(file, wheels=(MODULES[runtime],)), kind
    from deployers.hub.onnx_cell import OnnxCell  # noqa: PLC0415 - where LiteRT runs, ONNX Runtime is not loaded

    model = (folder / "model.onnx").read_bytes()
    return lambda: OnnxCell(model), FLOAT
