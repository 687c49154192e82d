"""One step of a sequence model: the same function, and no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deployers.conversion.cell import Cell
from deployers.conversion.runtimes import LiteRT
from deployers.exceptions import ConversionError
from tests.unit.deployers.conftest import FORMS, HORIZON, INPUTS, UNITS, sequences


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("form", FORMS)
def test_the_steps_in_a_row_are_the_sequence_model(forms, form: str) -> None:
    found = forms[form]
    for sequence in sequences(seed=9):
        expected = found.model(sequence[None], training=False).numpy()[0]
        assert np.abs(LiteRT(found.files["float32"]).stream(sequence) - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("form", "states"),
    [
        ("gru", {"h0": UNITS}),
        ("gru_dense", {"h0": UNITS}),
        ("conv_gru", {"w": 2 * INPUTS, "h0": UNITS}),
        ("gru_gru", {"h0": UNITS, "h1": UNITS}),
    ],
)
def test_every_state_is_an_end_of_the_cell(forms, form: str, states: dict[str, int]) -> None:
    cell = forms[form].cell
    assert (cell.inputs, cell.horizon, cell.states) == (INPUTS, HORIZON, states)
    assert list(cell.states) == list(states)


def test_a_step_in_numpy_is_a_step_of_the_cell(forms) -> None:
    found = forms["gru"]
    (kernel, recurrent, bias), (out, out_bias) = found.cell.grus[0], found.cell.output
    x, h = sequences(3)[0][:1], np.random.default_rng(4).uniform(-1, 1, (1, UNITS)).astype(np.float32)
    parts = zip(*(np.split(a, 3, axis=-1) for a in (x @ kernel + bias[0], h @ recurrent + bias[1])), strict=True)
    (ax, ah), (rx, rh), (cx, ch) = parts
    w, r = sigmoid(ax + ah), sigmoid(rx + rh)
    c = np.tanh(cx + r * ch)
    y, following = LiteRT(found.files["float32"]).invoke([x, h])
    assert np.allclose(following, h + w * (c - h), atol=1e-6)
    assert np.allclose(y, following @ out + out_bias, atol=1e-6)


def test_only_the_first_gate_has_its_sign_turned(forms) -> None:
    found = forms["gru"]
    kernel, recurrent, bias = found.model.layers[1].get_weights()
    for mine, keras in zip(found.cell.grus[0], (kernel, recurrent, bias), strict=True):
        assert np.array_equal(mine[:, :UNITS], -keras[:, :UNITS])
        assert np.array_equal(mine[:, UNITS:], keras[:, UNITS:])


def model_of(*layers: Any) -> Any:
    import keras

    return keras.Sequential([keras.Input((None, INPUTS)), *layers])


def gru(**options: Any) -> Any:
    import keras

    return keras.layers.GRU(UNITS, **{"return_sequences": True, **options})


def dense(units: int = HORIZON) -> Any:
    import keras

    return keras.layers.Dense(units)


def conv(**options: Any) -> Any:
    import keras

    known = {"filters": 4, "kernel_size": 3, "padding": "causal", "activation": "relu"}
    return keras.layers.Conv1D(**{**known, **options})


@pytest.mark.parametrize(
    ("option", "value"),
    [("reset_after", False), ("activation", "relu"), ("recurrent_activation", "tanh"), ("go_backwards", True)],
)
def test_a_gru_of_another_kind_is_refused(option: str, value: Any) -> None:
    with pytest.raises(ConversionError, match=f"^{option} of layer 'gru.*' is {value!r}, expected .*train"):
        Cell.of(model_of(gru(**{option: value}), dense()))


@pytest.mark.parametrize(
    ("option", "value"), [("padding", "same"), ("kernel_size", (5,)), ("activation", "tanh"), ("strides", (2,))]
)
def test_a_convolution_of_another_kind_is_refused(option: str, value: Any) -> None:
    with pytest.raises(ConversionError, match=f"^{option} of layer 'conv1d.*' is .*, expected "):
        Cell.of(model_of(conv(**{option: value}), gru(), dense()))


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [dense()],
        lambda: [gru()],
        lambda: [dense(), gru()],
        lambda: [gru(), gru(), gru(), dense()],
        lambda: [conv(), conv(), gru(), dense()],
        lambda: [conv(), gru(), gru(), dense()],
        lambda: [gru(), dense(), dense(), dense()],
        lambda: [gru(), conv(), dense()],
        lambda: [gru(), lstm(), dense()],
    ],
)
def test_layers_in_another_order_are_refused_by_name(layers) -> None:
    with pytest.raises(ConversionError, match=r"^layers \[.*\] have no cell, expected .*: train such a model$"):
        Cell.of(model_of(*layers()))


def lstm() -> Any:
    import keras

    return keras.layers.LSTM(UNITS, return_sequences=True)
