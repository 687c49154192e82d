"""Judging candidates: folds in time order, trainings on each of them, and comparison block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forecaster.errors import ReadingError
from forecaster.genome import Candidate, columns
from forecaster.gru.trainer import fit
from forecaster.sequences import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forecaster.arrays import Doubles, Floats
    from forecaster.dataset import Dataset


# Further seeds of one training are this far apart, so that those of a search's rungs never are among them.
SEED_STEP = 1000


@dataclass(frozen=True)
class Trial:
    """One training of a candidate, judged on one fold.

    Attributes:
        fold: 0 for the validation part, 1 for the earlier fold.
        rmse: on the fold, scaled units; infinite where training diverged.
        ratio: rmse over persistence's.
        blocks: squared ratios by block of the fold's time, `(streams,)`; NaN for a block without targets.
        best_update: update of the best checkpoint.
    """

    fold: int
    rmse: float
    ratio: float
    blocks: Doubles
    best_update: int


class Fold:
    """Training sequences with the stretch that judges them, and persistence's error on it."""

    def __init__(self, number: int, dataset: Dataset) -> None:
        self.number, self.sequences = number, dataset.training_sequences()
        self.names, self.horizon = dataset.program.names, dataset.program.horizon
        targets = self.sequences.validation_targets
        self.persistence = float(np.sqrt(np.square(targets[targets < MISSING]).mean()))
        if self.persistence == 0:
            stretch = "validation part" if number == 0 else "last stretch of the training part"
            msg = f"the {stretch} does not change (persistence's error is {self.persistence!r} °C): give more readings"
            raise ReadingError(msg + ("" if number == 0 else ", or judge without it by search.folds=1"))

    def trained(
        self,
        candidate: Candidate,
        seed: int,
        initial: Floats | None = None,
        progress: Callable[[int, float], None] | None = None,
    ) -> tuple[Trial, Floats]:
        """Train the candidate once, perhaps on from given weights; how it was judged, and its best weights.

        Args:
            candidate: what to train.
            seed: of weights, windows and dropout.
            initial, progress: as `gru.trainer.fit` takes them.
        """
        chosen = columns(self.names, candidate.features)
        architecture = candidate.architecture(self.horizon)
        result = fit(self.sequences, chosen, architecture, candidate.recipe, seed, progress, initial=initial)
        ratio = result.validation_rmse / self.persistence
        blocks = result.validation_mse.astype(np.float64) / self.persistence**2
        return Trial(self.number, result.validation_rmse, ratio, blocks, result.best_update), result.weights


def folds(dataset: Dataset, count: int) -> list[Fold]:
    """The validation part, and with `count` 2 also the last stretch of the training part.

    Two stretches of different seasons judge better than one (rolling-origin evaluation, Tashman 2000).
    """
    return [Fold(0, dataset), *([Fold(1, dataset.earlier())] if count > 1 else [])]


def mean_ratio(trials: Sequence[Trial]) -> float:
    """RMSE relative to persistence, mean over the folds of the mean over a fold's seeds."""
    numbers = {trial.fold for trial in trials}
    return float(np.mean([np.mean([trial.ratio for trial in trials if trial.fold == n]) for n in sorted(numbers)]))


def margin(trials: Sequence[Trial], leader: Sequence[Trial]) -> tuple[float, float]:
    """How far a candidate is behind the leader, and the standard error of that.

    Both are means over the blocks that both have, of the squared ratio to persistence averaged over seeds.
    """
    behind = _blocks(trials) - _blocks(leader)
    behind = behind[np.isfinite(behind)]
    if len(behind) == 0:
        return (math.inf, 0.0)
    error = behind.std(ddof=1) / math.sqrt(len(behind)) if len(behind) > 1 else 0.0
    return float(behind.mean()), float(error)


def _blocks(trials: Sequence[Trial]) -> Doubles:
    """Mean over the seeds, by block, all folds in a row."""
    numbers = sorted({trial.fold for trial in trials})
    return np.concatenate([np.mean([t.blocks for t in trials if t.fold == n], axis=0) for n in numbers])
