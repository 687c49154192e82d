"""The network: sizes, initial weights, outputs and gradients against Keras and TensorFlow for every form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from forecaster.errors import ConfigError, InputError
from forecaster.gru import network
from forecaster.gru.architecture import FORMS, Architecture
from forecaster.gru.keras_model import keras_model
from forecaster.gru.network import Workspace, initial_weights, stream_network, views
from forecaster.sequences import MISSING

if TYPE_CHECKING:
    import keras

    from forecaster.arrays import Floats

INPUTS, HORIZON, UNITS = 3, 5, 10
STEPS, BATCH, BURN_IN = 11, 7, 3


def noise(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def architecture(form: str) -> Architecture:
    return Architecture(INPUTS, HORIZON, UNITS, form)


def lively_weights(form: str, seed: int = 0) -> Floats:
    """Initial weights with biases that are not zero and a full-sized output layer."""
    sizes = architecture(form)
    return initial_weights(sizes, np.random.default_rng(seed)) + 0.3 * noise(seed + 1, sizes.parameters)


class Task:
    """Features, targets with gaps, and a dropout mask of one small batch, batch innermost."""

    def __init__(self) -> None:
        self.x, self.y = noise(1, STEPS, INPUTS, BATCH), noise(2, STEPS, HORIZON, BATCH)
        self.y[noise(3, *self.y.shape) > 1.0] = MISSING
        self.mask = (np.random.default_rng(4).random((UNITS, BATCH)) < 0.8).astype(np.float32) / np.float32(0.8)


TASK = Task()


def our_gradient(form: str, flat: Floats, mask: Floats | None) -> tuple[float, Floats]:
    space, gradient = Workspace(architecture(form), STEPS, BATCH), np.zeros_like(flat)
    space.forward(flat, TASK.x, mask)
    loss = space.loss(TASK.y, BURN_IN)
    space.backward(flat, gradient, mask)
    return loss, gradient


def masked_outputs(model: keras.Model, form: str, mask: Floats | None) -> Any:
    """Outputs `(batch, steps, horizon)` with our mask in the place of Keras' dropout."""
    import keras

    last = model.get_layer(f"gru{architecture(form).layers - 1}").output
    signal = keras.Model(model.input, last)(TASK.x.transpose(2, 0, 1))
    if mask is not None:
        signal = signal * mask.T[:, None, :]
    for name in (["dense"] if architecture(form).hidden else []) + ["residuals"]:
        signal = model.get_layer(name)(signal)
    return signal


def tensorflow_gradient(form: str, flat: Floats, mask: Floats | None) -> tuple[float, Floats]:
    import tensorflow as tf

    model, target = keras_model(architecture(form), flat), TASK.y.transpose(2, 0, 1)
    counted = (target < MISSING) & (np.arange(STEPS) >= BURN_IN)[None, :, None]
    with tf.GradientTape() as tape:
        error = tf.where(counted, masked_outputs(model, form, mask) - target, 0.0)
        loss = tf.reduce_sum(tf.square(error)) / counted.sum()
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    return float(loss), np.concatenate([np.ravel(gradient) for gradient in gradients])


def test_unknown_form_is_a_config_error_that_names_the_choices() -> None:
    with pytest.raises(ConfigError, match="form 'lstm' is unknown, choose one of gru, conv_gru, gru_dense, gru_gru"):
        Architecture(1, 1, 1, "lstm")


@pytest.mark.parametrize(
    ("form", "macs"),
    [
        ("gru", 3 * 30 + 10 * 30 + 10 * 5 + 30),
        ("conv_gru", 3 * 3 * 5 + 5 * 30 + 10 * 30 + 10 * 5 + 30),
        ("gru_dense", 3 * 30 + 10 * 30 + 10 * 10 + 10 * 5 + 30),
        ("gru_gru", 3 * 30 + 10 * 30 + 10 * 30 + 10 * 30 + 10 * 5 + 60),
    ],
)
def test_multiply_accumulates_of_one_forecast(form: str, macs: int) -> None:
    assert architecture(form).macs_per_forecast == macs


@pytest.mark.parametrize("form", FORMS)
def test_views_cover_the_flat_vector_once_and_share_its_memory(form: str) -> None:
    sizes = architecture(form)
    flat = np.arange(sizes.parameters, dtype=np.float32)
    parts = views(sizes, flat)
    np.testing.assert_array_equal(np.concatenate([part.ravel() for part in parts.values()]), flat)
    assert {name: part.shape for name, part in parts.items()} == sizes.shapes()
    parts["output.bias"][:] = -1.0
    assert (flat[-HORIZON:] == -1.0).all()


def test_architecture_survives_json() -> None:
    sizes = architecture("gru_dense")
    assert Architecture(**sizes.as_dict()) == sizes


@pytest.mark.parametrize("form", FORMS)
def test_initial_weights_are_those_of_keras_with_a_small_output_layer(form: str) -> None:
    sizes = architecture(form)
    for name, part in views(sizes, initial_weights(sizes, np.random.default_rng(0))).items():
        if name.endswith("bias"):
            assert not part.any()
        elif name.endswith("recurrent"):
            np.testing.assert_allclose(part @ part.T, np.eye(UNITS), atol=1e-5)
        else:
            limit = math.sqrt(6.0 / sum(part.shape)) * (0.1 if name.startswith("output") else 1.0)
            assert 0.7 * limit < np.abs(part).max() <= limit


def test_initial_weights_follow_the_seed() -> None:
    first, again, other = (initial_weights(architecture("gru"), np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dropout", [False, True])
def test_loss_and_gradient_equal_tensorflow(form: str, *, dropout: bool) -> None:
    flat, mask = lively_weights(form), TASK.mask if dropout else None
    loss, gradient = our_gradient(form, flat, mask)
    expected_loss, expected = tensorflow_gradient(form, flat, mask)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
def test_a_long_series_in_one_go_equals_keras(form: str) -> None:
    flat, series = lively_weights(form), noise(5, 1, 400, INPUTS)
    streamed = stream_network(architecture(form), flat)(series)
    np.testing.assert_allclose(streamed, keras_model(architecture(form), flat)(series, training=False), atol=1e-5)
    assert np.abs(streamed).max() > 0.1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stretch", [1, 2, 3, 7, 8, 40, 41])
def test_a_series_in_stretches_is_the_same_series(form: str, stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    flat, series = lively_weights(form), noise(5, 1, 40, INPUTS)
    whole = stream_network(architecture(form), flat)(series)
    monkeypatch.setattr(network, "STRETCH", stretch)
    np.testing.assert_array_equal(stream_network(architecture(form), flat)(series), whole)


def test_a_series_of_no_steps_has_no_forecasts() -> None:
    flat = lively_weights("gru")
    assert stream_network(architecture("gru"), flat)(noise(1, 1, 0, INPUTS)).shape == (1, 0, HORIZON)


@pytest.mark.parametrize("shape", [(STEPS, INPUTS, 1), (1, INPUTS, BATCH), (STEPS, INPUTS, 8), (STEPS, 1, BATCH)])
def test_features_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=f"features have shape .*, expected \\({STEPS}, {INPUTS}, {BATCH}\\)"):
        Workspace(architecture("gru"), STEPS, BATCH).forward(lively_weights("gru"), noise(1, *shape))


@pytest.mark.parametrize("shape", [(STEPS, HORIZON, BATCH + 1), (STEPS + 1, HORIZON, BATCH), (STEPS, 1, BATCH)])
def test_targets_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    space = Workspace(architecture("gru"), STEPS, BATCH)
    space.forward(lively_weights("gru"), TASK.x)
    with pytest.raises(InputError, match=f"targets have shape .*, expected \\({STEPS}, {HORIZON}, {BATCH}\\)"):
        space.loss(noise(1, *shape), BURN_IN)


def test_a_past_that_was_not_finite_is_forgotten() -> None:
    flat, space = lively_weights("conv_gru"), Workspace(architecture("conv_gru"), STEPS, BATCH)
    clean = space.forward(flat, TASK.x).copy()
    space.forward(flat, np.full_like(TASK.x, np.nan))
    np.testing.assert_array_equal(space.forward(flat, TASK.x), clean)


def test_a_workspace_that_went_on_begins_anew_where_it_is_not_told_to() -> None:
    flat, space = lively_weights("conv_gru"), Workspace(architecture("conv_gru"), STEPS, BATCH)
    first = space.forward(flat, TASK.x).copy()
    went_on = space.forward(flat, TASK.x, goes_on=True).copy()
    whole = np.concatenate([TASK.x, TASK.x])
    expected = Workspace(architecture("conv_gru"), 2 * STEPS, BATCH).forward(flat, whole)[STEPS:]
    np.testing.assert_array_equal(went_on, expected)
    np.testing.assert_array_equal(space.forward(flat, TASK.x), first)


@pytest.mark.parametrize("form", FORMS)
def test_outputs_do_not_look_ahead(form: str) -> None:
    flat, x = lively_weights(form), TASK.x.copy()
    space = Workspace(architecture(form), STEPS, BATCH)
    before = space.forward(flat, x).copy()
    x[6:] += 1.0
    after = space.forward(flat, x)
    np.testing.assert_array_equal(after[:6], before[:6])
    assert (after[6:] != before[6:]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("form", FORMS)
def test_nan_in_one_step_shows_from_there_on(form: str) -> None:
    flat, x = lively_weights(form), TASK.x.copy()
    x[4, 1, 2] = np.nan
    output = Workspace(architecture(form), STEPS, BATCH).forward(flat, x)
    assert np.isnan(output[4:, :, 2]).all()
    assert not np.isnan(output[:4]).any()
    assert not np.isnan(output[:, :, [0, 1, 3, 4, 5, 6]]).any()


@pytest.mark.parametrize("form", FORMS)
def test_a_workspace_can_be_used_again(form: str) -> None:
    flat, space = lively_weights(form), Workspace(architecture(form), STEPS, BATCH)
    runs = []
    for x in (TASK.x, noise(6, *TASK.x.shape), TASK.x):
        gradient = np.zeros_like(flat)
        space.forward(flat, x, TASK.mask)
        space.loss(TASK.y, BURN_IN)
        space.backward(flat, gradient, TASK.mask)
        runs.append(gradient)
    np.testing.assert_array_equal(runs[2], runs[0])
    assert (runs[1] != runs[0]).any()


@pytest.mark.parametrize("form", FORMS)
def test_backward_adds_to_the_gradient(form: str) -> None:
    flat, gradient = lively_weights(form), noise(7, architecture(form).parameters)
    _, alone = our_gradient(form, flat, None)
    expected = gradient + alone
    space = Workspace(architecture(form), STEPS, BATCH)
    space.forward(flat, TASK.x)
    space.loss(TASK.y, BURN_IN)
    space.backward(flat, gradient)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
