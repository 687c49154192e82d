"""One step of a released sequence model as a function of a reading's features and the state.

    x (1, inputs), [w (1, 2·inputs)], h0 (1, units), [h1 (1, units)]  →  y (1, horizon), the next states in this order

`w` holds the two earlier inputs of a causal convolution over three steps. A GRU layer is written as

    w = σ(−(x·Wz + bz + h·Uz + cz))        r = σ(x·Wr + br + h·Ur + cr)
    c = tanh(x·Wc + bc + r ∘ (h·Uc + cc))
    h' = h + w ∘ (c − h)

which is Keras' z ∘ h + (1 − z) ∘ c with w = 1 − z. Every gate has matrices of its own: no slicing, and one scale for
each matrix when it is quantised. In int8 this update is the most exact of the three: slow units have a small w, so
the product neither saturates nor rounds much, where z ∘ (h − c) does both; Keras' own form has one product more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.exceptions import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

KERNEL_STEPS = 3
GATES = 3


@dataclass(frozen=True)
class Cell:
    """Weights of one step, layer by layer, in Keras' order and shapes.

    Attributes:
        conv: kernel `(3 · inputs, channels)` and bias, or None.
        grus: kernel `(width, 3 · units)`, recurrent `(units, 3 · units)`, bias `(2, 3 · units)` of each GRU layer,
            in the order w, r, c: those of Keras' gate z with their signs turned.
        dense: kernel and bias of the layer with ReLU before the output, or None.
        output: kernel and bias of the output.
    """

    conv: tuple[Floats, Floats] | None
    grus: tuple[tuple[Floats, Floats, Floats], ...]
    dense: tuple[Floats, Floats] | None
    output: tuple[Floats, Floats]

    @classmethod
    def of(cls, model: Any) -> Cell:
        """Read the weights of a Keras sequence model.

        Raises:
            ConversionError: the layers are not [Conv1D] → GRU → [GRU] → [Dense] → Dense as the trainer builds them.
        """
        weights: dict[str, list[list[Floats]]] = {"Conv1D": [], "GRU": [], "Dense": []}
        kinds = [type(layer).__name__ for layer in model.layers]
        for layer in model.layers:
            if type(layer).__name__ in weights:
                _require_known(layer)
                weights[type(layer).__name__].append([np.asarray(part, np.float32) for part in layer.get_weights()])
        order = [kind for kind in kinds if kind not in {"InputLayer", "Dropout"}]
        convs, grus, denses = weights["Conv1D"], weights["GRU"], weights["Dense"]
        if (
            order != ["Conv1D"] * len(convs) + ["GRU"] * len(grus) + ["Dense"] * len(denses)
            or (len(convs), len(grus), len(denses)) not in FORMS
        ):
            msg = f"layers {kinds!r} have no cell, expected [Conv1D], GRU, [GRU], [Dense], Dense: train such a model"
            raise ConversionError(msg)
        conv = (convs[0][0].reshape(-1, convs[0][0].shape[-1]), convs[0][1]) if convs else None
        pairs = [(part[0], part[1]) for part in denses]
        return cls(conv, tuple(_inverted(*gru) for gru in grus), pairs[0] if len(pairs) == 2 else None, pairs[-1])

    @property
    def inputs(self) -> int:
        """Features of one step."""
        rows = (self.conv or self.grus[0])[0].shape[0]
        return rows // KERNEL_STEPS if self.conv else rows

    @property
    def horizon(self) -> int:
        """Outputs of one step."""
        return int(self.output[1].shape[0])

    @property
    def states(self) -> dict[str, int]:
        """Names and widths of the states, in their order."""
        window = {"w": (KERNEL_STEPS - 1) * self.inputs} if self.conv else {}
        return {**window, **{f"h{i}": recurrent.shape[0] for i, (_, recurrent, _) in enumerate(self.grus)}}

    def function(self) -> Any:
        """The step as a frozen TensorFlow function of `x` and the states, each with batch 1."""
        import tensorflow as tf  # noqa: PLC0415 - seconds to import
        from tensorflow.python.framework.convert_to_constants import (  # noqa: PLC0415
            convert_variables_to_constants_v2,
        )

        widths = {"x": self.inputs, **self.states}
        signature = [tf.TensorSpec((1, width), tf.float32, name=name) for name, width in widths.items()]

        def step(*tensors: Any) -> list[Any]:
            return list(self.step(tf, tensors[0], list(tensors[1:])))

        concrete = tf.function(step, input_signature=signature).get_concrete_function()
        return convert_variables_to_constants_v2(concrete)

    def step(self, tf: Any, x: Any, states: list[Any]) -> Iterator[Any]:
        """The output, then the next states; `tf` is TensorFlow."""
        following, signal = [], x
        states = list(states)
        if self.conv:
            window = tf.concat([states.pop(0), x], axis=1)
            following.append(window[:, self.inputs :])
            signal = tf.nn.relu(_affine(tf, window, *self.conv))
        for weights, h in zip(self.grus, states, strict=True):
            signal = _gru(tf, signal, h, *weights)
            following.append(signal)
        if self.dense:
            signal = tf.nn.relu(_affine(tf, signal, *self.dense))
        yield _affine(tf, signal, *self.output)
        yield from following


# Convolutions, GRU layers, dense layers.
FORMS = {(0, 1, 1), (1, 1, 1), (0, 1, 2), (0, 2, 1)}


def _affine(tf: Any, x: Any, kernel: Floats, bias: Floats) -> Any:
    return tf.matmul(x, tf.constant(kernel)) + tf.constant(bias)


def _gru(tf: Any, x: Any, h: Any, kernel: Floats, recurrent: Floats, bias: Floats) -> Any:  # noqa: PLR0913, PLR0917 - Keras' weights
    gates = [np.split(part, GATES, axis=1) for part in (kernel, recurrent, bias)]
    (ww, wr, wc), (uw, ur, uc), (bw, br, bc) = gates
    w = tf.sigmoid(_affine(tf, x, ww, bw[0]) + _affine(tf, h, uw, bw[1]))
    r = tf.sigmoid(_affine(tf, x, wr, br[0]) + _affine(tf, h, ur, br[1]))
    c = tf.tanh(_affine(tf, x, wc, bc[0]) + r * _affine(tf, h, uc, bc[1]))
    return h + w * (c - h)


def _inverted(*weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Turn the signs of gate z, the first third: σ(−a) = 1 − σ(a)."""
    units = weights[1].shape[0]
    sign = np.where(np.arange(GATES * units) < units, -1, 1).astype(np.float32)
    kernel, recurrent, bias = (part * sign for part in weights)
    return kernel, recurrent, bias


def _require_known(layer: Any) -> None:
    """Refuse what would make another function of the same weights."""
    known: dict[str, dict[str, Any]] = {
        "GRU": {"reset_after": True, "activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": False},
        "Conv1D": {"padding": "causal", "kernel_size": (KERNEL_STEPS,), "activation": "relu", "strides": (1,)},
        "Dense": {},
    }
    expected = known[type(layer).__name__]
    config = layer.get_config()
    for key, value in expected.items():
        found = tuple(config[key]) if isinstance(config[key], list) else config[key]
        if found != value:
            msg = f"{key} of layer {layer.name!r} is {found!r}, expected {value!r}: train such a model"
            raise ConversionError(msg)
