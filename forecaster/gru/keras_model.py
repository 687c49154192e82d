"""The network as a Keras 3 model of standard layers, for the release folder and as an independent witness."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from forecaster.errors import InputError
from forecaster.gru.architecture import KERNEL_STEPS
from forecaster.gru.network import views

if TYPE_CHECKING:
    import keras

    from forecaster.arrays import Floats
    from forecaster.gru.architecture import Architecture


def keras_model(architecture: Architecture, weights_flat: Floats, dropout: float = 0.0) -> keras.Model:
    """Build the sequence model that gives the same outputs as `Workspace.forward`.

    Args:
        architecture: sizes of the network.
        weights_flat: `architecture.parameters` values; copied.
        dropout: share of the last GRU's outputs dropped in training, one mask for all steps of a sequence.

    Returns:
        A functional model: "features" `(batch, steps, inputs)`, both free, to "residuals" `(batch, steps, horizon)`.
    """
    keras = _keras()
    features = keras.Input((None, architecture.inputs), name="features")
    signal = features
    for layer in _layers(architecture, dropout):
        signal = layer(signal)
    model = keras.Model(features, signal, name=architecture.form)
    parts = views(architecture, weights_flat).values()
    # Only the convolution's kernel has another shape here: (steps, inputs, channels) in one piece.
    model.set_weights([part.reshape(weight.shape) for part, weight in zip(parts, model.weights, strict=True)])
    return model


def flat_weights(model: keras.Model, architecture: Architecture) -> Floats:
    """Read the flat vector back from a model that `keras_model` built; its inverse.

    Raises:
        InputError: the model's weights are not those of the architecture.
    """
    found = [tuple(weight.shape) for weight in model.weights]
    expected = [
        (KERNEL_STEPS, architecture.inputs, architecture.channels) if name == "conv.kernel" else shape
        for name, shape in architecture.shapes().items()
    ]
    if found != expected:
        msg = f"weights have shapes {found!r}, expected {expected!r}: give the matching architecture"
        raise InputError(msg)
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()], dtype=np.float32)


def _layers(architecture: Architecture, dropout: float) -> list[Any]:
    """The layers from features to residuals, named as the parts of the flat vector."""
    layers, units = _keras().layers, architecture.units
    chain: list[Any] = []
    if architecture.channels:
        chain.append(
            layers.Conv1D(architecture.channels, KERNEL_STEPS, padding="causal", activation="relu", name="conv")
        )
    chain += [
        layers.GRU(units, return_sequences=True, reset_after=True, name=f"gru{index}")
        for index in range(architecture.layers)
    ]
    chain.append(layers.Dropout(dropout, noise_shape=(None, 1, units), name="dropout"))
    if architecture.hidden:
        chain.append(layers.Dense(architecture.hidden, activation="relu", name="dense"))
    return [*chain, layers.Dense(architecture.horizon, name="residuals")]


def _keras() -> Any:
    """Keras, imported at the first use: TensorFlow below it takes seconds, and logs unless told not to."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras  # noqa: PLC0415 - see above

    return keras
