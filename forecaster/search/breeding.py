"""Individuals and how new ones come about: DEAP's operators over the genome."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deap import base, tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from forecaster.genome import Space
    from forecaster.search_config import SearchConfig

# A child that repeats a known candidate, or nearly so, is mutated again this often before it is taken as it is.
ATTEMPTS = 50


class Individual(list):  # type: ignore[type-arg]
    """A genome with the fitness that DEAP's operators look at.

    Attributes:
        number: of its record, in the order in which training began; -1 before.
        parents: indices of its parents.
    """

    def __init__(self, genome: Sequence[int], parents: tuple[int, ...], objectives: int) -> None:
        super().__init__(genome)
        self.number, self.parents, self.fitness = -1, parents, _fitness(objectives)


class Breeder:
    """New individuals, none of which is known or nearly is.

    Args:
        space: of the genomes.
        config: operators.
        horizon: values a network forecasts, by which its size is known.
    """

    def __init__(self, space: Space, config: SearchConfig, horizon: int) -> None:
        self.space, self.config, self.horizon = space, config, horizon
        self._known: list[list[int]] = []

    @property
    def born(self) -> int:
        """Individuals so far."""
        return len(self._known)

    def first(self, rng: random.Random) -> Individual:
        """The usual recipe first, then evenly drawn ones."""
        return self._individual((lambda: self.space.drawn(rng)) if self._known else self.space.usual, ())

    def child(self, pool: Sequence[Individual], rng: random.Random) -> Individual:
        """One of two parents, or of one, mutated."""
        with _module_seed(rng):
            first, second = self._parents(pool)
            genome, parents = list(first), [first.number]
            if rng.random() < self.config.crossover:
                genome, _ = tools.cxUniform(list(first), list(second), indpb=0.5)
                parents = list(dict.fromkeys((first.number, second.number)))
            draws = _ever_further(self.space.mutate(genome, rng, self.config.mutation), self.space, rng, self.config)
            return self._individual(draws, tuple(parents))

    def best(self, individuals: Sequence[Individual], count: int) -> list[Individual]:
        """The best by fitness; by fronts and crowding where there are several objectives (NSGA-II)."""
        if len(self.config.objectives) == 1:
            return list(tools.selBest(individuals, count))
        return list(tools.selNSGA2(list(individuals), min(count, len(individuals))))

    def _parents(self, pool: Sequence[Individual]) -> tuple[Individual, Individual]:
        if len(self.config.objectives) > 1 and len(pool) >= 4:
            ranked = tools.selNSGA2(list(pool), len(pool))  # gives each its crowding distance
            first, second, *_ = tools.selTournamentDCD(ranked, 4)
        else:
            first, second = tools.selTournament(pool, 2, tournsize=self.config.tournament)
        return first, second

    def _individual(self, draw: Callable[[], list[int]], parents: tuple[int, ...]) -> Individual:
        """Draw until the genome is new and small enough; the last draw after many attempts."""
        for _ in range(ATTEMPTS):
            genome = draw()
            is_new = not any(self.space.is_near(genome, other) for other in self._known)
            if is_new and self.space.fits(self.space.decode(genome), self.horizon):
                break
        self._known.append(genome)
        return Individual(genome, parents, len(self.config.objectives))


def _ever_further(genome: list[int], space: Space, rng: random.Random, config: SearchConfig) -> Callable[[], list[int]]:
    """Draws that give the genome, then ever further mutations of it."""

    def draws() -> Iterator[list[int]]:
        current = genome
        while True:
            yield current
            current = space.mutate(current, rng, config.mutation)

    return draws().__next__


def _fitness(objectives: int) -> base.Fitness:
    made = type("Fitness", (base.Fitness,), {"weights": (-1.0,) * objectives})
    return made()


@contextmanager
def _module_seed(rng: random.Random) -> Iterator[None]:
    """DEAP's operators draw from the module's generator, which is left as it was."""
    state = random.getstate()
    random.seed(rng.random())
    try:
        yield
    finally:
        random.setstate(state)
