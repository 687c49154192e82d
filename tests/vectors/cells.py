"""GRU cells with random weights, with every scale chosen: what the converter makes, without the converter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.vectors.tflite_file import TfliteFile

if TYPE_CHECKING:
    from collections.abc import Callable

STATE = {"float32": (None, 0), "int8": (1 / 128, 0), "int16": (1 / 32768, 0)}
GATE = {"float32": (None, 0), "int8": (1 / 256, -128), "int16": (1 / 32768, 0)}


@dataclass
class Cell:
    """A cell's file and what its inputs look like."""

    file: bytes
    dtype: str
    inputs: int
    units: int


def gru_cell(
    dtype: str,
    inputs: int,
    units: int,
    outputs: int,
    seed: int,
    *,
    general: bool = False,
    zeros: bool = False,
    stray: str = "",
) -> Cell:
    """One GRU step and a dense output.

    Args:
        dtype: `float32`, `int8` or `int16` (with weights of int8).
        inputs, units, outputs: sizes.
        seed: of the weights.
        general: scales that no fused form knows, so that every operator runs alone.
        zeros: zero points other than zero wherever the fused int8 form takes them.
        stray: a gate, w, r or c, that reads the state where it should read x; inputs and units are equal then.
    """
    rng = np.random.default_rng(seed)
    file = TfliteFile()
    scale = _scales(dtype, rng, general=general, zeros=zeros)
    x, h = (file.tensor((1, size), dtype, *scale(name)) for name, size in (("x", inputs), ("h", units)))

    def dense(source: int, columns: int, rows: int, name: str) -> int:
        out = file.tensor((1, rows), dtype, *scale(name))
        spread = 1 / np.sqrt(columns)
        weights, bias = rng.normal(size=(rows, columns)) * spread, rng.normal(size=rows) * 0.3
        file.operator("FULLY_CONNECTED", [source, *_parameters(file, dtype, source, weights, bias)], [out])
        return out

    def apply(operator: str, sources: list[int], name: str, **options: Any) -> int:
        out = file.tensor((1, units), dtype, *scale(name))
        file.operator(operator, sources, [out], **options)
        return out

    def gate(name: str, second: Callable[[int], int], curve: str) -> int:
        sources = [
            dense(h if name == stray else x, inputs, units, f"sum {name}"),
            second(dense(h, units, units, f"sum {name}")),
        ]
        return apply(curve, [apply("ADD", sources, f"total {name}", potScaleInt16=False)], curve)

    w = gate("w", lambda part: part, "LOGISTIC")
    r = gate("r", lambda part: part, "LOGISTIC")
    c = gate("c", lambda part: apply("MUL", [r, part], "sum c"), "TANH")
    difference = apply("SUB", [c, h], "difference", potScaleInt16=False)
    change = apply("MUL", [w, difference], "change")
    following = file.tensor((1, units), dtype, *scale("h"))
    file.operator("ADD", [h, change], [following], potScaleInt16=False)
    y = dense(following, units, outputs, "y")
    return Cell(file.pack([x, h], [y, following]), dtype, inputs, units)


def _scales(dtype: str, rng: np.random.Generator, *, general: bool, zeros: bool) -> Callable[[str], tuple[Any, int]]:
    if dtype == "float32":
        return lambda _: (None, 0)
    fixed = {"h": STATE[dtype], "LOGISTIC": GATE[dtype], "TANH": STATE[dtype]}
    if dtype == "int16":
        ordinary = {"difference": 1 / 16384, "change": 1 / 16384, "x": 8 / 32768, "y": 4 / 32768}
        base = 1 / 4096
    else:
        ordinary = {"difference": 2 / 128, "change": 1 / 128, "x": 5 / 128, "y": 4 / 128}
        base = 6 / 128
    chosen: dict[str, tuple[float, int]] = {}

    def scale(name: str) -> tuple[Any, int]:
        if name in fixed:
            return fixed[name]
        value = ordinary.get(name, base)
        if not general:
            return value, int(rng.integers(-20, 20)) if zeros and dtype == "int8" and name != "change" else 0
        zero = int(rng.integers(-20, 20)) if dtype == "int8" else 0
        return chosen.setdefault(name + str(len(chosen)), (float(value * rng.uniform(0.7, 1.3)), zero))

    return scale


def _parameters(file: TfliteFile, dtype: str, source: int, weights: Any, bias: Any) -> list[int]:
    if dtype == "float32":
        return [file.tensor(weights.shape, dtype, data=weights), file.tensor(bias.shape, dtype, data=bias)]
    step = float(np.float32(np.abs(weights).max() / 127))
    product = float(np.float32(np.float32(file.tensors[source].quantization.scale[0]) * np.float32(step)))
    wide = "int32" if dtype == "int8" else "int64"
    return [
        file.tensor(weights.shape, "int8", step, 0, np.round(weights / step)),
        file.tensor(bias.shape, wide, product, 0, np.round(bias / product)),
    ]
