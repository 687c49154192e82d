"""Scales and biases of a converted cell: the state can go round, and every sum adds up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deployers.conversion.calibration import calibration_steps
from deployers.conversion.child import unfinished_cell
from deployers.conversion.flat import Graph
from deployers.conversion.quantisation import DIFFERENCE, GATE, KEPT, OUTPUT_ROOM, STATE, SUM_INT16, finish_cell
from deployers.conversion.runtimes import LiteRT
from deployers.exceptions import ConversionError
from tests.unit.deployers.conftest import FORMS

INTEGERS = ("int8", "int16x8")


@pytest.fixture(scope="module", params=[(form, kind) for form in FORMS for kind in INTEGERS], ids="-".join)
def finished(request, forms):
    form, kind = request.param
    return forms[form].cell, Graph(forms[form].files[kind]), kind


def parameters(graph: Graph, index: int) -> tuple[float | None, int]:
    return graph.scale(index), graph.zero(index)


def test_what_goes_in_as_state_is_what_came_out(finished) -> None:
    cell, graph, _ = finished
    assert len(graph.inputs) == len(graph.outputs) == 1 + len(cell.states)
    for given, made in zip(graph.inputs[1:], graph.outputs[1:], strict=True):
        assert parameters(graph, given) == parameters(graph, made)
        assert graph.tensor(given).type == graph.tensor(made).type
        assert list(graph.tensor(given).shape) == list(graph.tensor(made).shape)


def test_the_converter_alone_gives_them_other_scales(forms) -> None:
    found = forms["gru"]
    samples = list(calibration_steps(LiteRT(found.files["float32"]), found.cell.states, found.features, "int8"))
    raw = Graph(unfinished_cell(found.cell, "int8", samples))
    h = next(index for index in raw.inputs if raw.tensor(index).name.decode() == "h0")
    assert raw.scale(h) != raw.scale(raw.outputs[1])


def test_the_hidden_states_reach_from_minus_one_to_one(finished) -> None:
    cell, graph, kind = finished
    for name, index in zip(cell.states, graph.inputs[1:], strict=True):
        if name != "w":
            assert parameters(graph, index) == (pytest.approx(STATE[kind]), 0)


def test_the_window_has_the_scale_of_the_input(finished) -> None:
    cell, graph, _ = finished
    for name, index in zip(cell.states, graph.inputs[1:], strict=True):
        if name == "w":
            assert parameters(graph, index) == parameters(graph, graph.inputs[0])


def test_curves_and_differences_have_the_scales_of_the_table(finished) -> None:
    _, graph, kind = finished
    table = {"LOGISTIC": GATE[kind], "TANH": (STATE[kind], 0), "SUB": (DIFFERENCE[kind], 0)}
    for name, expected in table.items():
        assert {parameters(graph, int(op.outputs[0])) for op in graph.named(name)} == {expected}
    for sub in graph.named("SUB"):
        (kept,) = [op for op in graph.operators if int(sub.outputs[0]) in [int(i) for i in op.inputs]]
        assert graph.scale(int(kept.outputs[0])) == KEPT[kind]


def test_what_is_added_before_a_curve_has_one_scale(finished) -> None:
    _, graph, kind = finished
    for curve in graph.named("LOGISTIC", "TANH"):
        add = graph.maker(int(curve.inputs[0]))
        scales = {graph.scale(int(index)) for index in add.inputs}
        assert len(scales) == 1
        if kind == "int16x8":
            assert scales == {SUM_INT16} == {graph.scale(int(add.outputs[0]))}


def test_both_gates_of_a_layer_share_their_scales_in_int8(forms) -> None:
    graph = Graph(forms["gru_gru"].files["int8"])
    gates = graph.named("LOGISTIC")
    for one, other in zip(gates[::2], gates[1::2], strict=True):
        assert graph.scale(int(one.inputs[0])) == graph.scale(int(other.inputs[0]))


def test_every_layer_has_a_bias_of_its_own_in_its_own_scale(finished) -> None:
    _, graph, kind = finished
    dense = graph.named("FULLY_CONNECTED")
    biases = [int(op.inputs[2]) for op in dense]
    assert len(set(biases)) == len(biases)
    for op in dense:
        source, weights, bias = (int(index) for index in op.inputs)
        product = np.float32(graph.scale(source)) * np.float32(graph.scale(weights))
        assert graph.scale(bias) == pytest.approx(float(product), rel=1e-6)
        assert graph.zero(bias) == graph.zero(weights) == 0
        assert graph.constant(bias).dtype == {"int8": np.int32, "int16x8": np.int64}[kind]
        assert np.abs(graph.constant(weights).astype(int)).max() == 127


def test_the_biases_of_a_gate_are_both_there(forms) -> None:
    found = forms["gru"]
    graph, (_, _, bias) = Graph(found.files["int16x8"]), found.cell.grus[0]
    reals = [
        graph.constant(int(op.inputs[2])) * graph.scale(int(op.inputs[2])) for op in graph.named("FULLY_CONNECTED")
    ]
    expected = [part for row in bias for part in np.split(row, 3)]
    for part in expected:
        assert any(len(real) == len(part) and np.abs(real - part).max() < 1e-4 for real in reals)


def test_no_requantisation_is_left(finished) -> None:
    _, graph, _ = finished
    assert graph.named("QUANTIZE", "DEQUANTIZE") == []


def test_int16_forecasts_have_room_beyond_what_was_seen(forms) -> None:
    found = forms["gru"]
    samples = list(calibration_steps(LiteRT(found.files["float32"]), found.cell.states, found.features, "int16x8"))
    raw, graph = Graph(unfinished_cell(found.cell, "int16x8", samples)), Graph(found.files["int16x8"])
    assert graph.scale(graph.outputs[0]) == pytest.approx(OUTPUT_ROOM["int16x8"] * raw.scale(raw.outputs[0]), rel=1e-6)


def test_the_ends_are_named_in_the_cells_order(finished) -> None:
    cell, graph, _ = finished
    names = [graph.tensor(index).name.decode() for index in (*graph.inputs, *graph.outputs)]
    assert names == ["x", *cell.states, "y", *(f"{name}_next" for name in cell.states)]


# What is refused


def test_weights_of_another_model_are_noticed(forms) -> None:
    found = forms["gru"]
    kernel, recurrent, bias = found.cell.grus[0]
    other = replace(found.cell, grus=((kernel + 0.01, recurrent, bias),))
    with pytest.raises(ConversionError, match=r"kernel of shape .* that the model does not have"):
        finish_cell(unfinished_cell(found.cell, "float32"), other, "float32")


def test_another_form_is_noticed_by_its_inputs(forms) -> None:
    with pytest.raises(ConversionError, match=r"has inputs \['h0', 'x'\], expected x and \['h0', 'h1'\]"):
        finish_cell(unfinished_cell(forms["gru"].cell, "float32"), forms["gru_gru"].cell, "float32")


def test_another_horizon_is_noticed_by_its_outputs(forms) -> None:
    cell = forms["gru"].cell
    kernel, bias = cell.output
    shorter = replace(cell, output=(kernel[:, :2], bias[:2]))
    with pytest.raises(ConversionError, match=r"outputs of widths \[4, 6\], expected \[2, 6\]"):
        finish_cell(unfinished_cell(cell, "float32"), shorter, "float32")
