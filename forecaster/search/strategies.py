"""Which training comes next: generations with a barrier between them, or a steady stream without.

Both bring candidates through the same rungs (successive halving, Jamieson & Talwalkar 2016): a short training judged on
the validation part, from whose weights the next rung goes on for those that were good, and at the last rung all folds.
A strategy is told outcomes in the order in which it asked for them, whoever worked them out when, so that the search
depends on the seed alone.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forecaster.search.breeding import Individual
    from forecaster.search.courses import Course, Courses, Wanted
    from forecaster.tasks import Outcome


class Strategy(Protocol):
    """What the search's loop asks."""

    def next(self) -> Wanted | None:
        """Another training; None if nothing can be asked for before more outcomes are told, or at all."""
        ...

    def take(self, outcome: Outcome) -> None:
        """What came of the oldest training that was asked for and not told of yet."""
        ...


class Generations:
    """A generation is bred when the one before it has come to its end; the worse part of it ends at each rung."""

    def __init__(self, courses: Courses) -> None:
        self._courses, self._config = courses, courses.config
        self._racing: list[Course] = []
        self._rung = 0  # that is raced; whoever is at the next one has gone ahead
        self._young: list[Individual] = []
        self._population: list[Individual] = []
        self._generation = 0

    def next(self) -> Wanted | None:
        """See `Strategy.next`."""
        while (wanted := self._courses.next()) is None:
            if self._outstanding:
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
        if not self._courses.take(outcome).waits and self._outstanding:
            self._go_ahead()

    @property
    def _outstanding(self) -> int:
        """How many have not come to the end of the rung."""
        return sum(bool(course.waits) for course in self._racing if course.rung == self._rung)

    @property
    def _is_last(self) -> bool:
        return self._rung == self._courses.last

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
        self._rung = 0
        courses.order()

    def _halve(self) -> None:
        """The better part goes on to the next rung; the usual recipe does in any case, others are compared with it."""
        places = self._places(self._racing, self._better())
        racing, self._racing = self._racing, []
        for course in sorted(racing, key=lambda each: places.get(each.individual.number, len(places))):
            if course.rung > self._rung or self._promoted(course, places):
                self._racing.append(course)
            else:
                self._courses.end(course)
        self._rung += 1
        self._courses.order()

    def _go_ahead(self) -> None:
        """Whoever is among the better part whatever the outstanding ones come to need not wait for them."""
        if len(self._config.objectives) > 1:  # of two that are each the better in something, crowding decides
            return
        judged = [course for course in self._racing if course.rung > self._rung or not course.waits]
        places = self._places(judged, self._better() - self._outstanding)
        for course in judged:
            if course.rung == self._rung:
                self._promoted(course, places)
        self._courses.order()

    def _better(self) -> int:
        """How many go on from this rung."""
        return 0 if self._is_last else math.ceil(len(self._racing) * self._config.keep)

    def _places(self, courses: Sequence[Course], count: int) -> dict[int, int]:
        """The best few, from 0, by index.

        Whoever has gone ahead has the fitness of this rung still: outcomes are told in the order in which they were
        asked for.
        """
        best = self._courses.breeder.best([course.individual for course in courses], max(count, 0))
        return {each.number: place for place, each in enumerate(best)}

    def _promoted(self, course: Course, places: Mapping[int, int]) -> bool:
        """Promote a candidate that is in one of the places, or the usual one; whether it was."""
        index = course.individual.number
        goes = (index == self._courses.usual and not self._is_last) or (
            index in places and self._courses.affords(self._rung + 1)
        )
        if goes:
            self._courses.promote(course)
        return goes


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
        for rung in reversed(range(self._courses.last)):
            there = self._judged[rung]
            order = sorted(there, key=lambda index: there[index])
            best = order[: int(len(order) * self._config.keep)]
            usual = [index for index in there if index == self._courses.usual]
            for index in (*usual, *best):
                course = self._courses.all[index]
                if course.rung == rung and (index in usual or self._courses.affords(rung + 1)):
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
