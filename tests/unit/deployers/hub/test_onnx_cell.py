"""The sequence model opened at both ends of its state, in bytes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.exceptions import ConversionError, MissingTool
from deployers.hub import onnx_cell
from deployers.hub.onnx_cell import OnnxCell, field, fields, open_states, varint

FORMS = ("gru", "conv_gru", "gru_gru", "gru_dense")
INPUTS, UNITS, HORIZON = 3, 6, 4


def sequence_model(form: str) -> bytes:
    from forecaster.gru.architecture import Architecture
    from forecaster.gru.onnx_model import onnx_model

    architecture = Architecture(INPUTS, HORIZON, UNITS, form)
    weights = np.random.default_rng(4).normal(0, 0.4, architecture.parameters).astype(np.float32)
    return bytes(onnx_model(architecture, weights).SerializeToString())


def whole(model: bytes, features: Any) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"features": features[None]})[0][0]


@pytest.fixture(scope="module", params=FORMS)
def model(request: pytest.FixtureRequest) -> bytes:
    return sequence_model(request.param)


def test_steps_with_a_carried_state_are_the_whole_sequence(model: bytes) -> None:
    features = np.random.default_rng(1).normal(size=(40, INPUTS)).astype(np.float32)
    expected, cell = whole(model, features), OnnxCell(model)
    assert cell.stream(features) == pytest.approx(expected, abs=1e-6)
    y, states = cell.carry(features[:25], [end.nothing for end in cell.inputs[1:]])
    assert y[0] == pytest.approx(expected[24], abs=1e-6)
    y, _ = cell.carry(features[25:], states)
    assert y[0] == pytest.approx(expected[-1], abs=1e-6)


def test_its_ends_are_those_of_a_cell(model: bytes) -> None:
    cell = OnnxCell(model)
    assert (cell.inputs[0].width, cell.outputs[0].width) == (INPUTS, HORIZON)
    assert [end.width for end in cell.inputs[1:]] == [end.width for end in cell.outputs[1:]]
    assert cell.kind == "float32"


def test_a_convolution_is_given_what_came_before() -> None:
    cell = OnnxCell(sequence_model("conv_gru"))
    assert [end.width for end in cell.inputs[1:]] == [2 * INPUTS, UNITS]


def test_the_opened_model_is_sound_to_others(model: bytes) -> None:
    import onnx

    opened, _ = open_states(model)
    onnx.checker.check_model(onnx.load_from_string(opened), full_check=True)


@pytest.mark.parametrize("damaged", [b"", b"no model", bytes(40)])
def test_what_is_no_model_is_refused(damaged: bytes) -> None:
    with pytest.raises(ConversionError, match=r"ONNX Runtime refuses model.onnx .*: convert the release again"):
        OnnxCell(damaged)


def test_a_model_without_a_state_is_refused() -> None:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in ("features", "residuals")]
    graph = helper.make_graph([helper.make_node("Relu", ["features"], ["residuals"])], "g", ends[:1], ends[1:])
    with pytest.raises(ConversionError, match="it has no GRU"):
        OnnxCell(helper.make_model(graph).SerializeToString())


def test_a_model_whose_state_is_open_already_is_refused(model: bytes) -> None:
    opened, _ = open_states(model)
    with pytest.raises(ValueError, match="a GRU with 6 inputs and 2 outputs, expected 4 and 1"):
        open_states(opened)


def test_without_onnx_runtime_it_is_said(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingTool, match=r"onnxruntime is not installed: install locks/hub.txt"):
        OnnxCell(b"")


# The encoding


@given(st.integers(0, 2**63))
def test_numbers_survive(value: int) -> None:
    assert onnx_cell._varint(varint(value), 0) == (value, len(varint(value)))  # noqa: SLF001


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(1, 1000), st.just(2), st.binary(max_size=300)),
            st.tuples(st.integers(1, 1000), st.just(0), st.integers(0, 2**63).map(varint)),
            st.tuples(st.integers(1, 1000), st.just(1), st.binary(min_size=8, max_size=8)),
            st.tuples(st.integers(1, 1000), st.just(5), st.binary(min_size=4, max_size=4)),
        )
    )
)
def test_fields_survive(given_fields: list[tuple[int, int, bytes]]) -> None:
    assert list(fields(b"".join(field(*each) for each in given_fields))) == given_fields


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_refused(message: bytes) -> None:
    try:
        found = list(fields(message))
    except ValueError:
        return
    assert sum(len(value) for _, _, value in found) <= len(message)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (b"\x0a\x05ab", "it ends within field 1"),
        (b"\x09abc", "it ends within field 1"),
        (b"\x0b", "wire type 3"),
        (b"\x80", "a number at byte 1 does not end"),
        (b"\xff" * 12, "does not end"),
    ],
)
def test_damage_is_named(message: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        list(fields(message))
