"""A .tflite file taken apart and put together again."""

from __future__ import annotations

import numpy as np
import pytest

from deployers.conversion.flat import ALIGNMENT, Graph
from deployers.conversion.runtimes import LiteRT
from tests.unit.deployers.conftest import FORMS, sequences

NAMES = ["x", "h0", "y", "h0_next"]


@pytest.fixture
def graph(forms) -> Graph:
    return Graph(forms["gru"].files["int8"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["float32", "int8", "int16x8"])
def test_packing_again_changes_nothing(forms, form: str, kind: str) -> None:
    file = forms[form].files[kind]
    graph = Graph(file)
    names = [graph.tensor(index).name.decode() for index in (*graph.inputs, *graph.outputs)]
    again = graph.pack(names)
    assert len(again) == len(file)
    x = sequences(5)[0]
    assert np.array_equal(LiteRT(again).stream(x), LiteRT(file).stream(x))


@pytest.mark.parametrize("kind", ["float32", "int8", "int16x8"])
def test_constants_can_be_read_in_place(forms, kind: str) -> None:
    file = forms["gru"].files[kind]
    graph = Graph(file)
    constants = {index for op in graph.operators for index in map(int, op.inputs) if graph.constant(index) is not None}
    assert constants
    for index in constants:
        values = graph.constant(index).tobytes()
        if len(values) >= ALIGNMENT:
            assert file.find(values) % ALIGNMENT == 0


def test_only_what_is_used_is_written(graph: Graph) -> None:
    before = len(graph.pack(NAMES))
    unused = graph.add_constant(np.zeros((64, 64), np.int8))
    assert np.array_equal(graph.constant(unused), np.zeros((64, 64)))
    assert len(graph.pack(NAMES)) == before


def test_a_constant_keeps_its_values_and_type(graph: Graph) -> None:
    for values in (np.arange(6, dtype=np.int8), np.array([1.5, -2], np.float32), np.array([2**40], np.int64)):
        index = graph.add_constant(values)
        assert graph.constant(index).dtype == values.dtype
        assert np.array_equal(graph.constant(index), values)


def test_quantisation_parameters_are_set_and_read(graph: Graph) -> None:
    graph.quantise(graph.inputs[0], 0.25, -3)
    assert (graph.scale(graph.inputs[0]), graph.zero(graph.inputs[0])) == (0.25, -3)
    graph.quantise(graph.inputs[0], [0.25, 0.5])
    assert graph.scale(graph.inputs[0]) is None


def test_a_float_tensor_has_no_scale(forms) -> None:
    graph = Graph(forms["gru"].files["float32"])
    assert graph.scale(graph.inputs[0]) is None
    assert graph.constant(graph.inputs[0]) is None


def test_readers_of_a_tensor_can_be_given_another(graph: Graph) -> None:
    y = graph.outputs[0]
    graph.replace(y, graph.inputs[0])
    assert graph.outputs[0] == graph.inputs[0]
    assert all(y not in list(op.inputs) for op in graph.operators)


def test_makers_are_found(graph: Graph) -> None:
    assert graph.maker(graph.inputs[0]) is None
    assert graph.name(graph.maker(graph.outputs[0])) == "FULLY_CONNECTED"
    assert {graph.name(op) for op in graph.named("TANH", "SUB")} == {"TANH", "SUB"}


def test_names_for_other_ends_are_refused(graph: Graph) -> None:
    with pytest.raises(ValueError, match="shorter"):
        graph.pack(["x"])
