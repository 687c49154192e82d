"""The network around the recurrence: [causal convolution] → GRU → [GRU] → [dense] → dense.

All weights lie in one flat vector, so the optimiser, clipping, averaging and checkpoints are
single operations; `views` names its parts in Keras' shapes and order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from forecaster.errors import InputError
from forecaster.gru import kernels, loops
from forecaster.gru.architecture import KERNEL_STEPS, Architecture
from forecaster.gru.simd import aligned_zeros, padded

if TYPE_CHECKING:
    from collections.abc import Callable

    from forecaster.arrays import Floats

# Steps that `stream_network` takes at a time.
STRETCH = 256


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

    Inside, the batch has the columns that fill the kernels' last panel: their inputs are zero, and so is their share of
    every gradient.

    Args:
        architecture: the network.
        steps: time steps of a sequence.
        batch: sequences of a batch.

    Attributes:
        x: for features, `(steps, inputs, batch and what fills it)`: what `forward` is given may be written here.
        output: scaled forecasts `(steps, horizon, batch and what fills it)`.
        output_gradient: the loss's gradient with respect to it, which `backward` begins with; zero behind the batch.
    """

    def __init__(self, architecture: Architecture, steps: int, batch: int) -> None:
        self.architecture, self.batch = architecture, batch
        units, inputs = architecture.units, architecture.inputs

        def zeros(channels: int, count: int = steps) -> Floats:
            return aligned_zeros(count, channels, padded(batch))

        self.x, self.before = zeros(inputs), zeros(inputs, KERNEL_STEPS - 1)
        self.layers = [_Layer(zeros, steps, units) for _ in range(architecture.layers)]
        channels, hidden = architecture.channels, architecture.hidden
        self.stacked = zeros(KERNEL_STEPS * inputs) if channels else None
        self.conv = zeros(channels) if channels else None
        self.conv_gradient = zeros(channels) if channels else None
        self.dropped = zeros(units)
        self.hidden = zeros(hidden) if hidden else None
        self.hidden_gradient = zeros(hidden) if hidden else None
        self.output, self.output_gradient = zeros(architecture.horizon), zeros(architecture.horizon)

    def forward(self, flat: Floats, x: Floats, mask: Floats | None = None, *, goes_on: bool = False) -> Floats:
        """Outputs for a batch that begins with a zero state, or goes on from where the last one ended.

        Args:
            flat: the weights.
            x: features `(steps, inputs, batch)`.
            mask: dropout mask over the last GRU's output, already divided by the share kept,
                `(units, batch)`: one mask for all steps of a sequence; None for inference.
            goes_on: what the last `forward` was given came just before.

        Returns:
            Scaled forecasts `(steps, horizon, batch)`, in a buffer of this workspace.

        Raises:
            InputError: x has another shape.
        """
        weights = views(self.architecture, flat)
        if x is not self.x:
            self._require_shape("features", x, self.x)
            self.x[..., : self.batch] = x
        signal = self.x
        if self.conv is not None:
            if not goes_on:
                self.before[:] = 0
            loops.stack_causal(self.before, signal, self.stacked)
            past = 1 - KERNEL_STEPS
            self.before[:] = np.concatenate([self.before, signal[past:]])[past:]
            kernels.affine(self.stacked, weights["conv.kernel"], weights["conv.bias"], self.conv)
            signal = np.maximum(self.conv, 0, out=self.conv)
        for index, layer in enumerate(self.layers):
            layer.input = signal
            layer.h[0] = layer.h[-1] if goes_on else 0
            signal = layer.forward(*_parts(weights, index))
        if mask is not None:
            np.multiply(signal[..., : self.batch], mask, out=self.dropped[..., : self.batch])
            signal = self.dropped
        self._head_input = signal
        if self.hidden is not None:
            kernels.affine(signal, weights["dense.kernel"], weights["dense.bias"], self.hidden)
            signal = np.maximum(self.hidden, 0, out=self.hidden)
        kernels.affine(signal, weights["output.kernel"], weights["output.bias"], self.output)
        return self.output[..., : self.batch]

    def loss(self, target: Floats, burn_in: int) -> float:
        """Mean squared error of the last `forward`, as `squared_loss` says; leaves its gradient for `backward`.

        Args:
            target: `(steps, horizon, batch)`.
            burn_in: steps at the beginning that do not count.

        Raises:
            InputError: the target has another shape.
        """
        self._require_shape("targets", target, self.output)
        return float(loops.squared_loss(self.output, target, burn_in, self.output_gradient))

    def _require_shape(self, name: str, given: Floats, buffer: Floats) -> None:
        """Refuse what would be repeated to fill a buffer, or reach beyond it."""
        expected = (*buffer.shape[:2], self.batch)
        if given.shape != expected:
            msg = f"{name} have shape {given.shape!r}, expected {expected!r}: give those of this workspace's batch"
            raise InputError(msg)

    def backward(self, flat: Floats, gradient: Floats, mask: Floats | None = None) -> None:
        """Add the gradient of the last `forward` to `gradient`, given `output_gradient`."""
        weights, grads = views(self.architecture, flat), views(self.architecture, gradient)
        last = self.layers[-1].dh[1:]
        signal, upstream = self._head_input, self.output_gradient
        if self.hidden is not None and self.hidden_gradient is not None:
            _affine_gradient("output", self.hidden, weights, grads, upstream, self.hidden_gradient)
            self.hidden_gradient *= self.hidden > 0
            _affine_gradient("dense", signal, weights, grads, self.hidden_gradient, last)
        else:
            _affine_gradient("output", signal, weights, grads, upstream, last)
        if mask is not None:
            last[..., : self.batch] *= mask
        for index in range(len(self.layers) - 1, -1, -1):
            below = self.layers[index - 1].dh[1:] if index else self.conv_gradient
            self.layers[index].backward(_parts(weights, index), _parts(grads, index), below)
        if self.conv is not None and self.conv_gradient is not None:
            self.conv_gradient *= self.conv > 0
            _affine_gradient("conv", self.stacked, weights, grads, self.conv_gradient, None)


def stream_network(architecture: Architecture, weights: Floats) -> Callable[[Floats], Floats]:
    """The network as a function of one sequence: features `(1, steps, inputs)` to residuals `(1, steps, horizon)`.

    A long one is taken in stretches, so that what the kernels write on the way stays in the cache.
    """

    def run(inputs: Floats) -> Floats:
        steps = inputs.shape[1]
        stretch = max(1, min(steps, STRETCH))
        space, output = Workspace(architecture, stretch, 1), np.empty((1, steps, architecture.horizon), np.float32)
        part = np.zeros((stretch, inputs.shape[2], 1), np.float32)
        for begin in range(0, steps, stretch):
            count = min(stretch, steps - begin)
            part[:count, :, 0] = inputs[0, begin : begin + count]
            output[0, begin : begin + count] = space.forward(weights, part, goes_on=begin > 0)[:count, :, 0]
        return output

    return run


class _Layer:
    """Buffers of one GRU layer; `zeros(channels, steps)` makes one."""

    def __init__(self, zeros: Callable[[int, int], Floats], steps: int, units: int) -> None:
        self.h, self.dh = zeros(units, steps + 1), zeros(units, steps + 1)
        self.gates = (zeros(units, steps), zeros(units, steps), zeros(units, steps), zeros(units, steps))
        self.d = zeros(4 * units, min(steps, kernels.BLOCK))
        self.input = self.h

    def forward(self, w: Floats, bias: Floats, u: Floats) -> Floats:
        """The states after each step of `input`."""
        kernels.gru(self.input, w, bias[0], u, bias[1], self.h, *self.gates)
        return self.h[1:]

    def backward(
        self, weights: tuple[Floats, Floats, Floats], grads: tuple[Floats, Floats, Floats], below: Floats | None
    ) -> None:
        """Add to the gradients, given that of the states in `dh`; write that of the input to `below`."""
        (w, _, u), (dw, dbias, du) = weights, grads
        dx = self.input if below is None else below
        kernels.gru_gradient(
            self.input, w, u, self.h, *self.gates, self.dh, self.d, dx, dw, dbias[0], du, dbias[1], below is not None
        )


def _parts(weights: dict[str, Floats], index: int) -> tuple[Floats, Floats, Floats]:
    """Kernel, bias and recurrent kernel of a GRU layer."""
    return weights[f"gru{index}.kernel"], weights[f"gru{index}.bias"], weights[f"gru{index}.recurrent"]


def _affine_gradient(  # noqa: PLR0913, PLR0917 - the kernel's own arguments
    name: str, x: Floats | None, weights: dict[str, Floats], grads: dict[str, Floats], dout: Floats, dx: Floats | None
) -> None:
    kernels.affine_gradient(
        x, weights[f"{name}.kernel"], dout, grads[f"{name}.kernel"], grads[f"{name}.bias"],
        dout if dx is None else dx, dx is not None,
    )  # fmt: skip
