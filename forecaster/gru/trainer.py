"""Truncated back-propagation through long random windows, a loss at every step after burn-in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from forecaster.errors import ConfigError
from forecaster.gru import loops
from forecaster.gru.network import Workspace, initial_weights, views
from forecaster.sequences import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from forecaster.arrays import Floats
    from forecaster.gru.architecture import Architecture, Recipe
    from forecaster.sequences import Sequences

# Scaled units, in which persistence has about 1: no data scaled by its own spread explains an error this large.
DIVERGED_RMSE = 1e3


@dataclass(frozen=True)
class Fit:
    """A trained network: the weights with the lowest validation error, and how it went.

    Attributes:
        weights: flat vector.
        validation_rmse: in scaled units; infinite where training diverged before the first checkpoint.
        validation_mse: the same squared, by validation stream, `(streams,)`; NaN for a stream without targets.
        best_update: update the weights are from.
        curves: update, train_loss and validation_rmse at each look at validation, scaled units.
    """

    weights: Floats
    validation_rmse: float
    validation_mse: Floats
    best_update: int
    curves: dict[str, list[float]] = field(default_factory=dict)


def fit(  # noqa: PLR0913, PLR0917 - data, sizes, settings and seed are chosen apart by the search
    sequences: Sequences,
    columns: NDArray[np.int64],
    architecture: Architecture,
    recipe: Recipe,
    seed: int,
    progress: Callable[[int, float], None] | None = None,
    stop_after: int | None = None,
    initial: Floats | None = None,
) -> Fit:
    """Train one network and keep its best checkpoint.

    Args:
        sequences: all candidate features.
        columns: the features this network reads.
        architecture, recipe: sizes and settings; `architecture.inputs == len(columns)`.
        seed: of weights, windows and dropout.
        progress: called after each look at validation with the update and its error.
        stop_after: end the schedule after this update and keep its weights, whatever validation says
            (for a fit that has seen the validation part).
        initial: weights to begin with, `(architecture.parameters,)`; drawn from the seed if not given.

    Returns:
        The fit. A training that diverges, above `DIVERGED_RMSE` or not finite, ends there and keeps the best
        checkpoint before.

    Raises:
        ConfigError: windows, sizes and data do not belong together.
    """
    _require_match(sequences, columns, architecture, recipe)
    run = _Run(sequences, columns, architecture, recipe, np.random.default_rng(seed))
    if initial is not None:
        run.begin_with(initial)
    last = recipe.updates if stop_after is None else min(stop_after, recipe.updates)
    for update in range(1, last + 1):
        run.update(update)
        if update % recipe.check_every == 0 or update == last:
            error = run.check(update, keep_best=stop_after is None or update == last)
            if progress is not None:
                progress(update, error)
            if not math.isfinite(error):
                break
    return Fit(run.best, run.best_error, run.best_by_stream, run.best_update, run.curves)


def _require_match(
    sequences: Sequences, columns: NDArray[np.int64], architecture: Architecture, recipe: Recipe
) -> None:
    """Refuse what the kernels, which check no bounds, would read or write past an end."""
    (count, stored, channels), (*_, horizon) = sequences.features.shape, sequences.targets.shape
    steps, _, streams = sequences.validation_features.shape
    expected = {
        "targets": (count, stored, horizon),
        "validation_features": (steps, channels, streams),
        "validation_targets": (steps, horizon, streams),
    }
    for name, shape in expected.items():
        found = getattr(sequences, name).shape
        if found != shape:
            msg = f"{name} have shape {found!r}, expected {shape!r}: cut them as the other sequences"
            raise ConfigError(msg)
    if not 0 <= columns.min() <= columns.max() < channels:
        msg = f"columns {columns.tolist()!r} must be from 0 to {channels - 1}, those of the features"
        raise ConfigError(msg)
    if not recipe.burn_in < recipe.steps <= stored:
        msg = (
            f"steps {recipe.steps!r} must be above burn_in {recipe.burn_in!r} and at most {stored}, "
            "the length of a stored sequence: choose steps between"
        )
        raise ConfigError(msg)
    if (architecture.inputs, architecture.horizon) != (len(columns), horizon):
        msg = (
            f"inputs {architecture.inputs!r} and horizon {architecture.horizon!r} must be {len(columns)} and {horizon}"
            ", the columns and the targets given: build the architecture from them"
        )
        raise ConfigError(msg)


class _Run:
    """The state of one training."""

    def __init__(
        self,
        data: Sequences,
        columns: NDArray[np.int64],
        architecture: Architecture,
        recipe: Recipe,
        rng: np.random.Generator,
    ) -> None:
        self.data, self.recipe, self.rng = data, recipe, rng
        self.features = np.ascontiguousarray(data.features[..., columns])
        self.targets = np.ascontiguousarray(data.targets)
        self.space = Workspace(architecture, recipe.steps, recipe.batch)
        self.weights = initial_weights(architecture, rng)
        self.gradient, self.first, self.second = (np.zeros_like(self.weights) for _ in range(3))
        self.average = self.weights.copy()
        self.decay = np.zeros_like(self.weights)
        for name, part in views(architecture, self.decay).items():
            part[:] = 0.0 if name.endswith("bias") else 1.0
        self.y = np.zeros((recipe.steps, architecture.horizon, recipe.batch), np.float32)
        steps, _, streams = data.validation_features.shape
        self.validation_space = Workspace(architecture, steps, streams)
        self.validation_space.x[..., :streams] = data.validation_features[:, columns]
        self.best, self.best_error, self.best_update = self.weights.copy(), math.inf, 0
        self.known = (data.validation_targets < MISSING).sum(axis=(0, 1))
        self.best_by_stream = np.full(streams, np.inf, np.float32)
        self.losses: list[float] = []
        self.curves: dict[str, list[float]] = {"update": [], "train_loss": [], "validation_rmse": []}

    def begin_with(self, weights: Floats) -> None:
        """Take these weights instead of drawn ones."""
        self.weights[:] = weights
        self.average[:] = weights
        self.best[:] = weights

    @np.errstate(over="ignore", invalid="ignore")  # a diverging run is judged by its error
    def update(self, number: int) -> None:
        """One optimiser update on fresh random windows."""
        recipe, (count, stored, _) = self.recipe, self.features.shape
        rows = self.rng.integers(0, count, recipe.batch)
        offsets = self.rng.integers(0, stored - recipe.steps + 1, recipe.batch)
        loops.gather(self.features, rows, offsets, self.space.x)
        loops.gather(self.targets, rows, offsets, self.y)
        mask = self._dropout_mask()
        self.space.forward(self.weights, self.space.x, mask)
        self.losses.append(self.space.loss(self.y, recipe.burn_in))
        self.space.backward(self.weights, self.gradient, mask)
        rate = recipe.learning_rate * learning_rate_share(number, recipe.updates)
        loops.adam(
            self.weights, self.gradient, self.first, self.second, self.decay, number, rate,
            recipe.weight_decay, recipe.clip,
        )  # fmt: skip
        share = min(recipe.averaging, 1.0 - 1.0 / number)
        self.average *= np.float32(share)
        self.average += np.float32(1.0 - share) * self.weights

    def check(self, number: int, *, keep_best: bool = True) -> float:
        """Error of the averaged weights on the validation streams; keeps the best if told to."""
        self.validation_space.forward(self.average, self.validation_space.x)
        loss = self.validation_space.loss(self.data.validation_targets, 0)
        error = math.sqrt(loss) if loss < DIVERGED_RMSE**2 else math.inf  # NaN is below nothing
        if keep_best and error < self.best_error:
            self.best, self.best_error, self.best_update = self.average.copy(), error, number
            self.best_by_stream = self._by_stream()
        self.curves["update"].append(number)
        self.curves["train_loss"].append(float(np.mean(self.losses)))
        self.curves["validation_rmse"].append(error)
        self.losses.clear()
        return error

    def _by_stream(self) -> Floats:
        """Mean squared error of each stream, from the gradient that `squared_loss` left: 2·error/count."""
        errors = self.validation_space.output_gradient[..., : len(self.known)] * np.float32(self.known.sum() / 2)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.square(errors).sum(axis=(0, 1)) / self.known, np.float32)

    def _dropout_mask(self) -> Floats | None:
        kept = 1.0 - self.recipe.dropout
        if kept >= 1.0:
            return None
        shape = (self.space.architecture.units, self.recipe.batch)
        return ((self.rng.random(shape, dtype=np.float32) < kept) / np.float32(kept)).astype(np.float32)


def learning_rate_share(number: int, updates: int) -> float:
    """Share of the learning rate at an update: 5 % linear warm-up, then half a cosine (Loshchilov & Hutter 2017)."""
    warm = max(1, updates // 20)
    if number <= warm:
        return number / warm
    return 0.5 * (1.0 + math.cos(math.pi * (number - warm) / max(1, updates - warm)))
