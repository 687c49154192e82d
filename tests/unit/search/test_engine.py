"""The genetic search: bounds, determinism, resume, finalists."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from forecaster.errors import ConfigError
from forecaster.genome import SpaceConfig
from forecaster.records import Record, SearchResult, unpacked
from forecaster.search import chosen, engine, search
from forecaster.search.journal import Journal
from forecaster.search_config import SearchConfig
from tests.synthetic import dataset

if TYPE_CHECKING:
    from forecaster.search.courses import Wanted
    from forecaster.tasks import Outcome, Task

SPACE = SpaceConfig(units=(4, 6, 8), steps=(32,), burn_in=(4, 8), batch=(4, 8))
QUICK = SearchConfig(
    population=4, generations=3, max_evaluations=9, updates=10, finalists=2, finalist_seeds=2, space=SPACE
)


@pytest.fixture(scope="module")
def data():
    return dataset()


@pytest.fixture(scope="module")
def result(data) -> SearchResult:
    return search(data, QUICK, seed=1)


def outcome(found: SearchResult) -> list[object]:
    """What must repeat: everything but the clock."""
    return [(r.genome, r.parents, r.generation, r.validation_rmse, r.fitness) for r in found.records] + [
        found.winner,
        found.weights,
    ]


def test_the_same_seed_gives_the_same_result(data, result: SearchResult) -> None:
    assert outcome(search(data, QUICK, seed=1)) == outcome(result)


def test_another_seed_searches_elsewhere(data, result: SearchResult) -> None:
    assert outcome(search(data, QUICK, seed=2)) != outcome(result)


def test_no_candidate_is_trained_twice(result: SearchResult) -> None:
    trained = [json.dumps(r.candidate, sort_keys=True) for r in result.records]
    assert len(set(trained)) == len(trained)


def test_generations_and_parents_are_kept(result: SearchResult) -> None:
    first = [r for r in result.records if r.generation == 0]
    later = [r for r in result.records if r.generation > 0]
    assert len(first) == QUICK.population
    assert all(r.parents == () for r in first)
    assert later
    assert all(0 < len(r.parents) <= 2 and max(r.parents) < r.index for r in later)


def test_the_bound_on_evaluations_holds(data) -> None:
    found = search(data, QUICK.model_copy(update={"max_evaluations": 5}), seed=1)
    assert len(found.records) == 5
    assert found.stopped == "5 evaluations"


def test_the_bound_on_cpu_seconds_holds_after_one_evaluation(data) -> None:
    found = search(data, QUICK.model_copy(update={"max_cpu_seconds": 1e-9}), seed=1)
    assert len(found.records) == 1
    assert found.stopped == "1e-09 CPU seconds"


def test_without_a_bound_it_ends_after_its_generations(data) -> None:
    found = search(data, QUICK.model_copy(update={"generations": 1}), seed=1)
    assert found.stopped == "1 generations"
    assert {r.generation for r in found.records} == {0}


def test_larger_networks_pay_a_penalty(data) -> None:
    heavy = search(data, QUICK.model_copy(update={"size_penalty": 0.5, "generations": 1}), seed=1)
    for paid in heavy.records:
        mean = sum(paid.fold_ratios) / len(paid.fold_ratios)
        assert paid.fitness == pytest.approx(mean * (1 + 0.5 * paid.macs / 1000))


def test_candidates_over_the_limit_are_not_trained(data) -> None:
    limit = 260
    small = QUICK.model_copy(update={"space": SPACE.model_copy(update={"max_parameters": limit})})
    assert all(r.parameters <= limit for r in search(data, small, seed=1).records)


def test_a_limit_nothing_keeps_is_an_error(data) -> None:
    none = QUICK.model_copy(update={"space": SPACE.model_copy(update={"max_parameters": 3})})
    with pytest.raises(ConfigError, match="no candidate has at most 3 parameters, raise max_parameters"):
        search(data, none, seed=1)


def test_progress_sees_each_record_with_the_best_so_far(data) -> None:
    seen: list[tuple[Record, Record]] = []
    found = search(data, QUICK, seed=1, progress=lambda record, best: seen.append((record, best)))
    assert sorted(record.index for record, _ in seen) == list(range(len(found.records)))
    fitness = [best.fitness for _, best in seen]
    assert fitness == sorted(fitness, reverse=True)


def alike(**changes: object) -> SearchConfig:
    """Settings with which every child has the form and units of its parents."""
    return QUICK.model_copy(update={"space": SPACE.model_copy(update={"form": ("gru",), "units": (6,)}), **changes})


def first_trainings(data, monkeypatch: pytest.MonkeyPatch, *, inherit: bool) -> list[Task]:
    """Of each candidate the training it begins with, where all have the form and units of their parents."""
    config = alike(inherit=inherit)
    tasks: list[Task] = []
    monkeypatch.setattr(Journal, "write", lambda _, task, __: tasks.append(task))
    search(data, config, seed=1)
    return [task for task in tasks if (task.fold, task.updates) == (0, config.rung_updates[0])]


def test_a_child_goes_on_from_its_parents_weights(data, monkeypatch: pytest.MonkeyPatch) -> None:
    born, children = QUICK.population, (QUICK.generations - 1) * (QUICK.population - QUICK.elite)
    begun = [task.initial is not None for task in first_trainings(data, monkeypatch, inherit=True)]
    assert begun == [False] * born + [True] * children


def test_a_record_says_whose_weights_it_began_with(data) -> None:
    records = search(data, alike(), seed=1).records
    assert all(record.inherited == (record.parents[0] if record.parents else None) for record in records)
    assert any(record.inherited is not None for record in records)


def test_where_every_training_is_a_whole_one_nothing_is_inherited(data) -> None:
    records = search(data, alike(rungs=()), seed=1).records
    assert any(record.parents for record in records)
    assert all(record.inherited is None for record in records)


def test_the_longest_of_the_trainings_asked_for_together_begins_first(data, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of a rung, and of the finals, fewer workers wait for one."""
    begin, outcome_of = engine._Loop._begin, engine._Loop._outcome  # noqa: SLF001 - the order is nobody else's business
    rounds = list[list[int]]([[]])

    def noted(loop: engine._Loop, wanted: Wanted) -> int:
        rounds[-1].append(wanted.cost(data.program.horizon))
        return begin(loop, wanted)

    def told(loop: engine._Loop, number: int) -> Outcome:
        rounds.append([])
        return outcome_of(loop, number)

    monkeypatch.setattr(engine._Loop, "_begin", noted)  # noqa: SLF001
    monkeypatch.setattr(engine._Loop, "_outcome", told)  # noqa: SLF001
    search(data, QUICK, seed=1)
    together = [costs for costs in rounds if len(set(costs)) > 1]
    assert len(together) > QUICK.generations
    assert all(costs == sorted(costs, reverse=True) for costs in rounds)


def test_a_child_begins_anew_where_nothing_is_inherited(data, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = first_trainings(data, monkeypatch, inherit=False)
    assert len(tasks) > QUICK.population
    assert all(task.initial is None for task in tasks)


class _KilledError(Exception):
    """Stands for the end of the process at a given training."""


def kill_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Have the process end when so many trainings are in the journal."""
    write, written = Journal.write, list[int]()

    def killing(journal: Journal, task: Task, outcome: Outcome) -> None:
        write(journal, task, outcome)
        written.append(task.number)
        if len(written) == count:
            raise _KilledError

    monkeypatch.setattr(Journal, "write", killing)


@pytest.mark.parametrize("mode", ["generations", "steady"])
@pytest.mark.parametrize("after", [1, 6, 11, 17])
def test_a_killed_search_resumes_to_the_same_result(
    data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, mode: str
) -> None:
    config, checkpoint = QUICK.model_copy(update={"mode": mode}), tmp_path / "search.jsonl"
    whole = search(data, config, 1)
    with monkeypatch.context() as patch:
        kill_after(patch, after)
        with pytest.raises(_KilledError):
            search(data, config, 1, checkpoint)
    again = list[int]()
    write = Journal.write
    monkeypatch.setattr(Journal, "write", lambda j, task, outcome: (again.append(task.number), write(j, task, outcome)))
    found = search(data, config, 1, checkpoint)
    assert (outcome(found), found.finals) == (outcome(whole), whole.finals)
    assert again[0] == after
    assert not checkpoint.exists()


def test_a_checkpoint_of_another_search_is_not_used(
    data, result: SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "search.jsonl"
    with monkeypatch.context() as patch:
        kill_after(patch, 6)
        with pytest.raises(_KilledError):
            search(data, QUICK, 2, checkpoint)
    assert outcome(search(data, QUICK, 1, checkpoint)) == outcome(result)


def test_at_each_rung_the_worse_part_is_given_up_and_the_usual_recipe_is_not(result: SearchResult) -> None:
    first = [record for record in result.records if record.generation == 0]
    by_rung = [sum(record.updates == updates for record in first) for updates in QUICK.rung_updates]
    assert QUICK.rung_updates == (2, 5, 10)
    assert by_rung[0] == QUICK.population // 2
    assert result.records[0].updates == 10
    assert all(len(r.fold_ratios) == (QUICK.folds if r.updates == 10 else 1) for r in result.records)


def test_without_rungs_all_train_to_the_end(data) -> None:
    found = search(data, QUICK.model_copy(update={"rungs": ()}), seed=1)
    assert {record.updates for record in found.records} == {QUICK.updates}


def test_a_steady_search_has_no_barrier_and_one_result(data) -> None:
    config = QUICK.model_copy(update={"mode": "steady", "in_flight": 3})
    found = search(data, config, seed=1)
    assert outcome(search(data, config, seed=1)) == outcome(found)
    assert len(found.records) == QUICK.max_evaluations
    assert any(record.parents for record in found.records)
    assert found.records[0].updates == QUICK.updates


def test_several_objectives_keep_small_networks_alive(data) -> None:
    config = QUICK.model_copy(update={"objectives": ("error", "macs", "bytes"), "max_evaluations": 16, "population": 6})
    found = search(data, config, seed=1)
    assert outcome(search(data, config, seed=1)) == outcome(found)
    last = [record for record in found.records if record.generation > 0 and record.updates > min(config.rung_updates)]
    assert last
    smallest = min(found.records, key=lambda record: record.macs)
    assert smallest.updates > min(config.rung_updates), "no other is smaller, whatever its error"


@pytest.mark.parametrize("objectives", [(), ("macs",), ("macs", "error"), ("error", "error"), ("error", "beauty")])
def test_objectives_begin_with_the_error(objectives: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        SearchConfig(objectives=objectives)


def test_finalists_are_judged_on_further_seeds_and_the_usual_recipe_is_among_them(result: SearchResult) -> None:
    assert 0 in [final["index"] for final in result.finals]
    drawn = [final for final in result.finals if result.records[final["index"]].inherited is None]
    assert all(len(final["ratios"]) == QUICK.folds * QUICK.finalist_seeds for final in drawn)
    leader = min(result.finals, key=lambda final: final["fitness"])
    assert leader["margin"] == 0.0


@pytest.mark.parametrize(("seeds", "folds"), [(2, 2), (2, 1), (1, 2), (1, 1)])
def test_a_finalist_is_judged_by_whole_trainings_from_drawn_weights(
    data, monkeypatch: pytest.MonkeyPatch, seeds: int, folds: int
) -> None:
    """Also one that inherited its parent's."""
    done: list[tuple[Task, Outcome]] = []
    monkeypatch.setattr(Journal, "write", lambda _, task, outcome: done.append((task, outcome)))
    config = alike(finalist_seeds=seeds, folds=folds)
    found = search(data, config, seed=1)
    assert any(found.records[row["index"]].inherited is not None for row in found.finals)
    for row in found.finals:
        candidate, best_update = chosen(found, config, data, row["index"])
        own = [(task, outcome.trial) for task, outcome in done if task.candidate == candidate]
        whole = [trial for task, trial in own if task.updates == config.updates and task.initial is None]
        assert sorted(row["ratios"]) == sorted(trial.ratio for trial in whole)
        assert len(whole) == folds * seeds
        assert best_update == statistics.median_low(trial.best_update for trial in whole if trial.fold == 0)


@pytest.mark.parametrize(("error", "expected"), [(1e9, "usual"), (0.0, "leader")])
def test_the_usual_recipe_stays_unless_it_is_clearly_beaten(
    data, result: SearchResult, monkeypatch: pytest.MonkeyPatch, error: float, expected: str
) -> None:
    real = engine.margin
    monkeypatch.setattr(engine, "margin", lambda trials, leader: (real(trials, leader)[0], error))
    found = search(data, QUICK, seed=1)
    leader = min(found.finals, key=lambda final: final["fitness"])["index"]
    assert leader != 0, "the seed of this test must let another candidate lead"
    assert found.winner == (0 if expected == "usual" else leader)


def test_the_search_leaves_the_winners_best_weights(data, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[Task, Outcome]] = []
    monkeypatch.setattr(Journal, "write", lambda _, task, outcome: done.append((task, outcome)))
    found = search(data, QUICK, seed=1)
    picked, _ = chosen(found, QUICK, data)
    own = [(task.updates, outcome) for task, outcome in done if task.candidate == picked and task.fold == 0]
    whole = [outcome for updates, outcome in own if updates == QUICK.updates]
    assert (len(own), len(whole)) == (len(QUICK.rungs) + QUICK.finalist_seeds, QUICK.finalist_seeds)
    best = min(whole, key=lambda outcome: outcome.trial.rmse)
    assert unpacked(found.weights).tolist() == best.weights.tolist()


def test_any_candidate_may_be_chosen(data, result: SearchResult) -> None:
    for final in result.finals:
        candidate, updates = chosen(result, QUICK, data, final["index"])
        assert candidate.as_dict() == result.records[final["index"]].candidate
        assert updates == final["best_update"]
    others = {record.index for record in result.records} - {final["index"] for final in result.finals}
    assert {chosen(result, QUICK, data, index)[1] for index in others} == {QUICK.updates}
    assert chosen(result, QUICK, data) == chosen(result, QUICK, data, result.winner)


@pytest.mark.parametrize("index", [-1, 8])
def test_a_candidate_that_is_not_there_cannot_be_chosen(data, result: SearchResult, index: int) -> None:
    with pytest.raises(ConfigError, match=f"candidate {index} is not one of the search's, which are 0 to 7"):
        chosen(result, QUICK, data, index)


def test_the_result_survives_json(data, result: SearchResult) -> None:
    again = SearchResult.from_dict(json.loads(json.dumps(result.as_dict())))
    assert outcome(again) == outcome(result)
    assert chosen(again, QUICK, data)[0].as_dict() == result.records[result.winner].candidate
    assert again.summary()["evaluations"] == len(result.records)


def test_a_result_of_before_weights_were_kept_is_read(data, result: SearchResult) -> None:
    """A pipeline's cache may hold one."""
    fields = {name: value for name, value in result.as_dict().items() if name != "weights"}
    assert chosen(SearchResult.from_dict(fields), QUICK, data) == chosen(result, QUICK, data)


def test_the_module_generator_is_left_as_it_was(data) -> None:
    import random

    random.seed(5)
    expected = random.Random(5).random()
    search(data, QUICK, seed=3)
    assert random.random() == expected


def test_an_elite_that_leaves_no_room_to_breed_is_refused() -> None:
    with pytest.raises(ValidationError, match="elite 4 must be below population 4"):
        SearchConfig(population=4, elite=4)
