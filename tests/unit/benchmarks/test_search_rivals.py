"""The rivals of the search: each proposes within the space, ends with its budget, and repeats from its seed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks import search_rivals
from benchmarks.search_judge import REFUSED, Judge, Meter
from benchmarks.search_rivals import RIVALS
from forecaster.genome import ORDERED, Candidate, SpaceConfig
from forecaster.search_config import SearchConfig
from tests.synthetic import dataset

SPACE = SpaceConfig(units=(4, 6, 8), steps=(32,), burn_in=(4, 8), batch=(4, 8))
CONFIG = SearchConfig(population=4, updates=40, finalists=2, finalist_seeds=2, space=SPACE)
# Keras Tuner's protocol buffers and threading names, and NumPy's, are older than Python 3.11 likes.
LIBRARIES = "ignore::DeprecationWarning"


@pytest.fixture(scope="module")
def data():
    return dataset()


class Counted(Judge):
    """A judge whose budget is a number of trainings, and which trains only where told to."""

    def __init__(self, data: Any, seed: int, trainings: int, *, trains: bool = False) -> None:
        super().__init__(data, CONFIG, seed, Meter())
        self.trainings, self.trains = trainings, trains
        self.asked: list[tuple[Candidate, int, int]] = []
        self.errors = random.Random(0)

    @property
    def exhausted(self) -> bool:
        return len(self.asked) >= self.trainings

    def judge(self, candidate: Candidate, watch: Any = None) -> float:
        self.asked.append((candidate, 0, CONFIG.updates))
        if self.trains:
            return super().judge(candidate, watch)
        if watch is not None:
            for update in (20, 40):
                watch(update, self.error(candidate))
        self.entries[candidate] = None  # type: ignore[assignment]
        return self.error(candidate)

    def advance(self, candidate: Candidate, before: int, until: int) -> float:
        self.asked.append((candidate, before, until))
        return super().advance(candidate, before, until) if self.trains else self.error(candidate)

    def error(self, candidate: Candidate) -> float:
        """Less with fewer units and features; every candidate has its own."""
        return candidate.units / 10 + len(candidate.features) / 100 + candidate.recipe.dropout / 1000


def proposals(method: str, data: Any, seed: int = 1, trainings: int = 24) -> list[tuple[Candidate, int, int]]:
    judge = Counted(data, seed, trainings)
    RIVALS[method](judge)
    return judge.asked


@pytest.mark.filterwarnings(LIBRARIES)
@pytest.mark.parametrize("method", list(RIVALS))
def test_a_rival_ends_with_its_budget_and_stays_in_the_space(method: str, data) -> None:
    asked = proposals(method, data)
    assert len(asked) == 24
    assert all(candidate.units in SPACE.units and candidate.form in SPACE.form for candidate, *_ in asked)
    assert len({candidate for candidate, *_ in asked}) > 5


@pytest.mark.filterwarnings(LIBRARIES)
@pytest.mark.parametrize("method", list(RIVALS))
def test_a_rival_proposes_the_same_from_the_same_seed_alone(method: str, data) -> None:
    first = proposals(method, data, trainings=12)
    assert proposals(method, data, trainings=12) == first
    assert proposals(method, data, seed=2, trainings=12) != first


@pytest.mark.filterwarnings(LIBRARIES)
@pytest.mark.parametrize("method", list(RIVALS))
def test_a_rival_trains_for_real_and_leaves_a_pick(method: str, data) -> None:
    judge = Counted(data, 1, 3, trains=True)
    RIVALS[method](judge)
    assert judge.trace
    assert judge.entries
    pick = judge.finish()
    assert 0 < pick.fitness < REFUSED
    assert 0 < pick.best_update <= CONFIG.updates


@pytest.mark.parametrize("method", ["random", "tpe", "nsga2"])
def test_who_can_be_told_begins_with_the_usual_recipe(method: str, data) -> None:
    (first, *_), *_ = proposals(method, data, trainings=2)
    space = Judge(data, CONFIG, 1, Meter()).space
    assert first == space.decode(space.usual())


def test_random_search_draws_nothing_twice_and_nothing_too_large(data) -> None:
    judge = Counted(data, 1, 40)
    limit = 600
    judge.fits = lambda candidate: candidate.architecture(3).parameters < limit  # type: ignore[method-assign]
    RIVALS["random"](judge)
    drawn = [candidate for candidate, *_ in judge.asked[1:]]
    assert len(set(drawn)) == len(drawn) == 39
    assert max(candidate.architecture(3).parameters for candidate in drawn) < limit


def test_random_search_gives_up_where_nothing_is_new(data, monkeypatch) -> None:
    monkeypatch.setattr(search_rivals, "PROPOSALS", 7)
    judge = Counted(data, 1, 1000)
    judge.fits = lambda candidate: False  # type: ignore[method-assign]
    RIVALS["random"](judge)
    assert len(judge.asked) == 1


@pytest.mark.parametrize("method", ["tpe", "nsga2"])
def test_a_sampler_learns(method: str, data) -> None:
    asked = proposals(method, data, trainings=60)
    errors = [candidate.units for candidate, *_ in asked]
    assert sum(errors[-20:]) < sum(errors[1:21])


def test_only_tpe_prunes(data) -> None:
    watched: dict[str, list[bool]] = {}

    class Seen(Counted):
        def judge(self, candidate: Candidate, watch: Any = None) -> float:
            watched.setdefault(self.method, []).append(watch is not None)
            return super().judge(candidate, watch)

    for method in ("random", "tpe", "nsga2"):
        judge = Seen(data, 1, 4)
        judge.method = method  # type: ignore[attr-defined]
        RIVALS[method](judge)
    assert {method: set(seen) for method, seen in watched.items()} == {
        "random": {False}, "tpe": {True}, "nsga2": {False},
    }  # fmt: skip


class Trial:
    """What of an Optuna trial the watcher uses."""

    def __init__(self, prunes_at: int) -> None:
        self.prunes_at, self.reports = prunes_at, list[tuple[float, int]]()

    def report(self, value: float, step: int) -> None:
        self.reports.append((value, step))

    def should_prune(self) -> bool:
        return self.reports[-1][1] >= self.prunes_at


def test_errors_are_reported_at_the_first_look_after_each_rung() -> None:
    trial = Trial(prunes_at=1000)
    watch = search_rivals._pruning(trial, (75, 150, 300))  # type: ignore[arg-type]  # noqa: SLF001
    for update in range(20, 301, 20):
        watch(update, 1 / update)
    assert trial.reports == [(1 / 80, 75), (1 / 160, 150), (1 / 300, 300)]


def test_what_the_pruner_gives_up_ends_at_once() -> None:
    import optuna

    trial = Trial(prunes_at=150)
    watch = search_rivals._pruning(trial, (75, 150, 300))  # type: ignore[arg-type]  # noqa: SLF001
    watch(80, 0.9)
    with pytest.raises(optuna.TrialPruned):
        watch(160, 0.9)


def test_pruned_trials_do_not_end_the_study(data) -> None:
    judge = Counted(data, 1, 30, trains=True)
    judge.error = lambda candidate: candidate.units / 10  # type: ignore[method-assign]
    RIVALS["tpe"](judge)
    early = [told for told in judge.trace if told["updates"] < CONFIG.updates]
    assert early
    assert len(judge.trace) > len(early)
    assert all(told["fitness"] is None for told in early)


def test_places_of_ordered_genes_are_suggested_in_their_order(data) -> None:
    space = Judge(data, CONFIG, 1, Meter()).space
    asked: dict[str, Any] = {}

    class Suggests:
        def suggest_int(self, name: str, low: int, high: int) -> int:
            asked[name] = (low, high)
            return high

        def suggest_categorical(self, name: str, choices: list[int]) -> int:
            asked[name] = choices
            return choices[-1]

    genome = search_rivals._suggested(Suggests(), space)  # type: ignore[arg-type]  # noqa: SLF001
    assert genome == [len(options) - 1 for options in space.choices.values()]
    assert list(asked) == list(space.choices)
    assert asked["units"] == (0, 2)
    assert asked["form"] == [0, 1, 2, 3]
    assert {name for name, given in asked.items() if isinstance(given, tuple)} == set(ORDERED)


@pytest.mark.filterwarnings(LIBRARIES)
def test_hyperband_halves_and_goes_on_where_it_was(data) -> None:
    asked = proposals("hyperband", data, trainings=7)
    # The first bracket: four at a quarter, the better two to a half, the better one to the end.
    assert [(before, until) for _, before, until in asked] == [(0, 10)] * 4 + [(10, 20)] * 2 + [(20, 40)]
    judge = Counted(data, 1, 0)
    first = sorted((candidate for candidate, *_ in asked[:4]), key=judge.error)
    assert {candidate for candidate, *_ in asked[4:6]} == set(first[:2])
    assert asked[6][0] == first[0]
