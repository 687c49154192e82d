"""What one forecast costs on the board, estimated from what the engine was measured to take.

`engine_cost.json` holds, for each type, the instructions that each term of a cell takes. `python -m benchmarks.engine
--write-costs` fits them to cells of every form and of several sizes, run on QEMU's Cortex-M7, and notes by how much the
worst estimate was off.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

TYPES = ("float32", "int8", "int16x8")
TABLE = Path(__file__).with_name("engine_cost.json")
WORD = 4  # weights of int8 that are multiplied together
DENSE_IN_GRU = 6


def instructions(kind: str, file: bytes) -> int:
    """About how many instructions one forecast takes.

    Args:
        kind: float32, int8 or int16x8.
        file: the cell.
    """
    coefficients: dict[str, float] = _table()["instructions"][kind]
    return max(0, round(sum(coefficients[name] * amount for name, amount in terms(kind, file).items())))


def terms(kind: str, file: bytes) -> dict[str, int]:
    """What the cost is made of.

    Returns:
        step: 1; gru_layers and gru_units of fused steps; dense_layers and dense_rows outside them; products of all
        layers (of int8 weights in words of four, with those left over as leftovers); copies: elements that the window
        of a convolution moves.
    """
    from deployers.conversion.flat import Graph  # noqa: PLC0415 - the budget's defaults are read without the schema

    graph = Graph(file)
    shapes = [graph.tensor(int(op.inputs[1])).shape for op in graph.named("FULLY_CONNECTED")]
    layers = [graph.tensor(int(op.outputs[0])).shape for op in graph.named("TANH")]
    moved = [graph.tensor(int(op.outputs[0])).shape for op in graph.named("CONCATENATION", "STRIDED_SLICE")]
    units = sum(int(shape[-1]) for shape in layers)
    width = 1 if kind == "float32" else WORD
    return {
        "step": 1,
        "gru_layers": len(layers),
        "gru_units": units,
        "dense_layers": len(shapes) - DENSE_IN_GRU * len(layers),
        "dense_rows": sum(int(rows) for rows, _ in shapes) - DENSE_IN_GRU * units,
        "products": sum(int(rows) * (int(columns) // width) for rows, columns in shapes),
        "leftovers": sum(int(rows) * (int(columns) % width) for rows, columns in shapes),
        "copies": sum(int(shape[-1]) for shape in moved),
    }


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    return dict(json.loads(TABLE.read_text(encoding="utf-8")))
