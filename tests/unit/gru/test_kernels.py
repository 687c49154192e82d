"""The compiled kernels against NumPy in double precision, at sizes that no tile fits."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numba.core.codegen import get_host_cpu_features

from forecaster.gru import kernels, loops, simd
from forecaster.gru.architecture import FORMS, Architecture
from forecaster.gru.network import Workspace, initial_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from forecaster.arrays import Doubles, Floats

SIZES = st.integers(1, 14)  # of which a tile holds 8, 4 or 1
STEPS = st.one_of(st.integers(1, 6), st.integers(kernels.BLOCK, kernels.BLOCK + 2))
BATCH = simd.LANES
BATCHES = st.sampled_from([BATCH, 2 * BATCH, 3 * BATCH])
SEEDS = st.integers(0, 2**32 - 1)


def normal(seed: int, *shape: int) -> Floats:
    """Deterministic noise of unit variance."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def zeros(*shape: int) -> Floats:
    return np.zeros(shape, np.float32)


def sigmoid(x: Doubles) -> Doubles:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def reference_gru(x: NDArray[Any], w: NDArray[Any], bias: NDArray[Any], u: NDArray[Any], c: NDArray[Any]) -> Doubles:
    """States after each step from zero, `(steps, units, batch)`, written as the equations are, in double precision."""
    x, w, bias, u, c = (part.astype(np.float64) for part in (x, w, bias, u, c))
    units = len(u)
    state, states = np.zeros((units, x.shape[2])), []
    for step in x:
        p, q = w.T @ step + bias[:, None], u.T @ state + c[:, None]
        z = sigmoid(p[:units] + q[:units])
        r = sigmoid(p[units : 2 * units] + q[units : 2 * units])
        n = np.tanh(p[2 * units :] + r * q[2 * units :])
        state = z * state + (1.0 - z) * n
        states.append(state)
    return np.array(states)


class Recurrence:
    """One call of the `gru` kernel with random content."""

    def __init__(self, seed: int, steps: int, inputs: int, units: int, batch: int) -> None:
        self.x = normal(seed, steps, inputs, batch)
        self.w, self.bias = normal(seed + 1, inputs, 3 * units) * np.float32(0.5), normal(seed + 2, 3 * units)
        self.u, self.c = normal(seed, units, 3 * units) * np.float32(0.5), normal(seed, 3 * units)
        self.h = zeros(steps + 1, units, batch)
        self.gates = [zeros(steps, units, batch) for _ in range(4)]
        kernels.gru(self.x, self.w, self.bias, self.u, self.c, self.h, *self.gates)

    @property
    def given(self) -> list[Floats]:
        """What the states depend on."""
        return [self.x, self.w, self.bias, self.u, self.c]

    def gradients(self, of_states: Floats, *, onto: float = 0.0) -> list[Floats]:
        """Those of `given`, for a gradient with respect to the states; what they are added to is `onto` everywhere."""
        dx, *sums = (np.full_like(part, onto) for part in self.given)
        _, units, batch = of_states.shape
        dh, d = np.concatenate([normal(9, 1, units, batch), of_states]), normal(8, kernels.BLOCK, 4 * units, batch)
        kernels.gru_gradient(self.x, self.w, self.u, self.h, *self.gates, dh, d, dx, *sums, True)
        return [dx, *sums]


@simd.generated
def _activate(code: simd.Code, x: Any, tanh_to: Any, sigmoid_to: Any, pair_to: Any) -> None:
    """Each activation of one panel; `pair_to` gets tanh where it shares the division with another."""
    vector = code.load(x)
    code.store(tanh_to, kernels.tanh(vector))
    code.store(sigmoid_to, kernels.sigmoids(vector, vector.within(5.0))[0])
    code.store(pair_to, kernels.tanhs(vector.within(5.0), vector)[1])


@njit
def _activated(x: Floats, tanh: Floats, logistic: Floats, pair: Floats) -> None:
    for at in range(0, len(x) * simd.FLOAT, simd.PANEL):
        to = (simd.address(tanh) + at, simd.address(logistic) + at, simd.address(pair) + at)
        _activate(simd.address(x) + at, to[0], to[1], to[2])


def activated(x: NDArray[Any]) -> list[Doubles]:
    """Tanh, σ, and tanh beside another one, by the kernels."""
    filled = zeros(simd.padded(len(x)))
    filled[: len(x)] = x
    found = [np.zeros_like(filled) for _ in range(3)]
    _activated(filled, *found)
    return [each[: len(x)].astype(np.float64) for each in found]


def test_activations_are_accurate_everywhere() -> None:
    grid = np.concatenate([np.linspace(-25, 25, 5001), np.geomspace(1e-12, 1, 200)]).astype(np.float32)
    tanh, logistic, pair = activated(grid)
    assert np.abs(tanh - np.tanh(grid.astype(np.float64))).max() < 4e-7
    assert np.abs(pair - np.tanh(grid.astype(np.float64))).max() < 5e-7
    assert np.abs(logistic - sigmoid(grid.astype(np.float64))).max() < 3e-7


def test_tanh_keeps_relative_accuracy_near_zero() -> None:
    grid = np.geomspace(1e-12, 0.1, 200).astype(np.float32)
    for found in (activated(grid)[0], activated(grid)[2]):
        assert np.abs(found / np.tanh(grid.astype(np.float64)) - 1.0).max() < 5e-7


def test_activations_saturate_at_infinity_and_keep_nan() -> None:
    tanh, logistic, pair = activated(np.array([np.inf, -np.inf, np.nan]))
    for found in (tanh, pair):
        np.testing.assert_allclose(found, [1.0, -1.0, np.nan], atol=5e-7)
    np.testing.assert_allclose(logistic, [1.0, 0.0, np.nan], atol=3e-7)


def test_machine_code_is_kept_for_these_very_vector_instructions() -> None:
    """Machine code is kept by numba: it asks only whether kernels.py is the same file."""
    written = hashlib.sha256(Path(simd.__file__).read_bytes()).hexdigest()
    assert written == kernels.WITH, "simd.py has changed: write this digest to kernels.WITH"


def run_with(lanes_of: dict[str, str], code: str, folder: Path) -> str:
    """What another process prints whose machine code is for another processor."""
    environment = {**os.environ, **lanes_of, "NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "processor",
    [
        {"NUMBA_CPU_NAME": "generic"},
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"},
        {"NUMBA_CPU_FEATURES": "+sse2"},
        {"NUMBA_ENABLE_AVX": "0"},
    ],
)
def test_the_width_follows_what_numba_compiles_for(processor: dict[str, str], tmp_path: Path) -> None:
    """Or machine code that it keeps for one width would be run with another."""
    assert run_with(processor, "from forecaster.gru import simd; print(simd.LANES)", tmp_path) == "8\n"


@pytest.mark.skipif("+avx2" not in get_host_cpu_features().split(","), reason="needs a processor with AVX2")
def test_networks_answer_and_learn_the_same_with_panels_of_eight(tmp_path: Path) -> None:
    haswell = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}
    here, there = tmp_path / "here.npy", tmp_path / "there.npy"
    np.save(here, gradients_of_every_form())
    code = f"import numpy; from {__name__} import gradients_of_every_form as made; numpy.save({str(there)!r}, made())"
    run_with(haswell, code, tmp_path)
    expected = np.load(here)
    assert (np.load(there) != expected).any() == (simd.LANES != 8)
    np.testing.assert_allclose(np.load(there), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def gradients_of_every_form() -> Floats:
    """Loss and gradient of a small network of each form, one after the other."""
    found = []
    for form in FORMS:
        sizes = Architecture(3, 5, 10, form)
        flat, space = initial_weights(sizes, np.random.default_rng(1)), Workspace(sizes, 40, 19)
        gradient = np.zeros_like(flat)
        space.forward(flat, normal(2, 40, 3, 19))
        found.append([space.loss(normal(3, 40, 5, 19), 4)])
        space.backward(flat, gradient)
        found.append(gradient)
    return np.concatenate(found).astype(np.float32)


@pytest.mark.parametrize("batch", [1, BATCH - 1, BATCH + 4])
def test_a_batch_that_no_panels_hold_is_refused(batch: int) -> None:
    x, w, out, dw = zeros(2, 3, batch), zeros(3, 4), zeros(2, 4, batch), zeros(3, 4)
    with pytest.raises(ValueError, match="no multiple of LANES"):
        kernels.affine(x, w, zeros(4), out)
    with pytest.raises(ValueError, match="no multiple of LANES"):
        kernels.affine_gradient(x, w, out, dw, zeros(4), x, False)
    with pytest.raises(ValueError, match="no multiple of LANES"):
        Recurrence(1, 2, 3, 4, batch)
    run = Recurrence(1, 2, 3, 4, BATCH)
    run.h, run.gates, run.x = zeros(3, 4, batch), [zeros(2, 4, batch) for _ in range(4)], x
    with pytest.raises(ValueError, match="no multiple of LANES"):
        run.gradients(zeros(2, 4, batch))


@pytest.mark.parametrize("batch", [1, 7, 8, 15, 16, 17, 100])
def test_a_batch_is_filled_to_whole_panels(batch: int) -> None:
    assert simd.padded(batch) % simd.LANES == 0
    assert batch <= simd.padded(batch) < batch + simd.LANES


def test_buffers_begin_at_a_panel_of_the_cache() -> None:
    for size in range(1, 40):
        made = simd.aligned_zeros(size, 3)
        assert made.ctypes.data % simd.PANEL == 0
        assert made.shape == (size, 3)
        assert made.flags.c_contiguous
        assert not made.any()


@given(steps=st.integers(1, 4), rows=SIZES, columns=SIZES, batch=BATCHES, seed=SEEDS)
@settings(max_examples=60)
def test_affine_equals_numpy(steps: int, rows: int, columns: int, batch: int, seed: int) -> None:
    x, w, bias = normal(seed, steps, rows, batch), normal(seed, rows, columns), normal(seed, columns)
    out = normal(seed, steps, columns, batch)
    kernels.affine(x, w, bias, out)
    expected = np.einsum("trb,rc->tcb", x.astype(np.float64), w) + bias[:, None]
    np.testing.assert_allclose(out, expected, atol=2e-5)


@given(steps=st.integers(1, 4), rows=SIZES, columns=SIZES, batch=BATCHES, seed=SEEDS)
@settings(max_examples=60)
def test_affine_gradient_equals_numpy(steps: int, rows: int, columns: int, batch: int, seed: int) -> None:
    x, w, dout = normal(seed, steps, rows, batch), normal(seed, rows, columns), normal(seed, steps, columns, batch)
    dw, dbias, dx = normal(seed, rows, columns), normal(seed, columns), normal(seed, steps, rows, batch)
    expected_dw = dw + np.einsum("trb,tcb->rc", x.astype(np.float64), dout)
    expected_dbias = dbias + dout.astype(np.float64).sum(axis=(0, 2))
    kernels.affine_gradient(x, w, dout, dw, dbias, dx, True)
    np.testing.assert_allclose(dw, expected_dw, atol=1e-4)
    np.testing.assert_allclose(dbias, expected_dbias, atol=1e-4)
    np.testing.assert_allclose(dx, np.einsum("tcb,rc->trb", dout.astype(np.float64), w), atol=2e-5)


def test_affine_gradient_leaves_the_input_gradient_when_told_to() -> None:
    dx = normal(0, 2, 3, BATCH)
    before = dx.copy()
    kernels.affine_gradient(
        normal(1, 2, 3, BATCH), normal(1, 3, 4), normal(1, 2, 4, BATCH), zeros(3, 4), zeros(4), dx, False
    )  # fmt: skip
    np.testing.assert_array_equal(dx, before)


@given(steps=STEPS, inputs=SIZES, units=SIZES, batch=BATCHES, seed=SEEDS)
@settings(max_examples=60)
def test_gru_equals_its_equations(steps: int, inputs: int, units: int, batch: int, seed: int) -> None:
    run = Recurrence(seed, steps, inputs, units, batch)
    np.testing.assert_allclose(run.h[1:], reference_gru(*run.given), atol=5e-6)


def test_gru_goes_on_from_the_state_it_is_given() -> None:
    whole = Recurrence(1, 6, 3, 5, BATCH)
    rest = zeros(3, 5, BATCH)
    rest[0] = whole.h[4]
    kernels.gru(whole.x[4:], *whole.given[1:], rest, *(gate[4:] for gate in whole.gates))
    np.testing.assert_array_equal(rest, whole.h[4:])


@given(steps=STEPS, inputs=SIZES, units=SIZES, batch=BATCHES, seed=SEEDS)
@settings(max_examples=60)
def test_gru_gradient_predicts_the_change_of_a_weighted_sum(
    steps: int, inputs: int, units: int, batch: int, seed: int
) -> None:
    """Directional derivatives by central differences of the double-precision reference."""
    run = Recurrence(seed, steps, inputs, units, batch)
    weight = normal(seed + 1, steps, units, batch)
    found = run.gradients(weight)

    def total(share: float, index: int, direction: Floats) -> float:
        moved = [part.astype(np.float64) for part in run.given]
        moved[index] += share * direction
        return float((reference_gru(*moved) * weight).sum())

    for index, gradient in enumerate(found):
        direction = normal(seed + 2, *gradient.shape)
        slope = (total(1e-5, index, direction) - total(-1e-5, index, direction)) / 2e-5
        scale = float(np.abs(gradient * direction).sum())
        assert float((gradient.astype(np.float64) * direction).sum()) == pytest.approx(slope, abs=3e-6 * scale + 1e-5)


def test_gru_gradient_adds_to_weight_gradients_and_overwrites_that_of_the_input() -> None:
    run = Recurrence(3, 4, 2, 5, BATCH)
    of_states = normal(4, 4, 5, BATCH)
    (dx, *sums), (dx_onto, *onto) = run.gradients(of_states), run.gradients(of_states, onto=2.0)
    np.testing.assert_array_equal(dx_onto, dx)
    for added, alone in zip(onto, sums, strict=True):
        np.testing.assert_allclose(added, alone + 2.0, rtol=1e-5, atol=1e-5)


@given(steps=st.integers(1, 6), rows=SIZES, batch=SIZES, depth=st.integers(1, 4), seed=SEEDS)
@settings(max_examples=30)
def test_stack_causal_sees_the_past_only(steps: int, rows: int, batch: int, depth: int, seed: int) -> None:
    before, x = normal(seed + 1, depth - 1, rows, batch), normal(seed, steps, rows, batch)
    out = normal(seed, steps, depth * rows, batch)
    loops.stack_causal(before, x, out)
    whole = np.concatenate([before, x])
    np.testing.assert_array_equal(out, np.stack([whole[t : t + depth].reshape(-1, batch) for t in range(steps)]))


def test_gather_takes_windows_and_leaves_what_fills_the_batch() -> None:
    sequences = normal(0, 4, 20, 2)
    rows, offsets = np.array([3, 0, 3]), np.array([0, 13, 5])
    out = np.full((7, 2, 5), 8.0, np.float32)
    loops.gather(sequences, rows, offsets, out)
    for b in range(3):
        np.testing.assert_array_equal(out[:, :, b], sequences[rows[b], offsets[b] : offsets[b] + 7])
    assert (out[:, :, 3:] == 8.0).all()


def test_squared_loss_counts_known_targets_after_the_burn_in() -> None:
    output, target = normal(0, 6, 2, 3), normal(1, 6, 2, 3)
    target[3, 1] = loops.MISSING
    target[5, 0, 2] = loops.MISSING
    counted = (target < loops.MISSING) & (np.arange(6) >= 2)[:, None, None]
    dout = normal(2, 6, 2, 3)
    loss = loops.squared_loss(output, target, 2, dout)
    error = np.where(counted, output.astype(np.float64) - target, 0.0)
    assert loss == pytest.approx(np.square(error).sum() / counted.sum(), rel=1e-6)
    np.testing.assert_allclose(dout, 2 * error / counted.sum(), rtol=1e-5)
    assert not dout[:2].any()
    assert not dout[~counted].any()


def test_squared_loss_without_known_targets_is_zero_and_pulls_nowhere() -> None:
    target = np.full((3, 2, 2), loops.MISSING)
    dout = normal(0, 3, 2, 2)
    assert loops.squared_loss(normal(1, 3, 2, 2), target, 0, dout) == 0.0
    assert not dout.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["output", "target"])
def test_squared_loss_does_not_hide_what_is_not_finite(bad: float, place: str) -> None:
    output, target = normal(0, 3, 2, 9), normal(1, 3, 2, 9)
    (output if place == "output" else target)[1, 1, 4] = bad
    loss = loops.squared_loss(output, target, 0, zeros(3, 2, 9))
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
        assert loops.adam(flat, gradient, first, second, decay, step, 0.01, weight_decay, clip) == pytest.approx(norm)
        assert not gradient.any()
    np.testing.assert_allclose(flat, reference.flat, atol=3e-6)


def test_weight_decay_leaves_what_it_does_not_apply_to() -> None:
    flat, decay = np.ones(4, np.float32), np.array([1, 0, 1, 0], np.float32)
    loops.adam(flat, zeros(4), zeros(4), zeros(4), decay, 1, 0.1, 0.5, 1.0)
    np.testing.assert_allclose(flat, [0.95, 1.0, 0.95, 1.0])


def test_clipping_survives_gradients_whose_square_overflows() -> None:
    flat, first = zeros(2), zeros(2)
    loops.adam(flat, np.array([3e30, 4e30], np.float32), first, zeros(2), zeros(2), 1, 0.1, 0.0, 1.0)
    np.testing.assert_allclose(first, [0.06, 0.08], rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_spoils_the_weights_visibly(bad: float) -> None:
    flat = np.ones(3, np.float32)
    loops.adam(flat, np.array([0.1, bad, 0.1], np.float32), zeros(3), zeros(3), zeros(3), 1, 0.1, 0.0, 1.0)
    assert np.isnan(flat[1])
