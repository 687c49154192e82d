"""Candidates on their way through the rungs, their trainings, and what of the budget is left for more."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from forecaster.inheritance import inherited
from forecaster.records import Record
from forecaster.trials import mean_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forecaster.arrays import Floats
    from forecaster.genome import Candidate
    from forecaster.search.breeding import Breeder, Individual
    from forecaster.search_config import SearchConfig
    from forecaster.tasks import Outcome
    from forecaster.trials import Trial


# Of one update of a usual network, until the first has been measured.
UPDATE_SECONDS = 0.001


@dataclass(frozen=True)
class Wanted:
    """A training that a strategy asks for; the fields are those of `tasks.Task`."""

    candidate: Candidate
    fold: int
    updates: int
    seed: int
    initial: Floats | None = None

    def cost(self, horizon: int) -> int:
        """Multiply-accumulates of its forward passes, by which the longest of several is begun first."""
        recipe = self.candidate.recipe
        return self.updates * recipe.batch * recipe.steps * self.candidate.architecture(horizon).macs_per_forecast


@dataclass
class Course:
    """A candidate on its way through the rungs.

    Attributes:
        rung: that it is at, or has come to its end at.
        waits: trainings of this rung of whose outcome nobody was told yet.
        trials: of the rung, by fold.
        weights: of the validation part's training, from which the next rung but the last one goes on.
        inherited: index of the candidate whose weights it began with; None if they were drawn.
        best_rmse, best_weights: of its whole trainings on the validation part, those of the one with the lowest error
            there.
        fitness: at each rung that it has been judged at.
    """

    individual: Individual
    candidate: Candidate
    generation: int
    rung: int = 0
    waits: int = 0
    trials: dict[int, Trial] = field(default_factory=dict)
    weights: Floats | None = None
    inherited: int | None = None
    best_rmse: float = math.inf
    best_weights: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    fitness: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def compare(self, outcome: Outcome) -> None:
        """Keep an outcome's weights if they are the best ones; also those that diverged, if there are no others."""
        if outcome.trial.fold == 0 and outcome.trial.rmse <= self.best_rmse:
            self.best_rmse, self.best_weights = outcome.trial.rmse, outcome.weights


class Budget:
    """What may be spent on trainings.

    Args:
        most: CPU seconds.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._updates = self._planned = 0
        self.cpu_seconds = 0.0

    def plan(self, updates: int) -> None:
        """A training will be asked for."""
        self._planned += updates

    def tell(self, updates: int, cpu_seconds: float) -> None:
        """A training has ended."""
        self._planned -= updates
        self._updates += updates
        self.cpu_seconds += cpu_seconds

    def suffices(self, updates: int) -> bool:
        """Whether what is done and what is planned leave so many updates."""
        each = self.cpu_seconds / self._updates if self._updates else UPDATE_SECONDS
        return self.cpu_seconds + (self._planned + updates) * each <= self._most


class Courses:
    """All candidates of a search; what the strategies share.

    Args:
        breeder: makes new ones.
        config: rungs, seeds, bounds.
        seed: of the search and of every training.
        folds: how many judge.
        scale: °C of one scaled unit.
        progress: called with each record that has come to its end, and the best so far.

    Attributes:
        all, records: candidates, and what is known of them, by index.
        rungs, last: updates after which each rung judges, and the index of the last one.
        usual: index of the recipe known to work; None if it is too large.
        stopped: the bound that ended the search; nothing if none did.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a search is made of
        self,
        breeder: Breeder,
        config: SearchConfig,
        seed: int,
        folds: int,
        scale: float,
        progress: Callable[[Record, Record], None] | None,
    ) -> None:
        self.breeder, self.config, self.seed, self.folds, self.scale = breeder, config, seed, folds, scale
        self.progress = progress
        self.rungs = config.rung_updates
        self.last = len(self.rungs) - 1
        self.budget = Budget(config.max_cpu_seconds)
        self.all: dict[int, Course] = {}
        self.records: dict[int, Record] = {}
        self.stopped = ""
        self.usual: int | None = None
        self._planned: deque[tuple[Course, Wanted]] = deque()
        self._asked: deque[tuple[Course, Wanted]] = deque()

    def begin(self, individual: Individual, generation: int) -> Course | None:
        """A new candidate at the first rung; None past a bound, or if it is too large."""
        candidate = self.breeder.space.decode(individual)
        if not self.breeder.space.fits(candidate, self.breeder.horizon) or self.bound_reached():
            return None
        individual.number = len(self.all)
        if not self.all and list(individual) == self.breeder.space.usual():
            self.usual = individual.number
        course = self.all[individual.number] = Course(individual, candidate, generation)
        if self.config.inherit and self.last > 0:
            self._inherit(course)
        self._enter(course)
        return course

    def promote(self, course: Course) -> None:
        """Let a candidate go on to its next rung."""
        course.rung += 1
        self._enter(course)

    def affords(self, rung: int) -> bool:
        """Whether the budget suffices for a candidate's trainings of a rung, beside what must be trained in any case.

        That is the usual recipe to its end, and the finals of it, of whoever else is at the last rung by now, and of
        one more: a small budget is not kept for finalists that it does not bring so far.
        """
        usual = [] if self.usual is None else [self.all[self.usual]]
        way = sum(self._updates(each) for course in usual for each in range(course.rung + 1, self.last + 1))
        others = sum(course.rung == self.last for index, course in self.all.items() if index != self.usual)
        finalists = min(others + 1, self.config.finalists) + len(usual)
        finals = finalists * (self.config.finalist_seeds - 1) * self.folds * self.config.updates
        return self.budget.suffices(self._updates(rung) + way + finals)

    def _updates(self, rung: int) -> int:
        """Of a candidate's trainings at a rung, all together: the last one's are whole ones, one on each fold."""
        if rung == self.last:
            return self.folds * self.config.updates
        return self.rungs[rung] - (self.rungs[rung - 1] if rung else 0)

    def bound_reached(self) -> bool:
        """Whether no further training may begin."""
        if len(self.all) >= self.config.max_evaluations:
            self.stopped = f"{self.config.max_evaluations} evaluations"
        elif self.all and not self.affords(0):
            self.stopped = f"{self.config.max_cpu_seconds:g} CPU seconds"
        return bool(self.stopped)

    def _enter(self, course: Course) -> None:
        """Plan the trainings of the rung that a candidate is at.

        Each goes on from the weights before it, but those of the last rung begin anew on every fold, as in the finals:
        what a parent's updates have done for a child does not tell how good a network its genes make.
        """
        if course.rung == self.last:
            wanted = [Wanted(course.candidate, fold, self.config.updates, self.seed) for fold in range(self.folds)]
        else:
            length = self._updates(course.rung)
            wanted = [Wanted(course.candidate, 0, length, self.seed + course.rung, course.weights)]
        course.waits = len(wanted)
        for each in wanted:
            self._planned.append((course, each))
            self.budget.plan(each.updates)

    def _inherit(self, course: Course) -> None:
        """Begin with the weights of the first parent that has some which fit."""
        for index in course.individual.parents:
            parent = self.all[index]
            if parent.weights is not None:
                course.weights = inherited(parent.candidate, parent.weights, course.candidate, self.breeder.horizon)
            if course.weights is not None:
                course.inherited = index
                return

    def order(self) -> None:
        """Let the longest of the planned trainings begin first: at the end of a rung fewer workers wait for one."""
        longest = sorted(self._planned, key=lambda each: each[1].cost(self.breeder.horizon), reverse=True)
        self._planned = deque(longest)

    def next(self) -> Wanted | None:
        """The next training that is planned."""
        if not self._planned:
            return None
        self._asked.append(self._planned.popleft())
        return self._asked[-1][1]

    def take(self, outcome: Outcome) -> Course:
        """Note what came of the oldest one; its candidate."""
        course, wanted = self._asked.popleft()
        self.budget.tell(wanted.updates, outcome.cpu_seconds)
        course.cpu_seconds += outcome.cpu_seconds
        course.trials[wanted.fold] = outcome.trial
        if course.rung == self.last:
            course.compare(outcome)
        course.waits -= 1
        if wanted.fold == 0:
            course.weights = outcome.weights
        if not course.waits:
            self._judge(course)
        return course

    def _judge(self, course: Course) -> None:
        architecture = course.candidate.architecture(self.breeder.horizon)
        error = mean_ratio(list(course.trials.values()))
        penalised = self.config.penalised(error, architecture.macs_per_forecast)
        measures = {"error": penalised, "macs": architecture.macs_per_forecast, "bytes": 4 * architecture.parameters}
        course.individual.fitness.values = tuple(float(measures[name]) for name in self.config.objectives)
        course.fitness.append(penalised)
        first = course.trials[0]
        self.records[course.individual.number] = Record(
            index=course.individual.number,
            generation=course.generation,
            parents=course.individual.parents,
            genome=tuple(course.individual),
            candidate=course.candidate.as_dict(),
            validation_rmse=first.rmse * self.scale,
            fold_ratios=tuple(trial.ratio for trial in course.trials.values()),
            fitness=penalised,
            inherited=course.inherited,
            rung_fitness=tuple(course.fitness),
            best_update=first.best_update + (self.rungs[course.rung - 1] if 0 < course.rung < self.last else 0),
            updates=self.rungs[course.rung],
            parameters=architecture.parameters,
            macs=architecture.macs_per_forecast,
            cpu_seconds=course.cpu_seconds,
            finished=time.time(),
        )

    def end(self, course: Course) -> None:
        """A candidate goes no further."""
        if self.progress is not None:
            self.progress(self.records[course.individual.number], min(self.records.values(), key=lambda r: r.fitness))

    def is_complete(self, course: Course) -> bool:
        """Whether a candidate has been through all rungs."""
        return course.rung == self.last and not course.waits and len(course.trials) == self.folds

    @property
    def complete(self) -> Sequence[Record]:
        """Records of those that have been through all rungs; of all, if none has."""
        whole = [self.records[index] for index, course in self.all.items() if self.is_complete(course)]
        return whole or list(self.records.values())
