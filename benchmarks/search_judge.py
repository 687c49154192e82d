"""What every rival of the search is given: the same space, trainer, folds and finals, and a budget of CPU seconds."""

from __future__ import annotations

import dataclasses
import resource
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forecaster.genome import Space
from forecaster.tasks import Task, run_task
from forecaster.trials import SEED_STEP, Trial, folds, margin, mean_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forecaster.arrays import Floats
    from forecaster.dataset import Dataset
    from forecaster.genome import Candidate
    from forecaster.search_config import SearchConfig

# The error, relative to persistence's, of what is not trained: too large a network.
REFUSED = 10.0


class Meter:
    """CPU seconds of this process, all its threads, and of its children that have ended."""

    def __init__(self) -> None:
        self._began = _cpu_seconds()

    @property
    def seconds(self) -> float:
        """Since the meter was made."""
        return _cpu_seconds() - self._began


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@dataclass
class Entry:
    """A candidate and what is known of it.

    Attributes:
        candidate: features, network, recipe.
        trials: one for each fold that has judged it.
        updates: that its network has had.
        before: updates of the rungs before its last one, which `trials[0].best_update` does not count.
        cost: CPU seconds of an update.
        weights: of the validation part's training, from which the next rung goes on.
    """

    candidate: Candidate
    trials: dict[int, Trial]
    updates: int
    before: int = 0
    cost: float = 0.0
    weights: Floats | None = None

    @property
    def best_update(self) -> int:
        """Of the validation part's training, all rungs together."""
        return self.before + self.trials[0].best_update


@dataclass(frozen=True)
class Pick:
    """What a method chose: the candidate, the updates of its final training, and its penalised error."""

    candidate: Candidate
    best_update: int
    fitness: float


class Judge:
    """Trains what a rival proposes, and keeps every figure.

    Args:
        dataset: as the search gets it.
        config: as the search gets it; `max_cpu_seconds` holds for candidates and finals together.
        seed: of every training, as in the search.
        meter: counts from the beginning of the job.

    Attributes:
        entries: what is known of each candidate.
        trace: a point for each training.
        trained: updates of all of them.
    """

    def __init__(self, dataset: Dataset, config: SearchConfig, seed: int, meter: Meter) -> None:
        self.config, self.seed, self.meter = config, seed, meter
        self.horizon = dataset.program.horizon
        self.scale = dataset.program.target_scale
        self.folds = folds(dataset, config.folds)
        self.space = Space(config.space, dataset.program.names, config.updates, dataset.config.steps // 2)
        self.entries: dict[Candidate, Entry] = {}
        self.trace: list[dict[str, float]] = []
        self.trained = 0

    @property
    def exhausted(self) -> bool:
        """Whether the finals will take what is left of the budget; one candidate is always trained."""
        if not self.trained:
            return False
        return self.meter.seconds + self._finals_seconds() >= self.config.max_cpu_seconds

    def fits(self, candidate: Candidate) -> bool:
        """Whether the network may be trained."""
        return self.space.fits(candidate, self.horizon)

    def judge(self, candidate: Candidate, watch: Callable[[int, float], None] | None = None) -> float:
        """Train once on each fold; the penalised error, from memory where the candidate is known.

        Args:
            candidate: what to train.
            watch: called at each look at the validation part with the update and the error so far; what it raises
                ends the training, and the candidate stays unknown.
        """
        known = self.entries.get(candidate)
        if known is not None and self._is_whole(known):
            return self.fitness(known)
        if not self.fits(candidate):
            return REFUSED
        began = self.meter.seconds, self.trained
        trial = self._first_fold(candidate, watch)
        trials = {0: trial, **{n: self._train(candidate, n, self.seed) for n in range(1, len(self.folds))}}
        return self._keep(Entry(candidate, trials, self.config.updates, cost=self._cost(*began)))

    def advance(self, candidate: Candidate, before: int, until: int) -> float:
        """Train from one rung to another, on from the weights of the one before; all folds judge at the last.

        A rung has a schedule of its own; the other folds' networks begin anew.

        Args:
            candidate: one that has been through the rung before, or any if `before` is 0.
            before, until: updates at which the rungs end.
        """
        if not self.fits(candidate):
            return REFUSED
        began = self.meter.seconds, self.trained
        initial = self.entries[candidate].weights if before else None
        rung = sum(ends <= before for ends in self.config.rung_updates)
        task = Task(0, candidate, 0, until - before, self.seed + rung, initial)
        outcome = run_task(self.folds, task)
        self.trained += task.updates
        trials = {0: outcome.trial}
        if until == self.config.updates:
            trials |= {n: self._train(candidate, n, self.seed) for n in range(1, len(self.folds))}
        return self._keep(Entry(candidate, trials, until, before, self._cost(*began), outcome.weights))

    def fitness(self, entry: Entry) -> float:
        """Mean error over persistence's, with the search's penalty for size; `REFUSED` where training diverged."""
        return self._penalised(entry.candidate, list(entry.trials.values()))

    def finish(self) -> Pick:
        """The search's rule: the best few on further seeds, and the usual recipe unless one clearly beats it."""
        usual = self.space.decode(self.space.usual())
        judged = {candidate: self._finalist(candidate) for candidate in self._finalists()}
        leader = chosen = min(judged, key=lambda candidate: self._penalised(candidate, judged[candidate][0]))
        if usual in judged:
            behind, error = margin(judged[usual][0], judged[leader][0])
            chosen = usual if behind <= error else leader
        trials, updates = judged[chosen]
        best_update = statistics.median_low(updates)
        return Pick(chosen, best_update, self._penalised(chosen, trials))

    def _finalists(self) -> list[Candidate]:
        """The best few of those that came furthest, and the usual recipe if it may be trained."""
        ranked = sorted(self.entries.values(), key=lambda e: (-len(e.trials), -e.updates, self.fitness(e)))
        usual = self.space.decode(self.space.usual())
        best = [entry.candidate for entry in ranked[: self.config.finalists]]
        return list(dict.fromkeys([*best, usual] if self.fits(usual) else best))

    def _finals_seconds(self) -> float:
        """What the finals would take now, by what the finalists' trainings took before; the mean for unknown ones."""
        total, mean = 0.0, self._cost(0.0, 0)
        for candidate in self._finalists():
            entry = self.entries.get(candidate)
            seeds = self.config.finalist_seeds - self._is_whole(entry)
            total += seeds * (mean if entry is None else entry.cost)
        return total * self.config.updates * len(self.folds)

    def _cost(self, seconds: float, trained: int) -> float:
        """CPU seconds of an update, since the meter and the count of updates stood there."""
        return (self.meter.seconds - seconds) / max(1, self.trained - trained)

    def _is_whole(self, entry: Entry | None) -> bool:
        return entry is not None and len(entry.trials) == len(self.folds)

    def _finalist(self, candidate: Candidate) -> tuple[list[Trial], list[int]]:
        """The trials of a finalist on all folds and seeds, and the best updates of its whole trainings.

        What came through rungs was trained in pieces, and counts only if there is no other.
        """
        entry = self.entries.get(candidate)
        if entry is None or not self._is_whole(entry):
            self.judge(candidate)
            entry = self.entries[candidate]
        seeds = [self.seed + SEED_STEP * number for number in range(1, self.config.finalist_seeds)]
        further = [self._train(candidate, fold, seed) for seed in seeds for fold in range(len(self.folds))]
        updates = [trial.best_update for trial in further if trial.fold == 0]
        whole = [entry.best_update] if entry.before == 0 or not updates else []
        return [*entry.trials.values(), *further], [*whole, *updates]

    def _penalised(self, candidate: Candidate, trials: Sequence[Trial]) -> float:
        macs = candidate.architecture(self.horizon).macs_per_forecast
        error = self.config.penalised(mean_ratio(trials), macs)
        return error if np.isfinite(error) else REFUSED

    def _train(self, candidate: Candidate, fold: int, seed: int) -> Trial:
        self.trained += self.config.updates
        outcome = run_task(self.folds, Task(0, candidate, fold, self.config.updates, seed))
        return outcome.trial

    def _first_fold(self, candidate: Candidate, watch: Callable[[int, float], None] | None) -> Trial:
        if watch is None:
            return self._train(candidate, 0, self.seed)
        return _Watched(self, candidate, watch).trial()

    def _keep(self, entry: Entry) -> float:
        self.entries[entry.candidate] = entry
        return self.note(entry, self.fitness(entry))

    def note(self, entry: Entry, fitness: float) -> float:
        """Put a training that ended now into the trace."""
        rmse = entry.trials[0].rmse * self.scale
        self.trace.append(point(self.meter.seconds, rmse, fitness if self._is_whole(entry) else None, entry.updates))
        return fitness


class _Watched:
    """One whole training on the validation part that whoever watches may end."""

    def __init__(self, judge: Judge, candidate: Candidate, watch: Callable[[int, float], None]) -> None:
        self.judge, self.candidate, self.watch = judge, candidate, watch
        self.best, self.seen = np.inf, 0
        recipe = dataclasses.replace(candidate.recipe, updates=judge.config.updates)
        self.trained = dataclasses.replace(candidate, recipe=recipe)

    def trial(self) -> Trial:
        try:
            return self.judge.folds[0].trained(self.trained, self.judge.seed, progress=self._look)[0]
        except BaseException:
            self._given_up()
            raise
        finally:
            self.judge.trained += self.seen

    def _look(self, update: int, error: float) -> None:
        self.seen, self.best = update, min(self.best, error)
        self.watch(update, self.best / self.judge.folds[0].persistence)

    def _given_up(self) -> None:
        """A network that was given up has an error as well; it counts for the curve, not for the finals."""
        judge = self.judge
        judge.trace.append(point(judge.meter.seconds, self.best * judge.scale, None, self.seen))


def point(cpu_seconds: float, validation_rmse: float, fitness: float | None, updates: int) -> dict[str, Any]:
    """A training in a trace; an error that is not finite is None.

    Args:
        cpu_seconds: at its end, since the job began.
        validation_rmse: °C, of its best checkpoint.
        fitness: on all folds; None if it was not judged on all.
        updates: that the network has had.
    """
    rmse = validation_rmse if np.isfinite(validation_rmse) else None
    return {"cpu_seconds": cpu_seconds, "validation_rmse": rmse, "fitness": fitness, "updates": updates}
