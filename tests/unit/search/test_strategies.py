"""Which training is asked for next: whom the outstanding ones cannot overtake goes ahead of them."""

from __future__ import annotations

import math
import random
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from forecaster.genome import Space, SpaceConfig
from forecaster.search.breeding import Breeder
from forecaster.search.courses import Courses, Wanted
from forecaster.search.strategies import Generations, Steady
from forecaster.search_config import SearchConfig
from forecaster.tasks import Outcome
from forecaster.trials import Trial
from tests.synthetic import FEW, dataset

if TYPE_CHECKING:
    from forecaster.dataset import Dataset

SPACE = SpaceConfig(units=(4, 6, 8), steps=(32,), burn_in=(4, 8), batch=(4, 8))
CONFIG = SearchConfig(
    population=8, generations=3, updates=40, rungs=(0.25, 0.5), space=SPACE, max_cpu_seconds=1e9, inherit=False
)
HORIZON, FOLDS = 3, 2
UNBOUNDED = 1 << 30


@pytest.fixture(scope="module")
def data() -> Dataset:
    return dataset(features=FEW)


class Told:
    """A search whose updates cost a CPU second each, with outcomes drawn from the seed, many of them alike."""

    def __init__(self, data: Dataset, config: SearchConfig, seed: int, strategy: Any = Generations) -> None:
        space = Space(config.space, data.program.names, config.updates, 32)
        self.courses = Courses(Breeder(space, config, HORIZON), config, seed, FOLDS, 1.0, None)
        self.strategy, self.seed = strategy(self.courses), seed
        self.asked: list[Wanted] = []
        self.ahead = 0
        self.window = config.in_flight if strategy is Steady else UNBOUNDED

    def run(self) -> Told:
        """Until nothing more is wanted; counts who went on while others of the rung were outstanding."""
        waiting = deque[Wanted]()
        while True:
            while len(waiting) < self.window and (wanted := self.strategy.next()) is not None:
                self.ahead += any(
                    wanted.updates != other.updates and wanted.fold == other.fold == 0 for other in waiting
                )
                self.asked.append(wanted)
                waiting.append(wanted)
            if not waiting:
                return self
            self.strategy.take(self._outcome(waiting.popleft()))

    def _outcome(self, wanted: Wanted) -> Outcome:
        key = f"{self.seed}/{wanted.candidate.as_dict()}/{wanted.updates}/{wanted.fold}/{wanted.seed}"
        ratio = random.Random(key).randrange(4) / 4 + 0.5
        trial = Trial(wanted.fold, ratio, ratio, np.full(4, ratio), 1)
        return Outcome(0, trial, np.full(1, wanted.updates, np.float32), float(wanted.updates))

    @property
    def records(self) -> list[object]:
        return [(r.genome, r.parents, r.rung_fitness, r.updates) for r in self.courses.records.values()]

    @property
    def trainings(self) -> set[str]:
        return {f"{each.candidate.as_dict()} {each.fold} {each.updates} {each.seed}" for each in self.asked}


def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Generations, "_go_ahead", lambda _: None)


def test_who_goes_ahead_is_who_would_have_gone_on(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIG.model_copy(update={"size_penalty": 0.0})
    went = [Told(data, config, seed).run() for seed in range(20)]
    waits(monkeypatch)
    waited = [Told(data, config, seed).run() for seed in range(20)]
    assert sum(each.ahead for each in went) > 20
    assert sum(each.ahead for each in waited) == 0
    for one, other in zip(went, waited, strict=True):
        assert sorted(map(str, one.records)) == sorted(map(str, other.records))
        assert one.trainings == other.trainings


def test_of_several_objectives_nobody_goes_ahead(data: Dataset) -> None:
    """A front and its crowding are known when all are."""
    several = Told(data, CONFIG.model_copy(update={"objectives": ("error", "macs")}), seed=1).run()
    assert several.ahead == 0
    assert Told(data, CONFIG, seed=1).run().ahead > 0


def test_a_rung_keeps_its_share(data: Dataset) -> None:
    """Of those that begin, and the usual recipe beside them."""
    courses = Told(data, CONFIG, seed=3).run().courses
    first = [course for course in courses.all.values() if course.generation == 0]
    beyond = [course for course in first if course.rung > 0]
    kept = math.ceil(len(first) * CONFIG.keep)
    assert len(beyond) in {kept, kept + 1}


def test_the_last_rung_is_a_whole_training_on_each_fold_and_begins_anew(data: Dataset) -> None:
    """Its weights alone are kept as a network; before it trainings go on from each other."""
    told = Told(data, CONFIG, seed=3).run()
    for course in told.courses.all.values():
        own = [wanted for wanted in told.asked if wanted.candidate == course.candidate]
        lengths = [(wanted.fold, wanted.updates, wanted.initial is None) for wanted in sorted(own, key=_length)]
        rungs = [(0, 10, True), (0, 10, False), (0, 40, True), (1, 40, True)]
        assert lengths == rungs[: (1, 2, 4)[course.rung]]
        assert course.best_weights.tolist() == ([40.0] if course.rung == 2 else [])
        assert told.courses.records[course.individual.number].best_update == (1, 11, 1)[course.rung]


def _length(wanted: Wanted) -> tuple[int, bool, int]:
    return wanted.updates, wanted.initial is not None, wanted.fold


@pytest.mark.parametrize(
    ("seconds", "finalists"), [(300, 1), (449, 1), (450, 2), (609, 2), (610, 3), (769, 3), (770, 4)]
)
def test_a_small_budget_is_spent_to_the_last_finalist_that_it_has_room_for(
    data: Dataset, seconds: float, finalists: int
) -> None:
    """And is not exceeded, unless the usual recipe alone exceeds it."""
    bounds = {"max_cpu_seconds": float(seconds), "generations": 1}
    courses = Told(data, CONFIG.model_copy(update=bounds), seed=1).run().courses
    whole = sum(courses.is_complete(course) for course in courses.all.values())
    finals = whole * (CONFIG.finalist_seeds - 1) * FOLDS * CONFIG.updates
    assert whole == finalists
    assert courses.budget.cpu_seconds + finals <= seconds


@pytest.mark.parametrize(("seconds", "more"), [(300, 0), (700, 1), (900, 2)])
def test_a_small_budget_is_not_exceeded_without_barriers_either(data: Dataset, seconds: float, more: int) -> None:
    """Nobody goes on, and nobody is bred, for whom the finals leave nothing."""
    config = CONFIG.model_copy(update={"mode": "steady", "max_cpu_seconds": float(seconds)})
    told = Told(data, config, seed=1, strategy=Steady).run()
    whole = sum(told.courses.is_complete(course) for course in told.courses.all.values())
    finalists = min(whole, CONFIG.finalists + 1)
    assert whole > more
    assert told.courses.stopped == f"{seconds} CPU seconds"
    assert told.courses.budget.cpu_seconds + finalists * (CONFIG.finalist_seeds - 1) * FOLDS * CONFIG.updates <= seconds


@pytest.mark.parametrize(("told", "kept"), [([0.5, 0.4, 0.6], 1), ([math.inf, 0.9], 1), ([math.inf], 0)])
def test_the_best_weights_are_kept_and_those_that_diverged_if_there_are_no_others(
    data: Dataset, told: list[float], kept: int
) -> None:
    courses = Told(data, CONFIG, seed=1).courses
    course = courses.begin(courses.breeder.first(random.Random(1)), 0)
    assert course is not None
    for number, rmse in enumerate(told):
        trial = Trial(0, rmse, rmse, np.full(4, rmse), 1)
        course.compare(Outcome(number, trial, np.full(1, number, np.float32), 1.0))
    other = Trial(1, 0.0, 0.0, np.zeros(4), 1)
    course.compare(Outcome(9, other, np.full(1, 9, np.float32), 1.0))
    assert (course.best_rmse, list(course.best_weights)) == (told[kept], [kept])
