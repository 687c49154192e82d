"""Compiled kernels of the streaming GRU and its gradient, single precision, one thread.

Every array has the batch innermost, `(steps, channels, batch)`: one channel of one step is one
run of SIMD lanes, and no size is known at compile time, so one program serves every network.
The gate equations are those of Keras' `GRU(reset_after=True)`, order z, r, h:
    z = σ(x·Wz + bz + h·Uz + cz)   r = σ(x·Wr + br + h·Ur + cr)
    n = tanh(x·Wn + bn + r·(h·Un + cn))   h' = z·h + (1 − z)·n
Kernels write into arrays the caller owns; gradients are added to what is there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from forecaster.sequences import MISSING

F = np.float32
# Sums may be reordered, which SIMD needs; NaN and infinity keep their meaning, so that divergence shows.
_FAST = {"reassoc", "nsz", "arcp", "contract", "afn"}
_compiled = njit(fastmath=_FAST, cache=True, error_model="numpy", nogil=True)
_inlined = njit(fastmath=_FAST, inline="always", error_model="numpy")

# tanh(x) = x·P(x²)/Q(x²) on |x| ≤ 8, fitted by reweighted rational least squares on Chebyshev
# nodes (relative error 7e-9 before rounding, 4e-7 absolute in single precision).
_P = tuple(F(c) for c in (0.9999999936, 0.1344449808, 3.571598132e-3, 2.189466338e-5, 1.523041872e-8))
_Q = tuple(F(c) for c in (1.0, 0.467778254, 2.616444336e-2, 3.411292180e-4, 8.522447259e-7))
_P0, _P1, _P2, _P3, _P4 = _P
_Q0, _Q1, _Q2, _Q3, _Q4 = _Q
_EDGE = F(8.0)
_HALF = F(0.5)
_ONE = F(1.0)
_ZERO = F(0.0)


@_inlined
def tanh(x):
    """Rational tanh: no table, no branch, so the loop around it becomes SIMD; NaN stays NaN."""
    x = min(max(x, -_EDGE), _EDGE)
    u = x * x
    p = (((_P4 * u + _P3) * u + _P2) * u + _P1) * u + _P0
    q = (((_Q4 * u + _Q3) * u + _Q2) * u + _Q1) * u + _Q0
    return x * p / q


@_inlined
def sigmoid(x):
    """σ(x) = (1 + tanh(x/2)) / 2."""
    return _HALF * tanh(_HALF * x) + _HALF


@_inlined
def _accumulate(out, w, x, rows, columns):
    """out[j] += Σ_k w[k, j] · x[k], four k at a time to keep `out` in registers longer."""
    batch = out.shape[1]
    whole = rows - rows % 4
    for j in range(columns):
        for k in range(0, whole, 4):
            w0, w1, w2, w3 = w[k, j], w[k + 1, j], w[k + 2, j], w[k + 3, j]
            for b in range(batch):
                out[j, b] += w0 * x[k, b] + w1 * x[k + 1, b] + w2 * x[k + 2, b] + w3 * x[k + 3, b]
        for k in range(whole, rows):
            w0 = w[k, j]
            for b in range(batch):
                out[j, b] += w0 * x[k, b]


@_inlined
def _accumulate_transposed(out, w, d, rows, columns):
    """out[k] += Σ_j w[k, j] · d[j]: the gradient with respect to a layer's input."""
    batch = out.shape[1]
    whole = columns - columns % 4
    for k in range(rows):
        for j in range(0, whole, 4):
            w0, w1, w2, w3 = w[k, j], w[k, j + 1], w[k, j + 2], w[k, j + 3]
            for b in range(batch):
                out[k, b] += w0 * d[j, b] + w1 * d[j + 1, b] + w2 * d[j + 2, b] + w3 * d[j + 3, b]
        for j in range(whole, columns):
            w0 = w[k, j]
            for b in range(batch):
                out[k, b] += w0 * d[j, b]


@_inlined
def _accumulate_weights(dw, x, d, rows, columns):
    """dw[k, j] += Σ_b x[k, b] · d[j, b], four j at a time so that x is read once for four."""
    batch = x.shape[1]
    whole = columns - columns % 4
    for k in range(rows):
        for j in range(0, whole, 4):
            s0 = s1 = s2 = s3 = _ZERO
            for b in range(batch):
                v = x[k, b]
                s0 += v * d[j, b]
                s1 += v * d[j + 1, b]
                s2 += v * d[j + 2, b]
                s3 += v * d[j + 3, b]
            dw[k, j] += s0
            dw[k, j + 1] += s1
            dw[k, j + 2] += s2
            dw[k, j + 3] += s3
        for j in range(whole, columns):
            s0 = _ZERO
            for b in range(batch):
                s0 += x[k, b] * d[j, b]
            dw[k, j] += s0


@_compiled
def affine(x, w, bias, out):
    """out[t] = xᵀw + bias; x `(steps, rows, batch)`, w `(rows, columns)`, out `(steps, columns, batch)`."""
    rows, columns = w.shape
    for t in range(x.shape[0]):
        for j in range(columns):
            for b in range(x.shape[2]):
                out[t, j, b] = bias[j]
        _accumulate(out[t], w, x[t], rows, columns)


@_compiled
def affine_gradient(x, w, dout, dw, dbias, dx, with_input):
    """Gradient of `affine`: adds to dw and dbias; overwrites dx when `with_input`."""
    rows, columns = w.shape
    for t in range(x.shape[0]):
        _accumulate_weights(dw, x[t], dout[t], rows, columns)
        for j in range(columns):
            s = _ZERO
            for b in range(x.shape[2]):
                s += dout[t, j, b]
            dbias[j] += s
        if with_input:
            for k in range(rows):
                for b in range(x.shape[2]):
                    dx[t, k, b] = _ZERO
            _accumulate_transposed(dx[t], w, dout[t], rows, columns)


@_compiled
def gru(p, u, c, h, z, r, n, q):
    """Run the recurrence over projected inputs.

    Args:
        p: x·W + b, `(steps, 3·units, batch)`.
        u: recurrent kernel `(units, 3·units)`; c: its bias `(3·units,)`.
        h: `(steps + 1, units, batch)`; h[0] is the state to begin with, the rest is written.
        z, r, n: gates, written, `(steps, units, batch)`.
        q: work space `(steps, 3·units, batch)`; its last third keeps h·Un + cn for the gradient.
    """
    steps, units, batch = n.shape
    for t in range(steps):
        for j in range(3 * units):
            for b in range(batch):
                q[t, j, b] = c[j]
        _accumulate(q[t], u, h[t], units, 3 * units)
        for j in range(units):
            for b in range(batch):
                zz = sigmoid(p[t, j, b] + q[t, j, b])
                rr = sigmoid(p[t, units + j, b] + q[t, units + j, b])
                nn = tanh(p[t, 2 * units + j, b] + rr * q[t, 2 * units + j, b])
                z[t, j, b] = zz
                r[t, j, b] = rr
                n[t, j, b] = nn
                h[t + 1, j, b] = zz * h[t, j, b] + (_ONE - zz) * nn


@_compiled
def gru_gradient(u, h, z, r, n, q, dh, dp, dq, du, dc):
    """Back-propagation through time of `gru`.

    Args:
        u, h, z, r, n, q: as `gru` left them.
        dh: gradient with respect to h[1:], `(steps, units, batch)`; used as work space.
        dp: written, gradient with respect to p.
        dq: work space `(3·units, batch)`.
        du, dc: gradients of u and c, added to.
    """
    steps, units, batch = n.shape
    for t in range(steps - 1, -1, -1):
        for j in range(units):
            for b in range(batch):
                g = dh[t, j, b]
                zz, rr, nn = z[t, j, b], r[t, j, b], n[t, j, b]
                dn = g * (_ONE - zz) * (_ONE - nn * nn)
                dz = g * (h[t, j, b] - nn) * zz * (_ONE - zz)
                dr = dn * q[t, 2 * units + j, b] * rr * (_ONE - rr)
                dp[t, j, b] = dz
                dp[t, units + j, b] = dr
                dp[t, 2 * units + j, b] = dn
                dq[j, b] = dz
                dq[units + j, b] = dr
                dq[2 * units + j, b] = dn * rr
                if t > 0:
                    dh[t - 1, j, b] += g * zz
        if t > 0:
            _accumulate_transposed(dh[t - 1], u, dq, units, 3 * units)
        _accumulate_weights(du, h[t], dq, units, 3 * units)
        for j in range(3 * units):
            s = _ZERO
            for b in range(batch):
                s += dq[j, b]
            dc[j] += s


@_compiled
def stack_causal(x, out, depth):
    """out[t] = the channels of steps t−depth+1 … t, oldest first, zeros before the beginning."""
    rows, batch = x.shape[1], x.shape[2]
    for t in range(x.shape[0]):
        for i in range(depth):
            source = t - depth + 1 + i
            for k in range(rows):
                for b in range(batch):
                    out[t, i * rows + k, b] = x[source, k, b] if source >= 0 else _ZERO


@_compiled
def gather(sequences, rows, offsets, columns, out):
    """out[t, c, b] = sequences[rows[b], offsets[b] + t, columns[c]]: a batch with the batch innermost."""
    for b in range(rows.shape[0]):
        for t in range(out.shape[0]):
            for c in range(columns.shape[0]):
                out[t, c, b] = sequences[rows[b], offsets[b] + t, columns[c]]


@_compiled
def squared_loss(output, target, burn_in, dout):
    """Mean squared error over the known targets from step `burn_in` on; writes its gradient.

    A target at or above `MISSING` is left out. NaN is not a missing target: it makes the loss NaN.
    """
    count = 0
    total = 0.0
    for t in range(output.shape[0]):
        for j in range(output.shape[1]):
            for b in range(output.shape[2]):
                if t < burn_in or target[t, j, b] >= MISSING:
                    dout[t, j, b] = _ZERO
                else:
                    e = output[t, j, b] - target[t, j, b]
                    dout[t, j, b] = e
                    total += e * e
                    count += 1
    if count > 0:
        scale = F(2.0 / count)
        for t in range(output.shape[0]):
            for j in range(output.shape[1]):
                for b in range(output.shape[2]):
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
