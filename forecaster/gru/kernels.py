"""Compiled kernels of the streaming GRU and its gradient, single precision, one thread.

Every array has the batch innermost, `(steps, channels, batch)`: one channel of one step is a run of SIMD lanes, and
the batch is a multiple of `LANES` (`padded`), so that no loop has a remainder. No other size is known at compile time:
one program serves every network. What bounds such small products is not arithmetic but loads, stores and the checks
that a compiler puts before a loop; so the innermost parts are written as vector instructions, in tiles that keep their
sums in registers: a tile of a product holds some channels of one panel (`LANES` columns of the batch), a tile of a
weight's gradient some rows and columns of the weight.

The gate equations are those of Keras' `GRU(reset_after=True)`, order z, r, h:
    z = σ(x·Wz + bz + h·Uz + cz)   r = σ(x·Wr + br + h·Ur + cr)
    n = tanh(x·Wn + bn + r·(h·Un + cn))   h' = z·h + (1 − z)·n
Kernels write into arrays the caller owns; gradients are added to what is there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from numba import njit

from forecaster.gru import simd
from forecaster.gru.simd import FAST, FLOAT, LANES, PANEL, address, generated

# SHA-256 of simd.py: numba keeps machine code for as long as this file is the same. With another one it keeps none.
WITH = "c2ca5755bdba4f0eb7e5ec24af35a39e7c4dca68f7ae2f030ac41848b5d36ca5"
# Steps whose gradients stay in the cache until those of the weights are summed from them.
BLOCK = 32
_kept = hashlib.sha256(Path(simd.__file__).read_bytes()).hexdigest() == WITH
_compiled = njit(fastmath=set(FAST), cache=_kept, error_model="numpy", nogil=True)

# tanh(x) = x·P(x²)/Q(x²) on |x| ≤ 8, fitted by reweighted rational least squares on Chebyshev
# nodes (relative error 7e-9 before rounding, 4e-7 absolute in single precision).
_P = (0.9999999936, 0.1344449808, 3.571598132e-3, 2.189466338e-5, 1.523041872e-8)
_Q = (1.0, 0.467778254, 2.616444336e-2, 3.411292180e-4, 8.522447259e-7)
_EDGE = 8.0


def tanh(x):
    """Rational, without table or branch; NaN stays NaN."""
    over, under = _ratio(x)
    return over / under


def tanhs(x, y):
    """Tanh of both by one division, which costs more than all the rest; NaN of one makes NaN of the other."""
    (over_x, under_x), (over_y, under_y) = _ratio(x), _ratio(y)
    inverse = 1 / (under_x * under_y)
    return over_x * (under_y * inverse), over_y * (under_x * inverse)


def _ratio(x):
    x = x.within(_EDGE)
    square = x * x
    over, under = square * _P[4] + _P[3], square * _Q[4] + _Q[3]
    for p, q in zip(_P[2::-1], _Q[2::-1], strict=True):
        over, under = over * square + p, under * square + q
    return x * over, under


def sigmoids(x, y):
    """σ(x) = (1 + tanh(x/2)) / 2 of both."""
    return [half * 0.5 + 0.5 for half in tanhs(x * 0.5, y * 0.5)]


def _product_tile(channels):
    """out[i] = bias[i] + Σ_k w[k, i]·x[k] for some channels of a panel; out[i] += … where `bias` is 0."""

    @generated
    def tile(code, out, x, row, w, w_next, w_step, count, bias):
        """Steps between channels are `row`, of w `w_next` to the next k, `w_step` to the next i."""
        places = [code.after(out, (i, row)) for i in range(channels)]
        sums = code.zeros(channels)
        with code.builder.if_else(code.builder.icmp_unsigned("==", bias, code.number(0))) as (goes_on, begins):
            with goes_on:
                for total, place in zip(sums, places, strict=True):
                    total.add(code.load(place))
            with begins:
                for i, total in enumerate(sums):
                    total.add(code.spread(code.after(bias, i * FLOAT)))
        with code.loop(count) as k:
            signal, weight = code.load(code.after(x, (k, row))), code.after(w, (k, w_next))
            for i, total in enumerate(sums):
                total.add(code.spread(code.after(weight, (i, w_step))) * signal)
        for place, total in zip(places, sums, strict=True):
            code.store(place, total.value)

    return tile


def _weight_tile(rows, columns):
    """dw[k, j] += Σ_t Σ_b x[t, k, b]·d[t, j, b] for some rows and columns of a weight."""

    @generated
    def tile(code, dw, dw_step, x, x_time, d, d_time, steps, row):
        """Steps of dw between rows, of x and d between steps of time."""
        sums = [code.zeros(columns) for _ in range(rows)]
        with code.loop(steps) as t, code.panels(row) as panel:
            xs = [code.load(code.after(x, (t, x_time), panel, (k, row))) for k in range(rows)]
            ds = [code.load(code.after(d, (t, d_time), panel, (j, row))) for j in range(columns)]
            for k in range(rows):
                for j in range(columns):
                    sums[k][j].add(xs[k] * ds[j])
        for k in range(rows):
            for j in range(columns):
                code.add_total(code.after(dw, (k, dw_step), j * FLOAT), sums[k][j].value)

    return tile


@generated
def _bias_tile(code, dbias, d, d_time, steps, row):
    """Σ_t Σ_b d[t, b], added to dbias."""
    (total,) = code.zeros(1)
    with code.loop(steps) as t, code.panels(row) as panel:
        total.add(code.load(code.after(d, (t, d_time), panel)))
    code.add_total(dbias, total.value)


def _cell_tile(units):
    """One step of some units in one panel, the gates from registers."""

    @generated
    def tile(code, x, inputs, w, bias, h, every, u, c, after, z, r, n, q, row, first, panel):
        """`every` units has the layer, `first` is the first of these; `after`: h of the next step."""
        gate = code.builder.mul(every, code.number(FLOAT))
        wide, own = code.builder.mul(gate, code.number(3)), code.builder.mul(first, row)

        def spread(address, which):
            """A gate's numbers of these units."""
            begin = code.after(address, (which, gate), (FLOAT, first))
            return [code.spread(code.after(begin, i * FLOAT)) for i in range(units)]

        begin = [[of_x + of_h for of_x, of_h in zip(spread(bias, g), spread(c, g), strict=True)] for g in (0, 1)]
        zs, rs, ns, qs = map(code.sums, (*begin, spread(bias, 2), spread(c, 2)))
        for signal, count, weights, last in ((x, inputs, w, ns), (h, every, u, qs)):
            with code.loop(count) as k:
                value, weight = code.load(code.after(signal, panel, (k, row))), code.after(weights, (k, wide))
                for which, sums in enumerate((zs, rs, last)):
                    for total, factor in zip(sums, spread(weight, which), strict=True):
                        total.add(factor * value)
        gates = [sigmoids(zs[i].value, rs[i].value) for i in range(units)]
        before_tanh = [ns[i].value + gates[i][1] * qs[i].value for i in range(units)]
        pairs = zip(before_tanh[::2], before_tanh[1::2], strict=False)
        news = [nn for pair in pairs for nn in tanhs(*pair)] + [tanh(x) for x in before_tanh[units - units % 2 :]]
        for i, nn in enumerate(news):
            at, (zz, rr) = code.after(own, panel, (i, row)), gates[i]
            before = code.load(code.after(h, at))
            for place, vector in ((z, zz), (r, rr), (n, nn), (q, qs[i].value), (after, nn + zz * (before - nn))):
                code.store(code.after(place, at), vector)

    return tile


@generated
def _cell_gradient(code, dh, before, h, z, r, n, q, d, size):
    """One step back through the gates, `size` bytes of each; d takes those of z, r, h·Un + cn and of n before tanh."""
    with code.panels(size) as at:
        g, hh, zz, rr, nn, qq = (code.load(code.after(place, at)) for place in (dh, h, z, r, n, q))
        dn = g * (1 - zz) * (1 - nn * nn)
        gates = (g * (hh - nn) * zz * (1 - zz), dn * qq * rr * (1 - rr), dn * rr, dn)
        for i, vector in enumerate(gates):
            code.store(code.after(d, (i, size), at), vector)
        code.store(code.after(before, at), code.load(code.after(before, at)) + g * zz)


_product_8, _product_4, _product_1 = map(_product_tile, (8, 4, 1))
_weight_44, _weight_41, _weight_14, _weight_11 = (_weight_tile(*sizes) for sizes in ((4, 4), (4, 1), (1, 4), (1, 1)))
_cell_4, _cell_1 = map(_cell_tile, (4, 1))


@_compiled
def _product(out, x, row, w, w_next, w_step, channels, count, bias):
    """out[i] = bias[i] + Σ_k w[k, i]·x[k] for all channels of a step; out[i] += … where the address of bias is 0."""
    for panel in range(0, row, PANEL):
        i = 0
        while i < channels:
            to, of, first = out + panel + i * row, w + i * w_step, bias + i * FLOAT if bias else 0
            if channels - i >= 8:
                _product_8(to, x + panel, row, of, w_next, w_step, count, first)
                i += 8
            elif channels - i >= 4:
                _product_4(to, x + panel, row, of, w_next, w_step, count, first)
                i += 4
            else:
                _product_1(to, x + panel, row, of, w_next, w_step, count, first)
                i += 1


@_compiled
def _weight_gradient(dw, dw_step, x, x_time, rows, d, d_time, columns, steps, row):
    """dw[k, j] += Σ_t Σ_b x[t, k, b]·d[t, j, b]."""
    k = 0
    while k < rows:
        tall = rows - k >= 4
        j = 0
        while j < columns:
            wide = columns - j >= 4
            to, left, right = dw + k * dw_step + j * FLOAT, x + k * row, d + j * row
            if tall and wide:
                _weight_44(to, dw_step, left, x_time, right, d_time, steps, row)
            elif tall:
                _weight_41(to, dw_step, left, x_time, right, d_time, steps, row)
            elif wide:
                _weight_14(to, dw_step, left, x_time, right, d_time, steps, row)
            else:
                _weight_11(to, dw_step, left, x_time, right, d_time, steps, row)
            j += 4 if wide else 1
        k += 4 if tall else 1


@_compiled
def _bias_gradient(dbias, d, d_time, columns, steps, row):
    """dbias[j] += Σ_t Σ_b d[t, j, b]."""
    for j in range(columns):
        _bias_tile(dbias + j * FLOAT, d + j * row, d_time, steps, row)


@_compiled
def _require_panels(batch):
    if batch % LANES:
        msg = "the batch is no multiple of LANES, pad it"
        raise ValueError(msg)


@_compiled
def affine(x, w, bias, out):
    """out[t] = xᵀw + bias; x `(steps, rows, batch)`, w `(rows, columns)`, out `(steps, columns, batch)`."""
    _require_panels(x.shape[2])
    rows, columns = w.shape
    row = FLOAT * x.shape[2]
    for t in range(x.shape[0]):
        _product(
            address(out) + t * columns * row, address(x) + t * rows * row, row, address(w), FLOAT * columns,
            FLOAT, columns, rows, address(bias),
        )  # fmt: skip


@_compiled
def affine_gradient(x, w, dout, dw, dbias, dx, with_input):
    """Gradient of `affine`: adds to dw and dbias; overwrites dx when `with_input`."""
    _require_panels(x.shape[2])
    rows, columns = w.shape
    steps, row = x.shape[0], FLOAT * x.shape[2]
    if with_input:
        dx[:] = 0
        for t in range(steps):
            _product(
                address(dx) + t * rows * row, address(dout) + t * columns * row, row, address(w), FLOAT,
                FLOAT * columns, rows, columns, 0,
            )  # fmt: skip
    _weight_gradient(
        address(dw), FLOAT * columns, address(x), rows * row, rows, address(dout), columns * row, columns, steps,
        row,
    )  # fmt: skip
    _bias_gradient(address(dbias), address(dout), columns * row, columns, steps, row)


@_compiled
def gru(x, w, bias, u, c, h, z, r, n, q):
    """Run the recurrence over a layer's inputs.

    Args:
        x: inputs, `(steps, inputs, batch)`.
        w: kernel `(inputs, 3·units)`; bias: its bias `(3·units,)`.
        u: recurrent kernel `(units, 3·units)`; c: its bias `(3·units,)`.
        h: `(steps + 1, units, batch)`; h[0] is the state to begin with, the rest is written.
        z, r, n, q: gates and h·Un + cn, written for the gradient, `(steps, units, batch)`.
    """
    _require_panels(n.shape[2])
    steps, units, batch = n.shape
    inputs, row = w.shape[0], FLOAT * batch
    for t in range(steps):
        at = t * units * row
        before, xt = address(h) + at, address(x) + t * inputs * row
        places = (before + units * row, address(z) + at, address(r) + at, address(n) + at, address(q) + at)
        for panel in range(0, row, PANEL):
            j = 0
            while j + 4 <= units:
                _cell_4(
                    xt, inputs, address(w), address(bias), before, units, address(u), address(c), *places, row, j,
                    panel,
                )  # fmt: skip
                j += 4
            while j < units:
                _cell_1(
                    xt, inputs, address(w), address(bias), before, units, address(u), address(c), *places, row, j,
                    panel,
                )  # fmt: skip
                j += 1


@_compiled
def gru_gradient(x, w, u, h, z, r, n, q, dh, d, dx, dw, dbias, du, dc, with_input):
    """Back-propagation through time of `gru`.

    Args:
        x, w, u, h, z, r, n, q: as `gru` was given and left them.
        dh: gradient with respect to h, `(steps + 1, units, batch)`: that of h[1:] as the layers above have it is given,
            and added to; that of h[0] is written.
        d: work space `(BLOCK or steps if fewer, 4·units, batch)`.
        dx: gradient with respect to x, overwritten when `with_input`.
        dw, dbias, du, dc: gradients of the weights, added to.
    """
    _require_panels(n.shape[2])
    steps, units, batch = n.shape
    inputs, row = w.shape[0], FLOAT * batch
    size, wide = units * row, 3 * units * FLOAT
    dh[0] = 0
    if with_input:
        dx[:] = 0
    for end in range(steps, 0, -BLOCK):
        begin = max(0, end - BLOCK)
        for t in range(end - 1, begin - 1, -1):
            at, slot = t * size, address(d) + (t - begin) * 4 * size
            _cell_gradient(
                address(dh) + at + size, address(dh) + at, address(h) + at, address(z) + at, address(r) + at,
                address(n) + at, address(q) + at, slot, size,
            )  # fmt: skip
            _product(address(dh) + at, slot, row, address(u), FLOAT, wide, units, 3 * units, 0)
            if with_input:
                to = address(dx) + t * inputs * row
                _product(to, slot, row, address(w), FLOAT, wide, inputs, 2 * units, 0)
                of_n = address(w) + 2 * units * FLOAT
                _product(to, slot + 3 * size, row, of_n, FLOAT, wide, inputs, units, 0)
        count, gate = end - begin, units * FLOAT
        xs, x_time, hs = address(x) + begin * inputs * row, inputs * row, address(h) + begin * size
        ds, of_n = address(d), address(d) + 3 * size
        _weight_gradient(address(du), wide, hs, size, units, ds, 4 * size, 3 * units, count, row)
        _weight_gradient(address(dw), wide, xs, x_time, inputs, ds, 4 * size, 2 * units, count, row)
        _weight_gradient(address(dw) + 2 * gate, wide, xs, x_time, inputs, of_n, 4 * size, units, count, row)
        _bias_gradient(address(dc), ds, 4 * size, 3 * units, count, row)
        _bias_gradient(address(dbias), ds, 4 * size, 2 * units, count, row)
        _bias_gradient(address(dbias) + 2 * gate, of_n, 4 * size, units, count, row)
