"""Which training comes next: generations with a barrier between them, or a steady stream without.

Both bring candidates through the same rungs (successive halving, Jamieson & Talwalkar 2016): a short training judged on
the validation part, from whose weights the next rung goes on for those that were good, and at the last rung all folds.
A strategy is told outcomes in the order in which it asked for them, whoever worked them out when, so that the search
depends on the seed alone.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

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
UPDATE_SECONDS = 0.003


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


class Strategy(Protocol):
    """What the search's loop asks."""

    def next(self) -> Wanted | None:
        """Another training; None if nothing can be asked for before more outcomes are told, or at all."""
        ...

    def take(self, outcome: Outcome) -> None:
        """What came of the oldest training that was asked for and not told of yet."""
        ...


@dataclass
class Course:
    """A candidate on its way through the rungs.

    Attributes:
        rung: that it is at, or has come to its end at.
        waits: trainings of this rung of whose outcome nobody was told yet.
        trials: of the rung, by fold.
        weights: of the validation part's training, from which the next rung goes on.
        inherited: index of the candidate whose weights it began with; None if they were drawn.
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
    fitness: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0


class Budget:
    """What may be spent on trainings.

    Args:
        config: its bounds.
        reserve: updates that the finals will take.
    """

    def __init__(self, config: SearchConfig, reserve: int) -> None:
        self._most, self._reserve = config.max_cpu_seconds, reserve
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

    @property
    def is_spent(self) -> bool:
        """Whether what is done, what is planned and the finals take all of it."""
        each = self.cpu_seconds / self._updates if self._updates else UPDATE_SECONDS
        return self.cpu_seconds + (self._planned + self._reserve) * each >= self._most


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
        # The usual recipe is judged beside the finalists.
        self.budget = Budget(config, (config.finalists + 1) * (config.finalist_seeds - 1) * folds * config.updates)
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
        if self.config.inherit:
            self._inherit(course)
        self._enter(course)
        return course

    def promote(self, course: Course) -> None:
        """Let a candidate go on to its next rung."""
        course.rung += 1
        self._enter(course)

    def bound_reached(self) -> bool:
        """Whether no further training may begin."""
        if len(self.all) >= self.config.max_evaluations:
            self.stopped = f"{self.config.max_evaluations} evaluations"
        elif self.all and self.budget.is_spent:
            self.stopped = f"{self.config.max_cpu_seconds:g} CPU seconds"
        return bool(self.stopped)

    def _enter(self, course: Course) -> None:
        """Plan the trainings of the rung that a candidate is at."""
        before = self.rungs[course.rung - 1] if course.rung else 0
        own = Wanted(course.candidate, 0, self.rungs[course.rung] - before, self.seed + course.rung, course.weights)
        # The other folds' networks have not seen what the validation part's have: they begin anew.
        others = range(1, self.folds) if course.rung == len(self.rungs) - 1 else ()
        wanted = [own, *(Wanted(course.candidate, fold, self.config.updates, self.seed) for fold in others)]
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
        course.waits -= 1
        if wanted.fold == 0:
            course.weights = outcome.weights
        if not course.waits:
            self._judge(course)
        return course

    def _judge(self, course: Course) -> None:
        architecture = course.candidate.architecture(self.breeder.horizon)
        error = mean_ratio(list(course.trials.values()))
        penalised = error * (1.0 + self.config.size_penalty * architecture.macs_per_forecast / 1000)
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
            best_update=first.best_update + (self.rungs[course.rung - 1] if course.rung else 0),
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
        return course.rung == len(self.rungs) - 1 and not course.waits and len(course.trials) == self.folds


class Generations:
    """A generation is bred when the one before it has come to its end; the worse part of it ends at each rung."""

    def __init__(self, courses: Courses) -> None:
        self._courses, self._config = courses, courses.config
        self._racing: list[Course] = []
        self._young: list[Individual] = []
        self._population: list[Individual] = []
        self._generation = 0

    def next(self) -> Wanted | None:
        """See `Strategy.next`."""
        while (wanted := self._courses.next()) is None:
            if any(course.waits for course in self._racing):
                return None
            if self._racing:
                self._halve()
            elif self._generation < self._config.generations and not self._courses.stopped:
                self._breed()
            else:
                return None
        return wanted

    def take(self, outcome: Outcome) -> None:
        """See `Strategy.take`."""
        self._courses.take(outcome)

    def _breed(self) -> None:
        """The next generation begins; the elite of the last one and all that came new to it are its parents."""
        courses, breeder = self._courses, self._courses.breeder
        elite = breeder.best(self._population, self._config.elite) if self._population else []
        pool = self._population = [*elite, *self._young]
        rng = random.Random(f"{courses.seed}/{self._generation}")  # noqa: S311 - a search, not a secret
        count = self._config.population - (self._config.elite if pool else 0)
        born = (breeder.child(pool, rng) if pool else breeder.first(rng) for _ in range(count))
        self._racing = [course for each in born if (course := courses.begin(each, self._generation)) is not None]
        self._young = [course.individual for course in self._racing]
        self._generation += 1
        courses.order()

    def _halve(self) -> None:
        """The better part goes on to the next rung; the usual recipe does in any case, others are compared with it."""
        is_last = self._racing[0].rung == len(self._courses.rungs) - 1
        count = 0 if is_last else math.ceil(len(self._racing) * self._config.keep)
        best = self._courses.breeder.best([course.individual for course in self._racing], count)
        order = {each.number: place for place, each in enumerate(best)}
        racing, self._racing = self._racing, []
        for course in sorted(racing, key=lambda c: order.get(c.individual.number, len(order))):
            index = course.individual.number
            is_usual = index == self._courses.usual and not is_last
            if is_usual or (index in order and not self._courses.budget.is_spent):
                self._courses.promote(course)
                self._racing.append(course)
            else:
                self._courses.end(course)
        self._courses.order()


class Steady:
    """Whoever is free gets a training: those that are good enough for their next rung go first, else a new one is bred.

    Successive halving without a barrier (Li et al. 2020): a candidate goes on once it is among the better part of all
    that have been through its rung. Where there are several objectives, that is by the error alone.
    """

    def __init__(self, courses: Courses) -> None:
        self._courses, self._config = courses, courses.config
        self._rng = random.Random(f"{courses.seed}/steady")  # noqa: S311 - a search, not a secret
        # By rung: the fitness that a candidate had there.
        self._judged: list[dict[int, float]] = [{} for _ in courses.rungs]

    def next(self) -> Wanted | None:
        """See `Strategy.next`."""
        if (wanted := self._courses.next()) is None and self._plan():
            wanted = self._courses.next()
        return wanted

    def take(self, outcome: Outcome) -> None:
        """See `Strategy.take`."""
        course = self._courses.take(outcome)
        if not course.waits:
            index = course.individual.number
            self._judged[course.rung][index] = self._courses.records[index].fitness
            self._courses.end(course)

    def _plan(self) -> bool:
        course = self._promotable()
        if course is None:
            return self._new() is not None
        self._courses.promote(course)
        return True

    def _promotable(self) -> Course | None:
        """The best one of the highest rung that may go on; the usual recipe may in any case."""
        for rung in reversed(range(len(self._courses.rungs) - 1)):
            there = self._judged[rung]
            order = sorted(there, key=lambda index: there[index])
            best = order[: int(len(order) * self._config.keep)]
            usual = [index for index in there if index == self._courses.usual]
            for index in (*usual, *best):
                course = self._courses.all[index]
                if course.rung == rung and (index in usual or not self._courses.budget.is_spent):
                    return course
        return None

    def _new(self) -> Course | None:
        breeder, population = self._courses.breeder, self._config.population
        generation = breeder.born // population
        if generation >= self._config.generations:
            return None
        pool = [self._courses.all[index].individual for index in self._judged[0]]
        individual = breeder.child(pool, self._rng) if len(pool) >= population else breeder.first(self._rng)
        return self._courses.begin(individual, generation)


def complete(courses: Courses) -> Sequence[Record]:
    """Records of those that have been through all rungs; of all, if none has."""
    whole = [courses.records[index] for index, course in courses.all.items() if courses.is_complete(course)]
    return whole or list(courses.records.values())
