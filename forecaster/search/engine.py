"""Genetic search (DEAP) over features, form, size and training of the streaming GRU.

strategy ──wanted──▶ loop ──task──▶ workers        strategies.py: which training comes next
    ▲                 │  ▲             │           breeding.py:   individuals, DEAP's operators
    └───outcome───────┘  └───outcome───┘           journal.py:    what is known after a kill
"""

from __future__ import annotations

import statistics
from collections import deque
from typing import TYPE_CHECKING, Any

from forecaster.errors import ConfigError
from forecaster.genome import Candidate, Space
from forecaster.records import Record, SearchResult, packed
from forecaster.search.breeding import Breeder
from forecaster.search.courses import Courses, Wanted
from forecaster.search.journal import Journal
from forecaster.search.strategies import Generations, Steady, Strategy
from forecaster.tasks import Task
from forecaster.trials import SEED_STEP, Trial, folds, margin, mean_ratio
from forecaster.workers import open_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from forecaster.dataset import Dataset
    from forecaster.search_config import SearchConfig
    from forecaster.tasks import Outcome
    from forecaster.workers import Workers

UNBOUNDED = 1 << 30


def search(  # noqa: PLR0913, PLR0917 - data, settings, seed, and where and how it runs
    dataset: Dataset,
    config: SearchConfig,
    seed: int,
    checkpoint: Path | None = None,
    progress: Callable[[Record, Record], None] | None = None,
    workers: str = "1",
) -> SearchResult:
    """Find a candidate with a low penalised validation error.

    The best few are trained again on other seeds. The recipe known to work, which is part of the first
    generation, stays the winner unless the best one beats it by more than one standard error over blocks of
    validation time (the one-standard-error rule, Breiman et al. 1984): validation alone picks what fits one season.

    Args:
        dataset: its training part is fitted, its validation part judges.
        config: bounds and operators.
        seed: of the search and of every training; the same seed gives the same result
            as long as no bound on CPU seconds is reached, whoever the workers are.
        checkpoint: file that keeps the outcome of every training; a search that was killed goes on from there to
            the same result.
        progress: called with each record that has come to its end and the best so far.
        workers: who trains, see `workers.open_workers`.

    Raises:
        ConfigError: no candidate of the space keeps the limit of parameters.
        OSError: the checkpoint cannot be written.
    """
    judges = folds(dataset, config.folds)
    space = Space(config.space, dataset.program.names, config.updates, dataset.config.steps // 2)
    breeder = Breeder(space, config, dataset.program.horizon)
    courses = Courses(breeder, config, seed, len(judges), dataset.program.target_scale, progress)
    key = {"dataset": dataset.digest, "config": config.model_dump(mode="json"), "seed": seed}
    with Journal(checkpoint, key) as journal, open_workers(workers, judges) as staff:
        loop = _Loop(staff, journal)
        if config.mode == "steady":
            loop.run(Steady(courses), config.in_flight)
        else:
            loop.run(Generations(courses), UNBOUNDED)
        result = _finish(courses, loop)
        journal.remove()
    return result


def chosen(
    result: SearchResult, config: SearchConfig, dataset: Dataset, index: int | None = None
) -> tuple[Candidate, int]:
    """Features, network and recipe of a record, the winner if none is named, and the updates of its final training.

    Those are the best ones of the finals. What was not in the finals is trained to the end of the schedule.

    Raises:
        ConfigError: the search has no candidate of that number.
    """
    index = result.winner if index is None else index
    if not 0 <= index < len(result.records):
        msg = f"candidate {index!r} is not one of the search's, which are 0 to {len(result.records) - 1}"
        raise ConfigError(msg)
    space = Space(config.space, dataset.program.names, config.updates, dataset.config.steps // 2)
    best = {final["index"]: final["best_update"] for final in result.finals}
    return space.decode(result.records[index].genome), best.get(index, config.updates)


class _Loop:
    """Between a strategy, the workers and the journal."""

    def __init__(self, workers: Workers, journal: Journal) -> None:
        self.workers, self._journal = workers, journal
        self._tasks: dict[int, Task] = {}
        self._done: dict[int, Outcome] = {}
        self._count = 0

    def run(self, strategy: Strategy, window: int) -> None:
        """Ask and tell in turns until nothing more is wanted.

        Args:
            strategy: is told of each outcome in the order in which it asked, so that what it asks for next does not
                depend on who was ready first.
            window: trainings that are asked for at most before the oldest of them is told.
        """
        asked = deque[int]()
        while True:
            while len(asked) < window and (wanted := strategy.next()) is not None:
                asked.append(self._begin(wanted))
            if not asked:
                return
            strategy.take(self._outcome(asked.popleft()))

    def _begin(self, wanted: Wanted) -> int:
        task = Task(self._count, **vars(wanted))
        self._count += 1
        known = self._journal.known(task)
        if known is not None:
            self._done[task.number] = known
        else:
            self._tasks[task.number] = task
            self.workers.submit(task)
        return task.number

    def _outcome(self, number: int) -> Outcome:
        while number not in self._done:
            outcome = self.workers.next()
            self._journal.write(self._tasks.pop(outcome.number), outcome)
            self._done[outcome.number] = outcome
        return self._done.pop(number)


class _Finals:
    """Trainings of a few candidates on every fold and further seeds.

    Attributes:
        known: by index, the trials of a finalist that has been through all rungs.
        further: those of the finals, from drawn weights.
    """

    def __init__(self, courses: Courses, finalists: Sequence[Record]) -> None:
        config, wanted = courses.config, list[tuple[int, Wanted]]()
        self.known: dict[int, list[Trial]] = {}
        self.further: dict[int, list[Trial]] = {record.index: [] for record in finalists}
        for record in finalists:
            course = courses.all[record.index]
            self.known[record.index] = list(course.trials.values()) if courses.is_complete(course) else []
            first = 1 if self.known[record.index] else 0
            for number in range(first, config.finalist_seeds):
                seed = courses.seed + SEED_STEP * number
                each = [Wanted(course.candidate, fold, config.updates, seed) for fold in range(courses.folds)]
                wanted += [(record.index, one) for one in each]
        self._courses = courses
        wanted.sort(key=lambda each: each[1].cost(courses.breeder.horizon), reverse=True)
        self._wanted, self._asked = deque(wanted), deque[int]()

    def next(self) -> Wanted | None:
        if not self._wanted:
            return None
        index, wanted = self._wanted.popleft()
        self._asked.append(index)
        return wanted

    def take(self, outcome: Outcome) -> None:
        index = self._asked.popleft()
        self.further[index].append(outcome.trial)
        self._courses.all[index].compare(outcome)
        self._courses.budget.cpu_seconds += outcome.cpu_seconds

    def judged_by(self, index: int) -> list[Trial]:
        """What speaks for a finalist: whole trainings from drawn weights."""
        return [*self.known[index], *self.further[index]]

    def best_update(self, index: int) -> int:
        """Median of those on the validation part."""
        return statistics.median_low(trial.best_update for trial in self.judged_by(index) if trial.fold == 0)


def _finish(courses: Courses, loop: _Loop) -> SearchResult:
    """Judge the finalists on several seeds and choose the winner."""
    config = courses.config
    if not courses.records:
        limit = config.space.max_parameters
        msg = f"no candidate has at most {limit!r} parameters, raise max_parameters or lower units"
        raise ConfigError(msg)
    best = sorted(courses.complete, key=lambda r: r.fitness)[: config.finalists]
    usual = best[0] if courses.usual is None else courses.records[courses.usual]
    finalists = best if usual in best else [*best, usual]
    finals = _Finals(courses, finalists)
    loop.run(finals, UNBOUNDED)
    rows = _rows(finals, finalists, config)
    leader = min(rows, key=lambda row: row["fitness"])
    beaten = next(row for row in rows if row["index"] == usual.index)
    picked = usual.index if beaten["margin"] <= beaten["standard_error"] else leader["index"]
    return SearchResult(
        records=tuple(courses.records[index] for index in sorted(courses.records)),
        winner=picked,
        finals=tuple(rows),
        stopped=courses.stopped or f"{config.generations} generations",
        cpu_seconds=courses.budget.cpu_seconds,
        weights=packed(courses.all[picked].best_weights),
        peak_bytes=loop.workers.peak_bytes,
    )


def _rows(finals: _Finals, finalists: Sequence[Record], config: SearchConfig) -> list[dict[str, Any]]:
    """Of each finalist what `SearchResult.finals` says."""
    trials = {record.index: finals.judged_by(record.index) for record in finalists}
    fitness = {r.index: config.penalised(mean_ratio(trials[r.index]), r.macs) for r in finalists}
    leader = min(fitness, key=lambda index: fitness[index])
    rows = []
    for index, own in trials.items():
        behind, error = margin(own, trials[leader])
        row = {"index": index, "fitness": fitness[index], "ratios": [trial.ratio for trial in own]}
        rows.append({**row, "margin": behind, "standard_error": error, "best_update": finals.best_update(index)})
    return rows
