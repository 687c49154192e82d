"""The compiled trainer against Keras: same weights, same windows, the same loss at every update.

`fit` runs on the kernels. The witness is the project's Keras export with Keras' own loss and `keras.optimizers.AdamW`;
it draws windows and dropout masks again from the seed and cuts them with NumPy. The two optimisers are one formula,
clip by global norm, then Adam's step beside the decay of kernels, once four settings are put in Keras' terms:

- epsilon: Keras adds it to √v (Kingma & Ba's "epsilon hat"), `loops.adam` to √(v / (1 - β₂ᵗ)), so that Keras' is
  1e-7·√(1 - β₂ᵗ), set before each update;
- β₂: single precision takes 0.999 for 0.999 + δ, which is 1.3e-5 of 1 - β₂. Ours has that in the moment, not in the
  bias correction, Keras has it the other way round. With 0.999 + 2δ the two quotients are equal again; without it
  losses agree to 7e-6 only;
- schedule: Keras counts updates from 0, so that its warm-up begins at rate/warm and is one update shorter;
- averaging: Keras' momentum is constant, ours min(averaging, 1 - 1/t), set before each update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from forecaster.gru.architecture import FORMS, Architecture, Recipe
from forecaster.gru.keras_model import flat_weights, keras_model
from forecaster.gru.network import initial_weights
from forecaster.gru.trainer import fit
from forecaster.sequences import MISSING, Sequences

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras

    from forecaster.arrays import Doubles, Floats

SEED, UPDATES = 11, 20
COLUMNS = np.array([3, 0, 2], np.int64)
STORED, HORIZON, UNITS = 40, 4, 6
# The schedule is left half-way: two updates of warm-up and the cosine's first half. `check_every` shows every loss.
PLAIN = Recipe(
    updates=2 * UPDATES, batch=7, steps=24, burn_in=5, learning_rate=0.01, dropout=0.0, weight_decay=0.1, clip=0.25,
    check_every=1, averaging=0.0,
)  # fmt: skip
DROPPED = replace(PLAIN, dropout=0.3, averaging=0.9)
KERAS_BETA_2 = 2.0 * float(np.float32(0.999)) - 0.999
# Losses are around 1, so the bound is met in both senses. Rounding alone leaves 4e-7 and 6e-7.
LOSS_TOLERANCE, WEIGHT_TOLERANCE = 1e-6, 2e-6


@dataclass(frozen=True)
class Trace:
    """Loss before each update `(UPDATES,)`, the weights kept after the last, the witness' gradient norms `(UPDATES,)`.

    The weights are the running average where the recipe has one.
    """

    losses: Doubles
    weights: Floats
    norms: Doubles | None = None


@dataclass(frozen=True)
class Slip:
    """What the witness does wrong, for the controls: a weight's offset, a batch one step late, the rate's factor."""

    nudge: float = 0.0
    shifted_update: int = 0
    rate: float = 1.0


NO_SLIP = Slip()


@cache
def sequences() -> Sequences:
    """Features, targets that a recurrence can learn in part, a tenth of them missing, and one validation stream."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((9, STORED, 4)).astype(np.float32)
    smooth = np.cumsum(features[:, :, [0]], axis=1) * 0.2
    targets = (smooth + 0.3 + 0.6 * rng.standard_normal((9, STORED, HORIZON))).astype(np.float32)
    targets[rng.random(targets.shape) < 0.1] = MISSING
    validation = (np.ascontiguousarray(part[:1].transpose(1, 2, 0)) for part in (features, targets))
    return Sequences(features, targets, *validation)


def sizes(form: str) -> Architecture:
    return Architecture(len(COLUMNS), HORIZON, UNITS, form)


@cache
def ours(form: str, recipe: Recipe) -> Trace:
    result = fit(sequences(), COLUMNS, sizes(form), recipe, SEED, stop_after=UPDATES)
    return Trace(np.array(result.curves["train_loss"]), result.weights)


def batches(recipe: Recipe, rng: np.random.Generator, slip: Slip) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Features, targets and dropout mask of each update, batch first, in the trainer's order of draws."""
    data, places = sequences(), STORED - recipe.steps + 1
    for number in range(1, UPDATES + 1):
        rows = rng.integers(0, len(data.features), recipe.batch)
        offsets = rng.integers(0, places, recipe.batch)
        mask = np.ones((UNITS, recipe.batch), np.float32)
        if recipe.dropout:
            kept = np.float32(1.0 - recipe.dropout)
            mask = (rng.random(mask.shape, dtype=np.float32) < kept).astype(np.float32) / kept
        if number == slip.shifted_update:
            offsets = (offsets + 1) % places
        cut = rows[:, None], offsets[:, None] + np.arange(recipe.steps)
        yield data.features[cut][:, :, COLUMNS], data.targets[cut], mask.T[:, None, :]


def optimizer(recipe: Recipe) -> keras.optimizers.AdamW:
    """AdamW and the learning rate's schedule; `before_update` sets what changes from update to update."""
    import keras

    warm = recipe.updates // 20
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / warm,
        recipe.updates - warm,
        warmup_target=recipe.learning_rate,
        warmup_steps=warm - 1,
    )
    adam = keras.optimizers.AdamW(
        rate, recipe.weight_decay, beta_2=KERAS_BETA_2, global_clipnorm=recipe.clip, use_ema=True
    )
    adam.exclude_from_weight_decay(var_names=["bias"])
    return adam


def before_update(adam: keras.optimizers.AdamW, number: int, averaging: float) -> None:
    adam.epsilon = 1e-7 * math.sqrt(1.0 - 0.999**number)
    adam.ema_momentum = min(averaging, 1.0 - 1.0 / number)


@cache
def model_and_gradients(form: str) -> tuple[keras.Model, Any]:
    """A model and the traced function of a batch to its loss and gradients at the model's weights.

    The loss is Keras' mean square with weights 0 and 1; the mask given is in the place of Keras' dropout.
    """
    import keras
    import tensorflow as tf

    model = keras_model(sizes(form), np.zeros(sizes(form).parameters, np.float32))
    mean_square = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")

    @tf.function
    def run(x: Any, y: Any, mask: Any) -> Any:
        known = (y < MISSING) & (tf.range(tf.shape(y)[1]) >= PLAIN.burn_in)[None, :, None]
        with tf.GradientTape() as tape:
            signal = x
            for layer in model.layers[1:]:
                signal = signal * mask if layer.name == "dropout" else layer(signal)
            # A last axis of one, because Keras averages over the last axis before it weighs.
            loss = mean_square(tf.where(known, y, 0.0)[..., None], signal[..., None], tf.cast(known, tf.float32))
        return loss, tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    return model, run


@cache
def witness(form: str, recipe: Recipe, slip: Slip = NO_SLIP) -> Trace:
    """Training by Keras, from the weights and on the windows that the trainer draws from the same seed."""
    rng = np.random.default_rng(SEED)
    flat = initial_weights(sizes(form), rng)
    flat[-1] += np.float32(slip.nudge)
    model, run = model_and_gradients(form)
    model.set_weights(keras_model(sizes(form), flat).get_weights())
    adam = optimizer(replace(recipe, learning_rate=slip.rate * recipe.learning_rate))
    losses, norms = [], []
    for number, batch in enumerate(batches(recipe, rng, slip), 1):
        loss, gradients = run(*batch)
        losses.append(float(loss))
        norms.append(math.sqrt(sum(float(np.square(gradient).sum()) for gradient in gradients)))
        before_update(adam, number, recipe.averaging)
        adam.apply(gradients, model.trainable_weights)
    adam.finalize_variable_values(model.trainable_weights)
    return Trace(np.array(losses), flat_weights(model, sizes(form)), np.array(norms))


def worst_loss(found: Trace, expected: Trace) -> float:
    """Largest difference of a loss, absolute or relative, whichever is larger."""
    assert found.losses.shape == expected.losses.shape == (UPDATES,)
    return float((np.abs(found.losses - expected.losses) / np.minimum(expected.losses, 1.0)).max())


def worst_weight(found: Trace, expected: Trace) -> float:
    return float(np.abs(found.weights - expected.weights).max())


@pytest.mark.parametrize("recipe", [PLAIN, DROPPED], ids=["plain", "dropout_and_averaging"])
@pytest.mark.parametrize("form", FORMS)
def test_every_loss_and_the_kept_weights_equal_keras(form: str, recipe: Recipe) -> None:
    found, expected = ours(form, recipe), witness(form, recipe)
    assert worst_loss(found, expected) < LOSS_TOLERANCE
    assert worst_weight(found, expected) < WEIGHT_TOLERANCE


@pytest.mark.parametrize(
    "slip",
    [Slip(nudge=1e-3), Slip(shifted_update=UPDATES // 2), Slip(rate=1.01)],
    ids=["one_weight_off_by_a_thousandth", "one_batch_shifted_by_a_step", "learning_rate_off_by_a_hundredth"],
)
@pytest.mark.parametrize("form", FORMS)
def test_a_small_slip_of_the_witness_shows_far_above_the_tolerance(form: str, slip: Slip) -> None:
    found, expected = ours(form, PLAIN), witness(form, PLAIN, slip)
    assert worst_loss(found, expected) > 100 * LOSS_TOLERANCE
    assert worst_weight(found, expected) > 100 * WEIGHT_TOLERANCE


@pytest.mark.parametrize("form", FORMS)
def test_clipping_gaps_and_long_steps_take_part(form: str) -> None:
    """What the comparison would not see if it never happened."""
    norms, begun = witness(form, PLAIN).norms, initial_weights(sizes(form), np.random.default_rng(SEED))
    assert 3 <= (norms > PLAIN.clip).sum() <= UPDATES - 3
    assert np.abs(ours(form, PLAIN).weights - begun).max() > 0.05
    assert 0.05 < (sequences().targets >= MISSING).mean() < 0.2
