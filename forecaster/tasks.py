"""What a worker of the search does: one training of one candidate, judged on one fold."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecaster.arrays import Floats
    from forecaster.genome import Candidate
    from forecaster.trials import Fold, Trial


@dataclass(frozen=True)
class Task:
    """One training.

    Attributes:
        number: of the task in its search, from 0; the same search asks for the same tasks in the same order.
        candidate: what is trained.
        fold: number of the fold that judges it, see `trials.folds`.
        updates: length of its schedule.
        seed: of weights, windows and dropout.
        initial: weights that it goes on from, `(parameters,)`; drawn from the seed if not given.
    """

    number: int
    candidate: Candidate
    fold: int
    updates: int
    seed: int
    initial: Floats | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        number: of the task.
        trial: how it was judged.
        weights: of its best checkpoint, `(parameters,)`.
        cpu_seconds: that it took, wherever it ran.
    """

    number: int
    trial: Trial
    weights: Floats
    cpu_seconds: float


def run_task(folds: Sequence[Fold], task: Task) -> Outcome:
    """Train and judge; the same task gives the same outcome, but for the seconds, in every process.

    Args:
        folds: of the search, in the order of their numbers.
        task: which of them, and what.
    """
    began = time.thread_time()
    recipe = dataclasses.replace(task.candidate.recipe, updates=task.updates)
    candidate = dataclasses.replace(task.candidate, recipe=recipe)
    trial, weights = folds[task.fold].trained(candidate, task.seed, task.initial)
    return Outcome(task.number, trial, weights, time.thread_time() - began)
