"""The compiled kernels against NumPy in double precision, at sizes that are no multiple of the SIMD or unroll width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecaster.gru import kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forecaster.arrays import Doubles, Floats

SIZES = st.integers(1, 9)
SEEDS = st.integers(0, 2**32 - 1)
GATES = ("z", "r", "n")


def normal(seed: int, *shape: int) -> Floats:
    """Deterministic noise of unit variance."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def zeros(*shape: int) -> Floats:
    return np.zeros(shape, np.float32)


def sigmoid(x: Doubles) -> Doubles:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def reference_gru(p: NDArray[Any], u: NDArray[Any], c: NDArray[Any], h0: NDArray[Any]) -> Doubles:
    """States h[1:], `(steps, units, batch)`, written as the equations are, in double precision."""
    units = len(u)
    state, states = h0.astype(np.float64), []
    for step in p.astype(np.float64):
        q = u.astype(np.float64).T @ state + c.astype(np.float64)[:, None]
        z = sigmoid(step[:units] + q[:units])
        r = sigmoid(step[units : 2 * units] + q[units : 2 * units])
        n = np.tanh(step[2 * units :] + r * q[2 * units :])
        state = z * state + (1.0 - z) * n
        states.append(state)
    return np.array(states)


class Recurrence:
    """One call of the `gru` kernel with random content."""

    def __init__(self, seed: int, steps: int, units: int, batch: int) -> None:
        self.p = normal(seed, steps, 3 * units, batch)
        self.u, self.c = normal(seed, units, 3 * units) * np.float32(0.5), normal(seed, 3 * units)
        self.h = zeros(steps + 1, units, batch)
        self.h[0] = normal(seed, units, batch)
        self.gates = [zeros(steps, units, batch) for _ in GATES]
        self.q = zeros(steps, 3 * units, batch)
        kernels.gru(self.p, self.u, self.c, self.h, *self.gates, self.q)


def test_tanh_is_accurate_everywhere() -> None:
    grid = np.concatenate([np.linspace(-12, 12, 4801), np.geomspace(1e-12, 1, 200)]).astype(np.float32)
    found = np.array([kernels.tanh(x) for x in grid])
    assert np.abs(found - np.tanh(grid.astype(np.float64))).max() < 4e-7


def test_tanh_keeps_relative_accuracy_near_zero() -> None:
    grid = np.geomspace(1e-12, 0.1, 200).astype(np.float32)
    found = np.array([kernels.tanh(x) for x in grid], np.float64)
    assert np.abs(found / np.tanh(grid.astype(np.float64)) - 1.0).max() < 4e-7


def test_sigmoid_is_accurate_everywhere() -> None:
    grid = np.linspace(-25, 25, 5001).astype(np.float32)
    found = np.array([kernels.sigmoid(x) for x in grid])
    assert np.abs(found - sigmoid(grid.astype(np.float64))).max() < 3e-7


def test_activations_saturate_at_infinity_and_keep_nan() -> None:
    infinity = np.float32(np.inf)
    assert (kernels.tanh(infinity), kernels.tanh(-infinity)) == pytest.approx((1.0, -1.0), abs=4e-7)
    assert (kernels.sigmoid(infinity), kernels.sigmoid(-infinity)) == pytest.approx((1.0, 0.0), abs=3e-7)
    assert np.isnan(kernels.tanh(np.float32(np.nan)))
    assert np.isnan(kernels.sigmoid(np.float32(np.nan)))


@given(steps=st.integers(1, 4), rows=SIZES, columns=SIZES, batch=SIZES, seed=SEEDS)
@settings(max_examples=60)
def test_affine_equals_numpy(steps: int, rows: int, columns: int, batch: int, seed: int) -> None:
    x, w, bias = normal(seed, steps, rows, batch), normal(seed, rows, columns), normal(seed, columns)
    out = normal(seed, steps, columns, batch)
    kernels.affine(x, w, bias, out)
    expected = np.einsum("trb,rc->tcb", x.astype(np.float64), w) + bias[:, None]
    np.testing.assert_allclose(out, expected, atol=1e-5)


@given(steps=st.integers(1, 4), rows=SIZES, columns=SIZES, batch=SIZES, seed=SEEDS)
@settings(max_examples=60)
def test_affine_gradient_equals_numpy(steps: int, rows: int, columns: int, batch: int, seed: int) -> None:
    x, w, dout = normal(seed, steps, rows, batch), normal(seed, rows, columns), normal(seed, steps, columns, batch)
    dw, dbias, dx = normal(seed, rows, columns), normal(seed, columns), normal(seed, steps, rows, batch)
    expected_dw = dw + np.einsum("trb,tcb->rc", x.astype(np.float64), dout)
    expected_dbias = dbias + dout.astype(np.float64).sum(axis=(0, 2))
    kernels.affine_gradient(x, w, dout, dw, dbias, dx, True)
    np.testing.assert_allclose(dw, expected_dw, atol=3e-5)
    np.testing.assert_allclose(dbias, expected_dbias, atol=3e-5)
    np.testing.assert_allclose(dx, np.einsum("tcb,rc->trb", dout.astype(np.float64), w), atol=1e-5)


def test_affine_gradient_leaves_the_input_gradient_when_told_to() -> None:
    dx = normal(0, 2, 3, 5)
    before = dx.copy()
    kernels.affine_gradient(
        normal(1, 2, 3, 5), normal(1, 3, 4), normal(1, 2, 4, 5), zeros(3, 4), zeros(4), dx, False
    )  # fmt: skip
    np.testing.assert_array_equal(dx, before)


@given(steps=st.integers(1, 6), units=SIZES, batch=SIZES, seed=SEEDS)
@settings(max_examples=60)
def test_gru_equals_its_equations(steps: int, units: int, batch: int, seed: int) -> None:
    run = Recurrence(seed, steps, units, batch)
    np.testing.assert_allclose(run.h[1:], reference_gru(run.p, run.u, run.c, run.h[0]), atol=3e-6)


@given(steps=st.integers(1, 6), units=SIZES, batch=SIZES, seed=SEEDS)
@settings(max_examples=60)
def test_gru_gradient_predicts_the_change_of_a_weighted_sum(steps: int, units: int, batch: int, seed: int) -> None:
    """Directional derivatives by central differences of the double-precision reference."""
    run = Recurrence(seed, steps, units, batch)
    weight = normal(seed + 1, steps, units, batch)
    dp, dq, du, dc = zeros(steps, 3 * units, batch), zeros(3 * units, batch), zeros(units, 3 * units), zeros(3 * units)
    kernels.gru_gradient(run.u, run.h, *run.gates, run.q, weight.copy(), dp, dq, du, dc)

    def total(share: float, p: Floats, u: Floats, c: Floats) -> float:
        moved = (a.astype(np.float64) + share * d for a, d in ((run.p, p), (run.u, u), (run.c, c)))
        return float((reference_gru(*moved, run.h[0]) * weight).sum())

    still = (np.zeros_like(run.p), np.zeros_like(run.u), np.zeros_like(run.c))
    for index, gradient in enumerate((dp, du, dc)):
        direction = normal(seed + 2, *gradient.shape)
        moves = (*still[:index], direction, *still[index + 1 :])
        slope = (total(1e-5, *moves) - total(-1e-5, *moves)) / 2e-5
        scale = float(np.abs(gradient * direction).sum())
        assert float((gradient.astype(np.float64) * direction).sum()) == pytest.approx(slope, abs=2e-6 * scale + 1e-5)


def test_gru_gradient_adds_to_weight_gradients() -> None:
    run = Recurrence(3, 4, 5, 6)
    once, twice = (zeros(5, 15), zeros(15)), (zeros(5, 15), zeros(15))
    for sums in (once, twice, twice):
        dh = normal(4, 4, 5, 6)
        kernels.gru_gradient(run.u, run.h, *run.gates, run.q, dh, zeros(4, 15, 6), zeros(15, 6), *sums)
    np.testing.assert_allclose(twice[0], 2 * once[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(twice[1], 2 * once[1], rtol=1e-5, atol=1e-6)


@given(steps=st.integers(1, 6), rows=SIZES, batch=SIZES, depth=st.integers(1, 4), seed=SEEDS)
@settings(max_examples=30)
def test_stack_causal_sees_the_past_only(steps: int, rows: int, batch: int, depth: int, seed: int) -> None:
    x = normal(seed, steps, rows, batch)
    out = normal(seed, steps, depth * rows, batch)
    kernels.stack_causal(x, out, depth)
    padded = np.concatenate([np.zeros((depth - 1, rows, batch), np.float32), x])
    np.testing.assert_array_equal(out, np.stack([padded[t : t + depth].reshape(-1, batch) for t in range(steps)]))


def test_gather_takes_windows_and_columns() -> None:
    sequences = normal(0, 4, 20, 5)
    rows, offsets, columns = np.array([3, 0, 3]), np.array([0, 13, 5]), np.array([4, 1])
    out = zeros(7, 2, 3)
    kernels.gather(sequences, rows, offsets, columns, out)
    for b in range(3):
        window = sequences[rows[b], offsets[b] : offsets[b] + 7][:, columns]
        np.testing.assert_array_equal(out[:, :, b], window)


def test_squared_loss_counts_known_targets_after_the_burn_in() -> None:
    output, target = normal(0, 6, 2, 3), normal(1, 6, 2, 3)
    target[3, 1] = kernels.MISSING
    target[5, 0, 2] = kernels.MISSING
    counted = (target < kernels.MISSING) & (np.arange(6) >= 2)[:, None, None]
    dout = normal(2, 6, 2, 3)
    loss = kernels.squared_loss(output, target, 2, dout)
    error = np.where(counted, output.astype(np.float64) - target, 0.0)
    assert loss == pytest.approx(np.square(error).sum() / counted.sum(), rel=1e-6)
    np.testing.assert_allclose(dout, 2 * error / counted.sum(), rtol=1e-5)
    assert not dout[:2].any()
    assert not dout[~counted].any()


def test_squared_loss_without_known_targets_is_zero_and_pulls_nowhere() -> None:
    target = np.full((3, 2, 2), kernels.MISSING)
    dout = normal(0, 3, 2, 2)
    assert kernels.squared_loss(normal(1, 3, 2, 2), target, 0, dout) == 0.0
    assert not dout.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["output", "target"])
def test_squared_loss_does_not_hide_what_is_not_finite(bad: float, place: str) -> None:
    output, target = normal(0, 3, 2, 9), normal(1, 3, 2, 9)
    (output if place == "output" else target)[1, 1, 4] = bad
    loss = kernels.squared_loss(output, target, 0, zeros(3, 2, 9))
    # +inf as a target reads as missing.
    assert np.isfinite(loss) == (place == "target" and bad == np.inf)


class ReferenceAdam:
    """AdamW with clipping by norm in double precision, written from the papers."""

    def __init__(self, flat: Floats, decay: Floats) -> None:
        self.flat, self.decay = flat.astype(np.float64), decay.astype(np.float64)
        self.first, self.second = np.zeros_like(self.flat), np.zeros_like(self.flat)

    def update(self, gradient: Floats, step: int, rate: float, weight_decay: float, clip: float) -> None:
        g = gradient.astype(np.float64) * min(1.0, clip / float(np.linalg.norm(gradient.astype(np.float64))))
        self.first = 0.9 * self.first + 0.1 * g
        self.second = 0.999 * self.second + 0.001 * g * g
        m, v = self.first / (1 - 0.9**step), self.second / (1 - 0.999**step)
        self.flat -= rate * (m / (np.sqrt(v) + 1e-7) + weight_decay * self.decay * self.flat)


@pytest.mark.parametrize(("clip", "weight_decay"), [(1e9, 0.0), (1.0, 0.0), (1.0, 0.1)])
def test_adam_equals_numpy(clip: float, weight_decay: float) -> None:
    flat = normal(0, 37)
    decay = (np.arange(37) % 3 == 0).astype(np.float32)
    reference, first, second = ReferenceAdam(flat, decay), zeros(37), zeros(37)
    for step in range(1, 21):
        gradient = normal(step, 37)
        reference.update(gradient, step, 0.01, weight_decay, clip)
        norm = float(np.linalg.norm(gradient))
        assert kernels.adam(flat, gradient, first, second, decay, step, 0.01, weight_decay, clip) == pytest.approx(norm)
        assert not gradient.any()
    np.testing.assert_allclose(flat, reference.flat, atol=3e-6)


def test_weight_decay_leaves_what_it_does_not_apply_to() -> None:
    flat, decay = np.ones(4, np.float32), np.array([1, 0, 1, 0], np.float32)
    kernels.adam(flat, zeros(4), zeros(4), zeros(4), decay, 1, 0.1, 0.5, 1.0)
    np.testing.assert_allclose(flat, [0.95, 1.0, 0.95, 1.0])


def test_clipping_survives_gradients_whose_square_overflows() -> None:
    flat, first = zeros(2), zeros(2)
    kernels.adam(flat, np.array([3e30, 4e30], np.float32), first, zeros(2), zeros(2), 1, 0.1, 0.0, 1.0)
    np.testing.assert_allclose(first, [0.06, 0.08], rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_spoils_the_weights_visibly(bad: float) -> None:
    flat = np.ones(3, np.float32)
    kernels.adam(flat, np.array([0.1, bad, 0.1], np.float32), zeros(3), zeros(3), zeros(3), 1, 0.1, 0.0, 1.0)
    assert np.isnan(flat[1])
