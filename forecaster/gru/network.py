"""The network around the recurrence: [causal convolution] → GRU → [GRU] → [dense] → dense.

All weights lie in one flat vector, so the optimiser, clipping, averaging and checkpoints are
single operations; `views` names its parts in Keras' shapes and order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from forecaster.errors import InputError
from forecaster.gru import kernels
from forecaster.gru.architecture import KERNEL_STEPS, Architecture

if TYPE_CHECKING:
    from collections.abc import Callable

    from forecaster.arrays import Floats


def views(architecture: Architecture, flat: Floats) -> dict[str, Floats]:
    """Named views into a flat vector of `architecture.parameters` values; no copy.

    Raises:
        InputError: the vector has another length.
    """
    if flat.shape != (architecture.parameters,):
        msg = f"weights have shape {flat.shape!r}, expected {architecture.parameters}: give those of {architecture!r}"
        raise InputError(msg)
    parts, start = {}, 0
    for name, shape in architecture.shapes().items():
        size = math.prod(shape)
        parts[name] = flat[start : start + size].reshape(shape)
        start += size
    return parts


def initial_weights(architecture: Architecture, rng: np.random.Generator) -> Floats:
    """Keras' initialisers (Glorot uniform, orthogonal recurrence, zero bias) with a small output layer.

    The output layer begins at a tenth of Glorot, so that training begins near persistence.
    """
    flat = np.zeros(architecture.parameters, np.float32)
    for name, part in views(architecture, flat).items():
        if name.endswith("bias"):
            continue
        if name.endswith("recurrent"):
            # Keras draws one orthogonal matrix over the three gates together.
            left, _, right = np.linalg.svd(rng.standard_normal(part.shape), full_matrices=False)
            part[:] = left @ right
            continue
        rows, columns = part.shape
        limit = math.sqrt(6.0 / (rows + columns)) * (0.1 if name.startswith("output") else 1.0)
        part[:] = rng.uniform(-limit, limit, part.shape)
    return flat


class Workspace:
    """Buffers for one batch shape; forward and backward passes write here.

    Args:
        architecture: the network.
        steps: time steps of a sequence.
        batch: sequences of a batch.
    """

    def __init__(self, architecture: Architecture, steps: int, batch: int) -> None:
        self.architecture, self.steps, self.batch = architecture, steps, batch
        units = architecture.units
        self.layers = [_Layer(steps, units, batch) for _ in range(architecture.layers)]
        self.stacked = _zeros(steps, KERNEL_STEPS * architecture.inputs, batch) if architecture.channels else None
        self.conv = _zeros(steps, architecture.channels, batch) if architecture.channels else None
        self.conv_gradient = _zeros(steps, architecture.channels, batch) if architecture.channels else None
        self.dropped = _zeros(steps, units, batch)
        self.hidden = _zeros(steps, architecture.hidden, batch) if architecture.hidden else None
        self.hidden_gradient = _zeros(steps, architecture.hidden, batch) if architecture.hidden else None
        self.output = _zeros(steps, architecture.horizon, batch)
        self.output_gradient = _zeros(steps, architecture.horizon, batch)

    def forward(self, flat: Floats, x: Floats, mask: Floats | None = None) -> Floats:
        """Outputs for a batch that begins with a zero state.

        Args:
            flat: the weights.
            x: features `(steps, inputs, batch)`.
            mask: dropout mask over the last GRU's output, already divided by the share kept,
                `(units, batch)`: one mask for all steps of a sequence; None for inference.

        Returns:
            Scaled forecasts `(steps, horizon, batch)`, a buffer of this workspace.
        """
        weights = views(self.architecture, flat)
        signal = x
        if self.conv is not None:
            kernels.stack_causal(x, self.stacked, KERNEL_STEPS)
            kernels.affine(self.stacked, weights["conv.kernel"], weights["conv.bias"], self.conv)
            signal = np.maximum(self.conv, 0, out=self.conv)
        for index, layer in enumerate(self.layers):
            layer.input = signal
            bias = weights[f"gru{index}.bias"]
            kernels.affine(signal, weights[f"gru{index}.kernel"], bias[0], layer.p)
            kernels.gru(layer.p, weights[f"gru{index}.recurrent"], bias[1], layer.h, layer.z, layer.r, layer.n, layer.q)
            signal = layer.h[1:]
        if mask is not None:
            signal = np.multiply(signal, mask, out=self.dropped)
        self._head_input = signal
        if self.hidden is not None:
            kernels.affine(signal, weights["dense.kernel"], weights["dense.bias"], self.hidden)
            signal = np.maximum(self.hidden, 0, out=self.hidden)
        kernels.affine(signal, weights["output.kernel"], weights["output.bias"], self.output)
        return self.output

    def backward(self, flat: Floats, gradient: Floats, mask: Floats | None = None) -> None:
        """Add the gradient of the last `forward` to `gradient`, given `output_gradient`."""
        weights, grads = views(self.architecture, flat), views(self.architecture, gradient)
        last = self.layers[-1]
        signal, upstream = self._head_input, self.output_gradient
        if self.hidden is not None and self.hidden_gradient is not None:
            _affine_gradient("output", self.hidden, weights, grads, upstream, self.hidden_gradient)
            self.hidden_gradient *= self.hidden > 0
            _affine_gradient("dense", signal, weights, grads, self.hidden_gradient, last.dh)
        else:
            _affine_gradient("output", signal, weights, grads, upstream, last.dh)
        if mask is not None:
            last.dh *= mask
        for index in range(len(self.layers) - 1, -1, -1):
            below = self.layers[index - 1].dh if index else self.conv_gradient
            self._gru_backward(index, weights, grads, below)
        if self.conv is not None and self.conv_gradient is not None:
            self.conv_gradient *= self.conv > 0
            _affine_gradient("conv", self.stacked, weights, grads, self.conv_gradient, None)

    def _gru_backward(
        self, index: int, weights: dict[str, Floats], grads: dict[str, Floats], below: Floats | None
    ) -> None:
        layer = self.layers[index]
        bias = grads[f"gru{index}.bias"]
        kernels.gru_gradient(
            weights[f"gru{index}.recurrent"], layer.h, layer.z, layer.r, layer.n, layer.q,
            layer.dh, layer.dp, layer.dq, grads[f"gru{index}.recurrent"], bias[1],
        )  # fmt: skip
        kernels.affine_gradient(
            layer.input, weights[f"gru{index}.kernel"], layer.dp, grads[f"gru{index}.kernel"], bias[0],
            layer.input if below is None else below, below is not None,
        )  # fmt: skip


def stream_network(architecture: Architecture, weights: Floats) -> Callable[[Floats], Floats]:
    """The network as a function of one sequence: features `(1, steps, inputs)` to residuals `(1, steps, horizon)`."""

    def run(inputs: Floats) -> Floats:
        space = Workspace(architecture, inputs.shape[1], 1)
        return space.forward(weights, np.ascontiguousarray(inputs.transpose(1, 2, 0))).transpose(2, 0, 1)

    return run


class _Layer:
    """Buffers of one GRU layer."""

    def __init__(self, steps: int, units: int, batch: int) -> None:
        self.p, self.q, self.dp = (_zeros(steps, 3 * units, batch) for _ in range(3))
        self.h = _zeros(steps + 1, units, batch)
        self.z, self.r, self.n, self.dh = (_zeros(steps, units, batch) for _ in range(4))
        self.dq = _zeros(3 * units, batch)
        self.input = self.p


def _affine_gradient(  # noqa: PLR0913, PLR0917 - the kernel's own arguments
    name: str, x: Floats | None, weights: dict[str, Floats], grads: dict[str, Floats], dout: Floats, dx: Floats | None
) -> None:
    kernels.affine_gradient(
        x, weights[f"{name}.kernel"], dout, grads[f"{name}.kernel"], grads[f"{name}.bias"],
        dout if dx is None else dx, dx is not None,
    )  # fmt: skip


def _zeros(*shape: int) -> Floats:
    return np.zeros(shape, np.float32)
