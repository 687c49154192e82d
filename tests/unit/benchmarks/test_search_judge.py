"""What the rivals of the search share: trainer, folds, budget, trace, finals."""

from __future__ import annotations

import dataclasses
import math
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from benchmarks import search_judge
from benchmarks.search_judge import REFUSED, Entry, Judge, Meter, point
from forecaster.genome import Candidate, SpaceConfig
from forecaster.search_config import SearchConfig
from forecaster.tasks import Task, run_task
from forecaster.trials import Trial, mean_ratio
from tests.synthetic import dataset

SPACE = SpaceConfig(units=(4, 6, 8), steps=(32,), burn_in=(4, 8), batch=(4, 8))
CONFIG = SearchConfig(updates=40, finalists=2, finalist_seeds=2, max_cpu_seconds=1e6, space=SPACE)
LOOKS = [20, 40]  # updates at which the trainer looks at the validation part


@pytest.fixture(scope="module")
def data():
    return dataset()


@pytest.fixture
def judge(data) -> Judge:
    return Judge(data, CONFIG, 1, Meter())


def usual(judge: Judge, **genes: object) -> Candidate:
    return dataclasses.replace(judge.space.decode(judge.space.usual()), **genes)


def trial(fold: int, ratio: float, best_update: int = 40) -> Trial:
    return Trial(fold, ratio / 10, ratio, np.full(4, ratio**2), best_update)


def whole(candidate: Candidate, ratio: float, best_update: int = 40) -> Entry:
    return Entry(candidate, {0: trial(0, ratio, best_update), 1: trial(1, ratio)}, 40)


def retrained(monkeypatch, ratios: dict[Candidate, float]) -> list[Task]:
    """Trainings take no time and give each candidate its ratio on every fold and seed."""
    asked: list[Task] = []

    def stand_in(_: object, task: Task) -> object:
        asked.append(task)
        outcome = trial(task.fold, ratios[task.candidate], task.updates - task.seed % 7)
        return type("Outcome", (), {"trial": outcome, "weights": None, "cpu_seconds": 0.0})

    monkeypatch.setattr(search_judge, "run_task", stand_in)
    return asked


def test_the_meter_counts_work_and_not_waiting() -> None:
    meter = Meter()
    subprocess.run(["sleep", "1"], check=True)
    waited, began = meter.seconds, time.process_time()
    sum(i * i for i in range(1_000_000))
    worked = time.process_time() - began
    assert waited < 0.8  # of the second, what starting a program takes
    assert meter.seconds - waited >= 0.9 * worked


def test_the_meter_counts_children_that_have_ended() -> None:
    meter = Meter()
    work = "import time; sum(i * i for i in range(3_000_000)); print(time.process_time())"
    done = subprocess.run([sys.executable, "-c", work], check=True, capture_output=True, text=True)
    assert meter.seconds >= 0.9 * float(done.stdout)


def test_a_candidate_is_judged_as_the_search_judges_it(judge: Judge) -> None:
    candidate = usual(judge)
    trials = [run_task(judge.folds, Task(0, candidate, fold, 40, 1)).trial for fold in (0, 1)]
    macs = candidate.architecture(judge.horizon).macs_per_forecast
    assert judge.judge(candidate) == mean_ratio(trials) * (1 + CONFIG.size_penalty * macs / 1000)
    assert judge.trained == 80


def test_a_known_candidate_is_not_trained_again(judge: Judge) -> None:
    first = judge.judge(usual(judge))
    assert judge.judge(usual(judge)) == first
    assert (judge.trained, len(judge.trace)) == (80, 1)


def test_what_is_too_large_is_refused_without_a_training(data) -> None:
    small = CONFIG.model_copy(update={"space": SPACE.model_copy(update={"max_parameters": 10})})
    judge = Judge(data, small, 1, Meter())
    assert judge.judge(usual(judge)) == REFUSED
    assert judge.advance(usual(judge), 0, 10) == REFUSED
    assert (judge.trained, judge.trace, judge.entries) == (0, [], {})


def test_the_trace_says_when_and_how_well_in_celsius(judge: Judge) -> None:
    fitness = judge.judge(usual(judge))
    (told,) = judge.trace
    entry = judge.entries[usual(judge)]
    assert told["validation_rmse"] == entry.trials[0].rmse * judge.scale
    assert (told["fitness"], told["updates"]) == (fitness, 40)
    assert 0 < told["cpu_seconds"] <= judge.meter.seconds


def test_an_error_that_is_not_finite_is_none_in_a_trace() -> None:
    assert point(1.0, math.inf, REFUSED, 40)["validation_rmse"] is None
    assert point(1.0, 0.3, None, 40) == {"cpu_seconds": 1.0, "validation_rmse": 0.3, "fitness": None, "updates": 40}


def test_a_diverged_training_is_as_bad_as_a_refused_one(judge: Judge) -> None:
    assert judge.fitness(whole(usual(judge), math.inf)) == REFUSED


def test_a_rung_goes_on_from_the_weights_of_the_one_before(judge: Judge) -> None:
    candidate = usual(judge)
    judge.advance(candidate, 0, 10)
    first = judge.entries[candidate]
    assert set(first.trials) == {0}
    assert first.weights is not None
    judge.advance(candidate, 10, 20)
    expected = run_task(judge.folds, Task(0, candidate, 0, 10, 2, first.weights))
    assert judge.entries[candidate].trials[0].rmse == expected.trial.rmse
    anew = run_task(judge.folds, Task(0, candidate, 0, 10, 2))
    assert anew.trial.rmse != expected.trial.rmse


def test_only_the_last_rung_is_judged_on_all_folds(judge: Judge) -> None:
    candidate = usual(judge)
    for before, until in ((0, 10), (10, 20), (20, 40)):
        judge.advance(candidate, before, until)
    assert [t["updates"] for t in judge.trace] == [10, 20, 40]
    assert [t["fitness"] is None for t in judge.trace] == [True, True, False]
    assert judge.trained == 10 + 10 + 20 + 40
    entry = judge.entries[candidate]
    assert set(entry.trials) == {0, 1}
    assert entry.best_update == 20 + entry.trials[0].best_update


def test_a_watched_training_ends_as_an_unwatched_one(judge: Judge, data) -> None:
    seen: list[tuple[int, float]] = []
    watched = judge.judge(usual(judge), lambda update, error: seen.append((update, error)))
    other = Judge(data, CONFIG, 1, Meter())
    assert watched == other.judge(usual(judge))
    assert [update for update, _ in seen] == LOOKS
    assert seen[-1][1] == judge.entries[usual(judge)].trials[0].ratio
    assert judge.trained == other.trained
    ours, theirs = (each.entries[usual(judge)].trials[0].blocks for each in (judge, other))
    np.testing.assert_array_equal(ours, theirs)


def test_a_training_that_was_given_up_stays_unknown_but_counts(judge: Judge) -> None:
    class GivenUpError(Exception):
        pass

    def watch(update: int, error: float) -> None:
        raise GivenUpError

    with pytest.raises(GivenUpError):
        judge.judge(usual(judge), watch)
    assert judge.entries == {}
    assert judge.trained == 20
    (told,) = judge.trace
    assert (told["updates"], told["fitness"]) == (20, None)
    assert 0 < told["validation_rmse"] < 10


def test_the_errors_that_a_watcher_sees_only_fall(judge: Judge) -> None:
    seen: list[float] = []
    recipe = dataclasses.replace(usual(judge).recipe, learning_rate=5.0, check_every=1)
    judge.judge(usual(judge, recipe=recipe), lambda _, error: seen.append(error))
    assert len(seen) > 5
    assert all(later <= earlier for earlier, later in pairwise(seen))


def ends_at(judge: Judge, seconds: float) -> bool:
    """Whether the budget is spent exactly from this many CPU seconds on."""
    spent = []
    for budget in (seconds * 1.001, seconds * 0.999):
        judge.config = judge.config.model_copy(update={"max_cpu_seconds": budget})
        spent.append(judge.exhausted)
    return spent == [False, True]


def test_the_budget_holds_back_what_the_finals_will_take(judge: Judge) -> None:
    assert not judge.exhausted
    judge.meter, judge.trained = type("Meter", (), {"seconds": 10.0})(), 1000  # 0.01 s an update
    known, better, worse = (usual(judge, units=units) for units in (8, 6, 4))
    judge.entries = {known: whole(known, 0.8), better: whole(better, 0.5), worse: whole(worse, 0.9)}
    for candidate, cost in ((known, 0.02), (better, 0.03), (worse, 9.0)):
        judge.entries[candidate].cost = cost
    assert ends_at(judge, 10 + 2 * 40 * (0.02 + 0.03))
    judge.config = CONFIG.model_copy(update={"finalist_seeds": 3})
    assert ends_at(judge, 10 + 2 * 2 * 40 * (0.02 + 0.03))


def test_it_holds_back_the_first_seed_of_those_that_have_not_had_it(judge: Judge) -> None:
    judge.meter, judge.trained = type("Meter", (), {"seconds": 10.0})(), 1000
    early = usual(judge, units=4)
    judge.entries = {early: Entry(early, {0: trial(0, 0.5)}, 10, cost=0.02)}
    assert ends_at(judge, 10 + 2 * 2 * 40 * (0.02 + 0.01))  # the usual recipe, not known yet, at the mean


def test_the_cost_of_an_update_is_measured(judge: Judge) -> None:
    genes: tuple[dict[str, Any], ...] = (
        {"form": "gru_gru", "units": 4},
        {"units": 4},
        {"form": "gru_gru", "units": 24},
    )
    for each in genes:  # the first loads the kernels
        judge.judge(usual(judge, **each))
    _, small, large = (entry.cost for entry in judge.entries.values())
    assert 0 < 2 * small < large
    assert 80 * (small + large) <= judge.meter.seconds


def test_one_candidate_is_trained_however_small_the_budget(judge: Judge) -> None:
    judge.config = CONFIG.model_copy(update={"max_cpu_seconds": 1e-9})
    assert not judge.exhausted
    judge.judge(usual(judge))
    assert judge.exhausted


def test_the_finals_train_the_best_few_on_a_further_seed(judge: Judge, monkeypatch) -> None:
    known, better, worse = (usual(judge, units=units) for units in (8, 6, 4))
    judge.entries = {known: whole(known, 0.8), worse: whole(worse, 0.9), better: whole(better, 0.5)}
    asked = retrained(monkeypatch, {known: 0.8, better: 0.5, worse: 0.9})
    pick = judge.finish()
    assert [(task.candidate, task.fold, task.seed) for task in asked] == [
        (better, 0, 1001), (better, 1, 1001), (known, 0, 1001), (known, 1, 1001),
    ]  # fmt: skip
    assert pick.candidate == better


def test_the_usual_recipe_wins_unless_it_is_clearly_beaten(judge: Judge, monkeypatch) -> None:
    known = usual(judge)
    rival = usual(judge, units=4)
    judge.entries = {rival: whole(rival, 0.79)}
    judge.entries[rival].trials[0].blocks[:] = (0.1, 1.1, 0.2, 1.0)  # better in some blocks, worse in others
    retrained(monkeypatch, {known: 0.8, rival: 0.79})
    assert judge.finish().candidate == known


def test_a_usual_recipe_that_is_too_large_does_not_win(judge: Judge, monkeypatch) -> None:
    rival = usual(judge, units=4)
    judge.entries = {rival: whole(rival, 0.9)}
    monkeypatch.setattr(judge, "fits", lambda candidate: candidate == rival)
    retrained(monkeypatch, {rival: 0.9})
    assert judge.finish().candidate == rival


LATER = [40 - (1 + 1000 * number) % 7 for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("before", "seeds", "counted"),
    [(0, 1, [12]), (0, 2, [12, *LATER[:1]]), (0, 4, [12, *LATER]), (20, 1, [32]), (20, 2, LATER[:1]), (20, 4, LATER)],
)
def test_the_final_training_lasts_the_median_of_the_whole_trainings_best_updates(
    judge: Judge, monkeypatch, before: int, seeds: int, counted: list[int]
) -> None:
    """What came through rungs was trained in pieces, and counts only if there is no other."""
    known = usual(judge)
    judge.entries = {known: dataclasses.replace(whole(known, 0.8, best_update=12), before=before)}
    judge.config = CONFIG.model_copy(update={"finalist_seeds": seeds})
    retrained(monkeypatch, {known: 0.8})
    assert judge.finish().best_update == statistics.median_low(counted)


def test_networks_of_an_early_rung_are_finalists_only_if_no_other_is_left(judge: Judge, monkeypatch) -> None:
    early, late = usual(judge, units=4), usual(judge, units=6)
    known = usual(judge)
    judge.entries = {early: Entry(early, {0: trial(0, 0.1)}, 10), late: whole(late, 0.7), known: whole(known, 0.8)}
    asked = retrained(monkeypatch, {early: 0.1, late: 0.7, known: 0.8})
    assert judge.finish().candidate == late
    assert early not in {task.candidate for task in asked}
    judge.entries = {early: Entry(early, {0: trial(0, 0.1)}, 10)}
    asked.clear()
    assert judge.finish().candidate == early
    mine = [(task.fold, task.seed, task.updates) for task in asked if task.candidate == early]
    assert mine == [(0, 1, 40), (1, 1, 40), (0, 1001, 40), (1, 1001, 40)]


def test_a_pick_is_as_good_as_all_its_trainings(judge: Judge, monkeypatch) -> None:
    known = usual(judge)
    judge.entries = {known: whole(known, 0.6)}
    retrained(monkeypatch, {known: 0.8})
    macs = known.architecture(judge.horizon).macs_per_forecast
    assert judge.finish().fitness == pytest.approx(0.7 * (1 + CONFIG.size_penalty * macs / 1000))
