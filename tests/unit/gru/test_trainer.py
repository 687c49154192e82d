"""Training: what it learns, that it repeats, what it keeps, and how it ends when it diverges."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.errors import ConfigError
from forecaster.gru import trainer
from forecaster.gru.architecture import FORMS, Architecture, Recipe
from forecaster.gru.network import Workspace, initial_weights, views
from forecaster.gru.trainer import fit, learning_rate_share
from forecaster.sequences import MISSING, Sequences

if TYPE_CHECKING:
    from forecaster.arrays import Floats

# Differences of a series that follow d[t+1] = PERSISTENT · d[t] + noise; forecast are one and two of them summed.
PERSISTENT, HORIZON, WARM_UP = 0.8, 2, 20
FACTORS = np.array([PERSISTENT, PERSISTENT + PERSISTENT**2], np.float32)
ALL = np.array([0, 1], np.int64)
SIZES = Architecture(inputs=2, horizon=HORIZON, units=6)
SHORT = Recipe(updates=12, batch=5, steps=30, burn_in=8, check_every=5, learning_rate=0.02)


def differences(seed: int, count: int, steps: int) -> tuple[Floats, Floats]:
    """Features `(count, steps, 2)`, the second one noise, and targets `(count, steps, HORIZON)`."""
    rng = np.random.default_rng(seed)
    d = rng.standard_normal((count, steps + HORIZON)).astype(np.float32)
    for t in range(1, d.shape[1]):
        d[:, t] += np.float32(PERSISTENT) * d[:, t - 1]
    features = np.stack([d[:, :steps], rng.standard_normal((count, steps))], axis=2)
    targets = np.stack([d[:, 1 : steps + 1], d[:, 1 : steps + 1] + d[:, 2 : steps + 2]], axis=2)
    return features.astype(np.float32), targets


def data(seed: int = 0, count: int = 24, steps: int = 60) -> Sequences:
    x, y = differences(seed, count, steps)
    vx, vy = differences(seed + 1, 4, 150)
    vy[:, :WARM_UP] = MISSING
    return Sequences(x, y, *(np.ascontiguousarray(part.transpose(1, 2, 0)) for part in (vx, vy)))


def overfitting() -> tuple[Sequences, Recipe]:
    """Targets that have nothing to do with the features, few of them, and a fast recipe."""
    noise = np.random.default_rng(5).standard_normal((2, 40, HORIZON)).astype(np.float32)
    recipe = replace(SHORT, updates=120, learning_rate=0.03, dropout=0.0, averaging=0.0)
    return replace(data(count=2, steps=40), targets=noise), recipe


def squared_errors(sequences: Sequences, weights: Floats, architecture: Architecture = SIZES) -> Floats:
    """On the validation streams, NaN where the target is missing."""
    steps, _, streams = sequences.validation_features.shape
    output = Workspace(architecture, steps, streams).forward(weights, sequences.validation_features)
    known = sequences.validation_targets < MISSING
    return np.square(np.where(known, output - sequences.validation_targets, np.nan))


def best_possible(sequences: Sequences) -> float:
    """RMSE of the conditional expectation, which no forecaster beats on average."""
    expected = sequences.validation_features[:, :1] * FACTORS[:, None]
    known = sequences.validation_targets < MISSING
    return float(np.sqrt(np.square((expected - sequences.validation_targets)[known]).mean()))


@pytest.mark.parametrize("form", FORMS)
def test_learns_an_autoregression_to_within_five_percent_of_the_best_possible(form: str) -> None:
    sequences = data(count=60)
    recipe = Recipe(updates=250, batch=16, steps=50, burn_in=8, learning_rate=0.02, dropout=0.0)
    result = fit(sequences, ALL, replace(SIZES, form=form), recipe, seed=1)
    assert result.validation_rmse < 1.05 * best_possible(sequences)
    assert result.curves["train_loss"][-1] < 0.7 * result.curves["train_loss"][0]


@pytest.mark.parametrize("form", FORMS)
def test_a_seed_repeats_the_weights_bit_for_bit(form: str) -> None:
    sequences, sizes = data(), replace(SIZES, form=form)
    first, again, other = (fit(sequences, ALL, sizes, SHORT, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.weights, again.weights)
    assert first.curves == again.curves
    assert (first.weights != other.weights).any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("learning_rate", [1e6, 1e30])
def test_an_absurd_learning_rate_ends_early_with_an_infinite_error(form: str, learning_rate: float) -> None:
    recipe = replace(SHORT, updates=100, learning_rate=learning_rate)
    result = fit(data(), ALL, replace(SIZES, form=form), recipe, seed=1)
    assert result.validation_rmse == math.inf
    assert result.curves["update"] == [5]
    assert result.best_update == 0
    assert np.isfinite(result.weights).all()
    assert np.isinf(result.validation_mse).all()


@pytest.mark.parametrize("place", ["features", "targets", "validation_features", "validation_targets"])
def test_nan_in_the_data_is_not_hidden(place: str) -> None:
    sequences = data()
    spoiled = getattr(sequences, place).copy()
    spoiled[(40,) if place.startswith("validation") else (slice(None), slice(20, 40))] = np.nan
    result = fit(replace(sequences, **{place: spoiled}), ALL, SIZES, SHORT, seed=1)
    assert result.validation_rmse == math.inf
    assert result.curves["update"] == [5]


def test_the_best_checkpoint_is_kept_and_judged_without_dropout() -> None:
    sequences, recipe = overfitting()
    seen: list[tuple[int, float]] = []
    result = fit(sequences, ALL, SIZES, replace(recipe, dropout=0.3), 1, lambda *look: seen.append(look))
    best_update, best_error = min(seen, key=lambda look: look[1])
    assert (result.best_update, result.validation_rmse) == (best_update, best_error)
    assert best_update < seen[-1][0]
    rmse = float(np.sqrt(np.nanmean(squared_errors(sequences, result.weights))))
    assert rmse == pytest.approx(result.validation_rmse, rel=1e-5)


def test_errors_by_stream_leave_out_missing_targets_and_empty_streams() -> None:
    sequences = data()
    sequences.validation_targets[:, :, 2] = MISSING
    sequences.validation_targets[50:, 1, 0] = MISSING
    result = fit(sequences, ALL, SIZES, SHORT, seed=1)
    errors = squared_errors(sequences, result.weights)
    assert np.isnan(result.validation_mse[2])
    for stream in (0, 1, 3):
        assert result.validation_mse[stream] == pytest.approx(np.nanmean(errors[:, :, stream]), rel=1e-5)


def test_progress_is_called_at_each_look_and_at_the_end() -> None:
    seen: list[tuple[int, float]] = []
    result = fit(data(), ALL, SIZES, SHORT, 1, lambda *look: seen.append(look))
    assert [update for update, _ in seen] == [5, 10, 12] == result.curves["update"]
    assert [error for _, error in seen] == result.curves["validation_rmse"]
    assert len(result.curves["train_loss"]) == 3


@pytest.mark.parametrize("place", ["features", "targets", "validation_features", "validation_targets"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_sequences_that_are_not_cut_alike_are_refused(place: str, axis: int) -> None:
    sequences = data()
    cut = np.take(getattr(sequences, place), range(1), axis)
    with pytest.raises(ConfigError, match=r"cut them as the other|inputs 2 and horizon 2 must be 2 and 1"):
        fit(replace(sequences, **{place: cut}), ALL, SIZES, SHORT, seed=1)


@pytest.mark.parametrize("columns", [[0, 2], [-1, 0]])
def test_columns_that_no_feature_has_are_refused(columns: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"columns .* must be from 0 to 1"):
        fit(data(), np.array(columns), SIZES, SHORT, seed=1)


def test_averaging_begins_as_the_mean_of_all_weights_so_far() -> None:
    def weights(averaging: float, stop_after: int) -> Floats:
        return fit(data(), ALL, SIZES, replace(SHORT, averaging=averaging), 1, stop_after=stop_after).weights

    raw = [weights(0.0, update) for update in (1, 2, 3)]
    np.testing.assert_allclose(weights(0.98, 3), np.mean(raw, axis=0), atol=1e-6)
    np.testing.assert_allclose(weights(0.5, 3), (raw[0] + raw[1]) / 4 + raw[2] / 2, atol=1e-6)
    assert (raw[1] != raw[2]).any()


def test_stop_after_keeps_the_last_weights_whatever_validation_says() -> None:
    sequences, recipe = overfitting()
    free = fit(sequences, ALL, SIZES, recipe, 1)
    stopped = fit(sequences, ALL, SIZES, recipe, 1, stop_after=recipe.updates)
    assert free.best_update < stopped.best_update == recipe.updates
    assert stopped.validation_rmse > free.validation_rmse
    same = fit(sequences, ALL, SIZES, recipe, 1, stop_after=free.best_update)
    np.testing.assert_array_equal(same.weights, free.weights)


def test_stop_after_bounds() -> None:
    longer = fit(data(), ALL, SIZES, SHORT, 1, stop_after=1000)
    assert longer.best_update == SHORT.updates
    nothing = fit(data(), ALL, SIZES, SHORT, 1, stop_after=0)
    assert (nothing.best_update, nothing.validation_rmse) == (0, math.inf)


def test_targets_in_the_burn_in_carry_no_loss() -> None:
    sequences, recipe = data(steps=30), SHORT
    spoiled = sequences.targets.copy()
    spoiled[:, : recipe.burn_in] += 100.0
    result = fit(sequences, ALL, SIZES, recipe, 1)
    same = fit(replace(sequences, targets=spoiled), ALL, SIZES, recipe, 1)
    np.testing.assert_array_equal(same.weights, result.weights)
    spoiled[:, recipe.burn_in] += 100.0
    other = fit(replace(sequences, targets=spoiled), ALL, SIZES, recipe, 1)
    assert (other.weights != result.weights).any()


def test_missing_targets_carry_no_gradient() -> None:
    sequences = data()
    sequences.targets[:, :, 1] = MISSING
    began = views(SIZES, initial_weights(SIZES, np.random.default_rng(1)))
    ended = views(SIZES, fit(sequences, ALL, SIZES, replace(SHORT, averaging=0.0), 1).weights)
    np.testing.assert_array_equal(ended["output.kernel"][:, 1], began["output.kernel"][:, 1])
    assert ended["output.bias"][1] == 0.0
    assert (ended["output.kernel"][:, 0] != began["output.kernel"][:, 0]).all()


@pytest.mark.parametrize("form", FORMS)
def test_weight_decay_shrinks_kernels_and_not_biases(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sequences, sizes = data(), replace(SIZES, form=form)
    sequences.targets[:] = MISSING
    monkeypatch.setattr(trainer, "initial_weights", lambda *_: np.ones(sizes.parameters, np.float32))
    result = fit(sequences, ALL, sizes, replace(SHORT, weight_decay=0.1, averaging=0.0), 1, stop_after=12)
    for name, part in views(sizes, result.weights).items():
        assert (part == 1.0).all() if name.endswith("bias") else (part < 1.0).all()


def test_columns_choose_the_features() -> None:
    sequences, one = data(), replace(SIZES, inputs=1)
    only = replace(
        sequences,
        features=np.ascontiguousarray(sequences.features[:, :, 1:]),
        validation_features=np.ascontiguousarray(sequences.validation_features[:, 1:]),
    )
    chosen = fit(sequences, np.array([1], np.int64), one, SHORT, 1)
    np.testing.assert_array_equal(chosen.weights, fit(only, np.array([0], np.int64), one, SHORT, 1).weights)


def test_dropout_and_batch_matter() -> None:
    recipes = (SHORT, replace(SHORT, dropout=0.0), replace(SHORT, batch=6))
    weights = [fit(data(), ALL, SIZES, recipe, 1).weights for recipe in recipes]
    assert (weights[0] != weights[1]).any()
    assert (weights[0] != weights[2]).any()


@pytest.mark.parametrize(
    ("recipe", "sizes", "message"),
    [
        (replace(SHORT, steps=61), SIZES, "steps 61 must be above burn_in 8 and at most 60"),
        (replace(SHORT, burn_in=30), SIZES, "steps 30 must be above burn_in 30"),
        (SHORT, replace(SIZES, inputs=3), "inputs 3 and horizon 2 must be 2 and 2"),
        (SHORT, replace(SIZES, horizon=3), "inputs 2 and horizon 3 must be 2 and 2"),
    ],
)
def test_what_does_not_belong_together_is_refused(recipe: Recipe, sizes: Architecture, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(data(), ALL, sizes, recipe, 1)


def test_a_window_may_be_as_long_as_a_stored_sequence() -> None:
    assert math.isfinite(fit(data(steps=30), ALL, SIZES, SHORT, 1).validation_rmse)


def test_recipe_as_plain_values() -> None:
    assert Recipe(**SHORT.as_dict()) == SHORT


@given(updates=st.integers(1, 2000))
def test_learning_rate_rises_to_its_full_value_and_falls_to_nothing(updates: int) -> None:
    shares = [learning_rate_share(number, updates) for number in range(1, updates + 1)]
    peak = max(1, updates // 20) - 1
    assert shares[peak] == 1.0
    assert all(a < b for a, b in pairwise(shares[: peak + 1]))
    assert all(a > b for a, b in pairwise(shares[peak:]))
    assert min(shares) >= 0.0
    assert updates == 1 or shares[-1] == pytest.approx(0.0)


def test_learning_rate_is_half_way_down_in_the_middle_of_the_cosine() -> None:
    assert learning_rate_share(5, 200) == pytest.approx(0.5)
    assert learning_rate_share(10 + 95, 200) == pytest.approx(0.5)
