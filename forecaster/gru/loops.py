"""Compiled loops of a training beside its network: batches, loss, optimiser; single precision, one thread."""

from __future__ import annotations

import numpy as np
from numba import njit

from forecaster.sequences import MISSING

F = np.float32
# As simd.FAST; said again, because numba keeps machine code for as long as this file is the same.
_compiled = njit(fastmath={"reassoc", "nsz", "arcp", "contract", "afn"}, cache=True, error_model="numpy", nogil=True)
_ONE, _ZERO = F(1.0), F(0.0)


@_compiled
def stack_causal(before, x, out):
    """out[t] = the channels of the last steps of `before` and x up to t, oldest first, one more than `before` has."""
    depth, rows, batch = len(before) + 1, x.shape[1], x.shape[2]
    for t in range(x.shape[0]):
        for i in range(depth):
            source = t - depth + 1 + i
            for k in range(rows):
                for b in range(batch):
                    out[t, i * rows + k, b] = x[source, k, b] if source >= 0 else before[source + depth - 1, k, b]


@_compiled
def gather(sequences, rows, offsets, out):
    """out[t, c, b] = sequences[rows[b], offsets[b] + t, c]: a batch with the batch innermost.

    What is behind the batch in `out` stays as it is.
    """
    channels, numbers = out.shape[1], sequences.ravel()
    starts = ((rows * sequences.shape[1] + offsets) * channels).astype(np.uint64)  # without sign: no wrapping around
    for t in range(out.shape[0]):
        for c in range(channels):
            here = np.uint64(t * channels + c)
            for b in range(starts.shape[0]):
                out[t, c, b] = numbers[starts[b] + here]


@_compiled
def squared_loss(output, target, burn_in, dout):
    """Mean squared error over the known targets from step `burn_in` on; writes its gradient.

    A target at or above `MISSING` is left out. NaN is not a missing target: it makes the loss NaN. Columns of `output`
    behind the batch of `target` are not looked at, and theirs of `dout` stay as they are.
    """
    count = 0
    total = 0.0
    for t in range(target.shape[0]):
        for j in range(target.shape[1]):
            for b in range(target.shape[2]):
                if t < burn_in or target[t, j, b] >= MISSING:
                    dout[t, j, b] = _ZERO
                else:
                    e = output[t, j, b] - target[t, j, b]
                    dout[t, j, b] = e
                    total += e * e
                    count += 1
    if count > 0:
        scale = F(2.0 / count)
        for t in range(target.shape[0]):
            for j in range(target.shape[1]):
                for b in range(target.shape[2]):
                    dout[t, j, b] *= scale
        total /= count
    return total


@_compiled
def adam(flat, gradient, first, second, decay, step, rate, weight_decay, clip):
    """One AdamW update (Loshchilov & Hutter 2019) after clipping the gradient's norm (Pascanu et al. 2013).

    Args:
        flat: weights, updated in place; gradient: cleared afterwards; first, second: moments.
        decay: 1 where weight decay applies, 0 elsewhere (biases).
        step: number of this update, from 1.
        rate, weight_decay, clip: run-time settings.

    Returns:
        The gradient's norm before clipping.
    """
    norm = 0.0
    for i in range(flat.shape[0]):
        g = np.float64(gradient[i])  # a square overflows single precision from 2e19 on
        norm += g * g
    norm = np.sqrt(norm)
    shrink = F(clip / norm) if norm > clip else _ONE
    b1, b2 = F(0.9), F(0.999)
    correct1 = F(1.0 - 0.9**step)
    correct2 = F(1.0 - 0.999**step)
    for i in range(flat.shape[0]):
        clipped = gradient[i] * shrink
        first[i] = b1 * first[i] + (_ONE - b1) * clipped
        second[i] = b2 * second[i] + (_ONE - b2) * clipped * clipped
        m = first[i] / correct1
        v = second[i] / correct2
        flat[i] -= F(rate) * (m / (np.sqrt(v) + F(1e-7)) + F(weight_decay) * decay[i] * flat[i])
        gradient[i] = _ZERO
    return norm
