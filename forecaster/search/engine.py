"""Genetic search (DEAP) over features, form, size and training of the streaming GRU."""

from __future__ import annotations

import json
import random
import statistics
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deap import base, tools

from forecaster.errors import ConfigError
from forecaster.genome import Candidate, Space
from forecaster.records import Record, SearchResult
from forecaster.trials import Trial, folds, margin, mean_ratio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from forecaster.dataset import Dataset
    from forecaster.search_config import SearchConfig

# A child that repeats a known candidate is mutated again this often before it is given up.
ATTEMPTS = 50
CHECKPOINT_FORMAT = 1


class _Fitness(base.Fitness):  # type: ignore[misc]
    weights = (-1.0,)


class _Individual(list):  # type: ignore[type-arg]
    """A genome with the fitness and the record DEAP's operators carry along."""

    def __init__(self, genome: list[int], parents: tuple[int, ...] = ()) -> None:
        super().__init__(genome)
        self.fitness, self.parents, self.record = _Fitness(), parents, -1


def search(
    dataset: Dataset,
    config: SearchConfig,
    seed: int,
    checkpoint: Path | None = None,
    progress: Callable[[Record, Record], None] | None = None,
) -> SearchResult:
    """Find a candidate with a low penalised validation error.

    The best few are trained again on other seeds. The recipe known to work, which is part of the first
    generation, stays the winner unless the best one beats it by more than one standard error over blocks of
    validation time (the one-standard-error rule, Breiman et al. 1984): validation alone picks what fits one season.

    Args:
        dataset: its training part is fitted, its validation part judges.
        config: bounds and operators.
        seed: of the search and of every training; the same seed gives the same result
            as long as no bound on CPU seconds is reached.
        checkpoint: file that keeps the population and its scores after every generation; a search
            that was killed goes on from there to the same result.
        progress: called with each new record and the best so far.

    Raises:
        ConfigError: no candidate of the space keeps the limit of parameters.
    """
    run = _Search(dataset, config, seed, progress)
    key = {
        "format": CHECKPOINT_FORMAT,
        "dataset": dataset.digest,
        "config": config.model_dump(mode="json"),
        "seed": seed,
    }
    population = run.restore(checkpoint, key)
    while run.generation < config.generations and not run.stopped:
        population = run.next_generation(population)
        if checkpoint is not None:
            run.keep(checkpoint, key, population)
    result = run.finish()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return result


class _Search:
    """The state of one search."""

    def __init__(
        self, dataset: Dataset, config: SearchConfig, seed: int, progress: Callable[[Record, Record], None] | None
    ) -> None:
        self.config, self.seed, self.progress = config, seed, progress
        self.names, self.horizon = dataset.program.names, dataset.program.horizon
        self.scale = dataset.program.target_scale
        self.folds = folds(dataset, config.folds)
        self.space = Space(config.space, self.names, config.updates, dataset.config.steps // 2)
        self.records: list[Record] = []
        self.known: dict[str, int] = {}
        self.trials: dict[int, list[Trial]] = {}
        self.generation = 0
        self.stopped = ""
        self.began, self.spent = time.process_time(), 0.0
        self.toolbox = base.Toolbox()
        self.toolbox.register("select", tools.selTournament, tournsize=config.tournament)
        self.toolbox.register("mate", tools.cxUniform, indpb=0.5)

    @property
    def cpu_seconds(self) -> float:
        """Spent so far, by this process and by the one that was killed before it."""
        return self.spent + time.process_time() - self.began

    def next_generation(self, population: list[_Individual]) -> list[_Individual]:
        """Breed, train and score one generation."""
        rng = random.Random(f"{self.seed}/{self.generation}")  # noqa: S311 - a search, not a secret
        if not population:
            offspring = [_Individual(g) for g in self._first_genomes(rng)]
        else:
            offspring = self._breed(population, rng)
        elite = tools.selBest(population, self.config.elite) if population else []
        scored = [child for child in offspring if self._score(child)]
        self.generation += 1
        return [*elite, *scored] or population

    def _first_genomes(self, rng: random.Random) -> list[list[int]]:
        genomes = [self.space.usual()]
        while len(genomes) < self.config.population:
            genomes.append(self._fresh(lambda: self.space.drawn(rng), genomes))
        return genomes

    def _breed(self, population: list[_Individual], rng: random.Random) -> list[_Individual]:
        state = random.getstate()
        random.seed(rng.random())  # DEAP's operators draw from the module's generator
        try:
            children: list[_Individual] = []
            for _ in range(self.config.population - self.config.elite):
                first, second = self.toolbox.select(population, 2)
                genome = list(first)
                parents: tuple[int, ...] = (first.record,)
                if rng.random() < self.config.crossover:
                    genome, parents = self.toolbox.mate(list(first), list(second))[0], (first.record, second.record)
                child = self.space.mutate(genome, rng, self.config.mutation)
                child = self._fresh(_again(child, self.space, rng, self.config.mutation), [list(c) for c in children])
                children.append(_Individual(child, tuple(dict.fromkeys(parents))))
            return children
        finally:
            random.setstate(state)

    def _fresh(self, draw: Callable[[], list[int]], siblings: list[list[int]]) -> list[int]:
        """Draw until the genome is new and small enough; the last draw after many attempts."""
        seen = {_identity(self.space.decode(s)) for s in siblings}
        for _ in range(ATTEMPTS):
            genome = draw()
            candidate = self.space.decode(genome)
            identity = _identity(candidate)
            if identity not in self.known and identity not in seen and self.space.fits(candidate, self.horizon):
                break
        return genome

    def _score(self, child: _Individual) -> bool:
        """Give the individual its fitness, by training unless its candidate is known; False past a bound."""
        candidate = self.space.decode(child)
        if not self.space.fits(candidate, self.horizon):
            return False
        index = self.known.get(_identity(candidate))
        if index is None:
            if self._bound_reached():
                return False
            index = self._train(child, candidate)
        child.record = index
        child.fitness.values = (self.records[index].fitness,)
        return True

    def _bound_reached(self) -> bool:
        if len(self.records) >= self.config.max_evaluations:
            self.stopped = f"{self.config.max_evaluations} evaluations"
        elif self.records and self.cpu_seconds >= self.config.max_cpu_seconds:
            self.stopped = f"{self.config.max_cpu_seconds:g} CPU seconds"
        return bool(self.stopped)

    def _train(self, child: _Individual, candidate: Candidate) -> int:
        began = time.process_time()
        trials = self._trials(candidate, self.seed)
        architecture = candidate.architecture(self.horizon)
        index = len(self.records)
        record = Record(
            index=index,
            generation=self.generation,
            parents=child.parents,
            genome=tuple(child),
            candidate=candidate.as_dict(),
            validation_rmse=trials[0].rmse * self.scale,
            fold_ratios=tuple(trial.ratio for trial in trials),
            fitness=self._fitness(trials, architecture.macs_per_forecast),
            best_update=trials[0].best_update,
            parameters=architecture.parameters,
            macs=architecture.macs_per_forecast,
            cpu_seconds=time.process_time() - began,
            finished=time.time(),
        )
        self.records.append(record)
        self.trials[index] = trials
        self.known[_identity(candidate)] = index
        if self.progress is not None:
            self.progress(record, min(self.records, key=lambda r: r.fitness))
        return index

    def _trials(self, candidate: Candidate, seed: int) -> list[Trial]:
        return [fold.trial(candidate, seed) for fold in self.folds]

    def finish(self) -> SearchResult:
        """Judge the finalists on several seeds and choose the winner."""
        if not self.records:
            limit = self.config.space.max_parameters
            msg = f"no candidate has at most {limit!r} parameters, raise max_parameters or lower units"
            raise ConfigError(msg)
        best = sorted(self.records, key=lambda r: r.fitness)[: self.config.finalists]
        usual = self._usual()
        finalists = best if usual in best else [*best, usual]
        judged = {record.index: self._judge(record) for record in finalists}
        leader = min(finalists, key=lambda r: self._fitness(judged[r.index], r.macs))
        finals = [self._final(record, judged[record.index], judged[leader.index]) for record in finalists]
        beaten = finals[finalists.index(usual)]
        chosen = usual if beaten["margin"] <= beaten["standard_error"] else leader
        update = statistics.median_low([trial.best_update for trial in judged[chosen.index] if trial.fold == 0])
        stopped = self.stopped or f"{self.config.generations} generations"
        return SearchResult(tuple(self.records), chosen.index, tuple(finals), update, stopped, self.cpu_seconds)

    def _usual(self) -> Record:
        """The record of the recipe known to work; the best one where it was too large to be trained."""
        index = self.known.get(_identity(self.space.decode(self.space.usual())))
        return self.records[index] if index is not None else min(self.records, key=lambda r: r.fitness)

    def _judge(self, record: Record) -> list[Trial]:
        """The trials of a finalist on every fold and seed."""
        candidate = self.space.decode(record.genome)
        first = self.trials.get(record.index) or self._trials(candidate, self.seed)
        further = (self._trials(candidate, self.seed + 1000 * i) for i in range(1, self.config.finalist_seeds))
        return [*first, *(trial for trials in further for trial in trials)]

    def _fitness(self, trials: list[Trial], macs: int) -> float:
        return mean_ratio(trials) * (1.0 + self.config.size_penalty * macs / 1000)

    def _final(self, record: Record, trials: list[Trial], leader: list[Trial]) -> dict[str, Any]:
        behind, error = margin(trials, leader)
        return {
            "index": record.index,
            "fitness": self._fitness(trials, record.macs),
            "ratios": [trial.ratio for trial in trials],
            "margin": behind,
            "standard_error": error,
        }

    def keep(self, checkpoint: Path, key: dict[str, Any], population: list[_Individual]) -> None:
        """Write population and scores, whole or not at all."""
        state = {
            "key": key,
            "generation": self.generation,
            "stopped": self.stopped,
            "cpu_seconds": self.cpu_seconds,
            "records": [asdict(record) for record in self.records],
            "population": [{"genome": list(i), "parents": i.parents, "record": i.record} for i in population],
        }
        part = checkpoint.with_suffix(".part")
        part.write_text(json.dumps(state), encoding="utf-8")
        part.replace(checkpoint)

    def restore(self, checkpoint: Path | None, key: dict[str, Any]) -> list[_Individual]:
        """The population a killed search left, or none where there is no checkpoint of this very search."""
        if checkpoint is None or not checkpoint.is_file():
            return []
        try:
            state = json.loads(checkpoint.read_text(encoding="utf-8"))
        except ValueError:
            return []  # a damaged file costs time, never the result: the search begins anew
        if not isinstance(state, dict) or state.get("key") != json.loads(json.dumps(key)):
            return []
        self.generation, self.stopped, self.spent = state["generation"], state["stopped"], state["cpu_seconds"]
        self.records = [Record.from_dict(fields) for fields in state["records"]]
        self.known = {_identity(self.space.decode(r.genome)): r.index for r in self.records}
        return [self._individual(fields) for fields in state["population"]]

    def _individual(self, fields: dict[str, Any]) -> _Individual:
        individual = _Individual(fields["genome"], tuple(fields["parents"]))
        individual.record = fields["record"]
        individual.fitness.values = (self.records[individual.record].fitness,)
        return individual


def winner(result: SearchResult, config: SearchConfig, dataset: Dataset) -> Candidate:
    """The winning record's features, network and recipe."""
    space = Space(config.space, dataset.program.names, config.updates, dataset.config.steps // 2)
    return space.decode(result.records[result.winner].genome)


def _again(first: list[int], space: Space, rng: random.Random, share: float) -> Callable[[], list[int]]:
    """A draw that gives `first`, then ever further mutations of it."""
    current: list[list[int]] = []

    def draw() -> list[int]:
        current.append(space.mutate(current[-1], rng, share) if current else first)
        return current[-1]

    return draw


def _identity(candidate: Candidate) -> str:
    return json.dumps(candidate.as_dict(), sort_keys=True)
