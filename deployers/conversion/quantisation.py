"""Scales and biases of a converted cell, made so that its state can go round and its sums add up exactly.

The converter gives the state that comes out another scale than the one that goes in, shares constants between
layers of different scales, and leaves zero biases out. Here every scale of the recurrence is set anew, and every
layer is given its own bias, requantised from the float weights:

    int16x8   σ, tanh, h, h'   2^-15        sums before a curve   2^-12        c − h and w ∘ (c − h)   2^-14
    int8      σ   1/256, −128  tanh, h, h', w ∘ (c − h)   1/128, 0            c − h   1/64, 0
              the sums that meet before a curve share one scale, and w and r share theirs

With powers of two (and equal scales in int8) additions are exact and rescaling is a shift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.cell import GATES, Cell
from deployers.conversion.flat import Graph
from deployers.exceptions import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE = {"int8": 1 / 128, "int16x8": 1 / 32768}
GATE = {"int8": (1 / 256, -128), "int16x8": (1 / 32768, 0)}
DIFFERENCE = {"int8": 1 / 64, "int16x8": 1 / 16384}
KEPT = {"int8": 1 / 128, "int16x8": 1 / 16384}
SUM_INT16 = 1 / 4096
# Times the range of the output that calibration shows: beyond it forecasts are cut off, and int16 has room to spare.
OUTPUT_ROOM = {"int8": 1, "int16x8": 4}
WEIGHT_LIMIT, LIMITS = 127, {"int8": 127, "int16x8": 32767}
BIAS_DTYPE = {"float32": np.float32, "int8": np.int32, "int16x8": np.int64}


def finish_cell(file: bytes, cell: Cell, kind: str) -> bytes:
    """Set scales and biases of a converted cell and write it in its canonical form.

    Args:
        file: what the converter made of `cell.function()`.
        cell: the float weights.
        kind: float32, int8 or int16x8.

    Returns:
        The file: inputs x and the states, outputs y and the next states, in the cell's order.

    Raises:
        ConversionError: the file is not this cell.
    """
    graph = Graph(file)
    _order_inputs(graph, cell)
    if kind != "float32":
        _drop_identities(graph)
        _set_scales(graph, cell, kind)
    for operator in graph.named("FULLY_CONNECTED"):
        _set_weights(graph, operator, cell, kind)
    return graph.pack(["x", *cell.states, "y", *(f"{name}_next" for name in cell.states)])


def _order_inputs(graph: Graph, cell: Cell) -> None:
    found = {graph.tensor(index).name.decode(): index for index in graph.inputs}
    if set(found) != {"x", *cell.states} or len(graph.outputs) != len(found):
        msg = f"converted cell has inputs {sorted(found)!r}, expected x and {list(cell.states)!r}: report this model"
        raise ConversionError(msg)
    graph.inputs = [found[name] for name in ("x", *cell.states)]
    widths = [int(graph.tensor(index).shape[-1]) for index in graph.outputs]
    if widths != [cell.horizon, *cell.states.values()]:
        expected = [cell.horizon, *cell.states.values()]
        msg = f"converted cell has outputs of widths {widths!r}, expected {expected!r}: report this model"
        raise ConversionError(msg)


def _drop_identities(graph: Graph) -> None:
    """Remove QUANTIZE: the scales that it stands between are made one."""
    for operator in graph.named("QUANTIZE"):
        graph.operators.remove(operator)
        graph.replace(int(operator.outputs[0]), int(operator.inputs[0]))


def _set_scales(graph: Graph, cell: Cell, kind: str) -> None:
    for operator in graph.named("LOGISTIC"):
        graph.quantise(int(operator.outputs[0]), *GATE[kind])
        _set_sums(graph, int(operator.inputs[0]), kind)
    for operator in graph.named("TANH"):
        graph.quantise(int(operator.outputs[0]), STATE[kind])
        _set_sums(graph, int(operator.inputs[0]), kind)
    if kind == "int8":
        _share_gates(graph)
    output = graph.outputs[0]
    graph.quantise(output, OUTPUT_ROOM[kind] * (graph.scale(output) or 0.0), graph.zero(output))
    for operator in graph.named("SUB"):
        difference = int(operator.outputs[0])
        graph.quantise(difference, DIFFERENCE[kind])
        kept = next(op for op in graph.operators if difference in list(op.inputs))
        graph.quantise(int(kept.outputs[0]), KEPT[kind])
    for number, name in enumerate(cell.states, start=1):
        source, target = graph.inputs[number], graph.outputs[number]
        if name == "w":
            _share_window(graph)
        else:
            graph.quantise(source, STATE[kind])
            graph.quantise(target, STATE[kind])


def _share_gates(graph: Graph) -> None:
    """The gates w and r of a layer have one scale, so that the engine keeps one table for both."""
    gates = graph.named("LOGISTIC")
    for pair in zip(gates[::2], gates[1::2], strict=True):
        totals = [int(operator.inputs[0]) for operator in pair]
        parts = [int(index) for total in totals for index in graph.maker(total).inputs]
        for group in (totals, parts):
            scale = max(graph.scale(index) or 0.0 for index in group)
            for index in group:
                graph.quantise(index, scale)


def _share_window(graph: Graph) -> None:
    """The window holds earlier inputs: it takes their scale."""
    (joined,) = graph.named("CONCATENATION")
    x = graph.inputs[0]
    for index in (graph.inputs[1], graph.outputs[1], int(joined.outputs[0])):
        graph.quantise(index, graph.scale(x), graph.zero(x))


def _set_sums(graph: Graph, total: int, kind: str) -> None:
    """One scale for what is added before a curve; a gated part has that of what it gates."""
    add = graph.maker(total)
    parts = [int(index) for index in add.inputs]
    for part in tuple(parts):
        maker = graph.maker(part)
        if graph.name(maker) == "MUL":
            parts += [int(i) for i in maker.inputs if graph.name(graph.maker(int(i))) == "FULLY_CONNECTED"]
    if kind == "int16x8":
        scale = SUM_INT16
    else:
        scale = max(_largest(graph, index) for index in parts[:2]) / LIMITS[kind]
        graph.quantise(total, _largest(graph, total) / LIMITS[kind])
    for index in parts if kind == "int8" else [*parts, total]:
        graph.quantise(index, scale)


def _largest(graph: Graph, index: int) -> float:
    """The largest magnitude that the converter gave room to."""
    scale, zero = graph.scale(index) or 0.0, graph.zero(index)
    return scale * max(127 - zero, 128 + zero)


def _set_weights(graph: Graph, operator: Any, cell: Cell, kind: str) -> None:
    """Find the layer by its kernel; quantise its kernel and bias from the float weights."""
    source, weights = int(operator.inputs[0]), int(operator.inputs[1])
    kernel, bias = _layer_of(graph, weights, cell)
    if kind == "float32":
        operator.inputs = [source, weights, graph.add_constant(bias)]
        return
    step = float(np.float32(np.abs(kernel).max() / WEIGHT_LIMIT)) or 1.0
    quantised = np.round(kernel.T / step).astype(np.int8)
    product = float(np.float32(graph.scale(source) or 0.0) * np.float32(step))
    limits = np.iinfo(np.int32)
    rounded = np.clip(np.round(bias.astype(np.float64) / product), limits.min, limits.max)
    operator.inputs = [source, graph.add_constant(quantised), graph.add_constant(rounded.astype(BIAS_DTYPE[kind]))]
    graph.quantise(operator.inputs[1], step)
    graph.quantise(operator.inputs[2], product)


def _layer_of(graph: Graph, weights: int, cell: Cell) -> tuple[Any, Any]:
    """Kernel and bias of the layer whose kernel the converter wrote here."""
    found = graph.constant(weights).astype(np.float64)
    scales = getattr(graph.tensor(weights).quantization, "scale", None)
    slack = np.zeros(1)
    if scales is not None and len(scales):
        scales = np.asarray(scales, np.float64).reshape(-1, 1)
        found, slack = found * scales, scales * 0.51
    candidates = [layer for layer in _layers(cell) if layer[0].T.shape == found.shape]
    distances = [float((np.abs(layer[0].T - found) - slack).max()) for layer in candidates]
    if not distances or min(distances) > 1e-6:
        msg = f"converted cell has a kernel of shape {found.shape!r} that the model does not have: report this model"
        raise ConversionError(msg)
    return candidates[int(np.argmin(distances))]


def _layers(cell: Cell) -> Iterator[tuple[Any, Any]]:
    """Kernel and bias of every dense layer of the cell, each gate by itself."""
    yield from (layer for layer in (cell.conv, cell.dense, cell.output) if layer)
    for kernel, recurrent, bias in cell.grus:
        for gate in range(GATES):
            part = slice(gate * recurrent.shape[0], (gate + 1) * recurrent.shape[0])
            yield kernel[:, part], bias[0, part]
            yield recurrent[:, part], bias[1, part]
