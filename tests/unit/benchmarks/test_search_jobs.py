"""Single searches of the comparison: what each method's figures hold, and how they are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import search_jobs
from benchmarks.accuracy import errors_on_test
from benchmarks.search_jobs import METHODS, OURS, PLAIN, SCRATCH, Job, keep, kept, run, run_and_keep
from benchmarks.search_judge import point
from benchmarks.search_plain import Fitted, Scale
from forecaster.genome import Candidate, SpaceConfig
from forecaster.metrics import truth
from forecaster.model import Forecaster
from forecaster.records import SearchResult, unpacked
from forecaster.search import chosen
from forecaster.search_config import SearchConfig
from tests.synthetic import dataset

SPACE = SpaceConfig(form=("gru",), units=(4, 6, 16), steps=(32,), burn_in=(4,), batch=(4, 8))
CONFIG = SearchConfig(population=3, updates=20, elite=1, finalists=1, finalist_seeds=2, space=SPACE)
TINY = Scale(individuals=2, generations=1, epochs=1)
LIBRARIES = "ignore::DeprecationWarning"
IMPORTED = search_jobs._import_libraries  # noqa: SLF001 - every test but one replaces it


@pytest.fixture(scope="module")
def data():
    return dataset()


@pytest.fixture(autouse=True)
def _readings(monkeypatch, data) -> None:
    monkeypatch.setattr(search_jobs, "reference_dataset", lambda source, user: data)
    # How many threads TensorFlow has can be said only before its first use, which another test may have been.
    monkeypatch.setattr(search_jobs, "_import_libraries", lambda method: None)


def job(method: str, seed: int = 1, budget: float = 0.3, **more: Any) -> Job:
    return Job(method, "lab", seed, 0.0 if method == PLAIN else budget, "readings", **{**SETTINGS, **more})


SETTINGS: dict[str, Any] = {"config": CONFIG, "scale": TINY}


def test_the_methods_are_ours_its_ablation_and_five_rivals() -> None:
    assert METHODS == ("ours", "scratch", "random", "tpe", "nsga2", "hyperband", "plain")


@pytest.mark.filterwarnings(LIBRARIES)
@pytest.mark.parametrize("method", METHODS)
def test_the_figures_of_a_search(method: str) -> None:
    found = run(job(method))
    assert [found[key] for key in ("method", "user", "seed")] == [method, "lab", 1]
    assert 0 < found["cpu_seconds"] < 60
    assert found["trainings"] == len(found["trace"]) >= (2 if method == PLAIN else 1)
    assert all(entry["validation_rmse"] > 0 for entry in found["trace"])
    seconds = [entry["cpu_seconds"] for entry in found["trace"]]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= found["cpu_seconds"]
    assert found["test"]["rmse"] >= found["test"]["mae"] > 0
    assert found["final_cpu_seconds"] > 0
    assert found["import_cpu_seconds"] >= 0
    assert ("test_as_found" in found) == (method in (OURS, SCRATCH, PLAIN))
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("method", [OURS, SCRATCH, "random"])
def test_a_pick_is_a_candidate_and_its_length_of_training(method: str) -> None:
    found = run(job(method))
    assert set(found["pick"]) >= {"features", "form", "units", "dropout", "best_update", "fitness"}
    assert found["pick"]["best_update"] == 20
    assert 0 < found["pick"]["fitness"] < 10


@pytest.fixture
def asked(monkeypatch) -> list[SearchConfig]:
    """What searches were asked for; each trains two candidates."""
    configs: list[SearchConfig] = []
    search = search_jobs.search

    def noted(dataset: object, config: SearchConfig, *args: Any, **more: Any) -> Any:
        configs.append(config)
        return search(dataset, config.model_copy(update={"max_evaluations": 2}), *args, **more)

    monkeypatch.setattr(search_jobs, "search", noted)
    return configs


def test_ours_ends_with_its_cpu_seconds_alone(asked: list[SearchConfig]) -> None:
    run(job(OURS, budget=7.5))
    assert asked[0].max_cpu_seconds == 7.5
    assert asked[0].generations == asked[0].max_evaluations >= 10_000
    assert asked[0].space == SPACE


@pytest.mark.parametrize("inherit", [True, False])
def test_ours_inherits_as_it_is_configured_and_scratch_never(asked: list[SearchConfig], *, inherit: bool) -> None:
    config = CONFIG.model_copy(update={"inherit": inherit})
    for method in (OURS, SCRATCH):
        run(job(method, config=config))
    ours, scratch = asked
    assert (ours.inherit, scratch.inherit) == (inherit, False)
    assert scratch == ours.model_copy(update={"inherit": False})


def test_scratch_is_another_search_that_does_not_depend_on_what_ours_inherits() -> None:
    heirs, loners = (CONFIG.model_copy(update={"inherit": inherit}) for inherit in (True, False))
    assert job(SCRATCH, config=loners).digest != job(OURS, config=loners).digest
    assert job(SCRATCH, config=loners).digest == job(SCRATCH, config=heirs).digest
    assert job(OURS, config=loners).digest != job(OURS, config=heirs).digest


def test_more_cpu_seconds_are_more_trainings() -> None:
    short, long = (run(job(OURS, budget=budget)) for budget in (0.2, 1.5))
    assert long["trainings"] > short["trainings"]
    assert long["cpu_seconds"] > short["cpu_seconds"]


def test_it_is_told_whether_the_usual_recipe_was_picked(monkeypatch) -> None:
    assert run(job("random", budget=1e-6))["usual"] is True
    original = search_jobs.Space

    def other(found: Any, config: SearchConfig, data: Any) -> tuple[Candidate, int]:
        space = original(config.space, data.program.names, config.updates, data.config.steps // 2)
        return space.decode([0] * len(space.choices)), config.updates

    monkeypatch.setattr(search_jobs, "chosen", other)
    monkeypatch.setattr(search_jobs, "Forecaster", lambda *_: SimpleNamespace(forecasts=lambda grid: truth(grid, 3)))
    assert run(job(OURS))["usual"] is False


class Spent:
    """Takes the place of the meter: each reading is a CPU second more than the one before."""

    def __init__(self) -> None:
        self.read = 0

    @property
    def seconds(self) -> float:
        self.read += 1
        return float(self.read)


@pytest.fixture
def finals(monkeypatch) -> list[tuple[Any, ...]]:
    """The final trainings that were asked for."""
    trainings: list[tuple[Any, ...]] = []
    train = search_jobs.train

    def noted(data: Any, candidate: Any, best_update: int, seed: int, **more: Any) -> Any:
        trainings.append((best_update, seed, more))
        return train(data, candidate, best_update, seed, **more)

    monkeypatch.setattr(search_jobs, "train", noted)
    return trainings


@pytest.mark.parametrize("method", [OURS, SCRATCH, "random"])
def test_all_that_share_the_space_are_trained_alike_in_the_end(method: str, finals: list[tuple[Any, ...]]) -> None:
    found = run(job(method, seed=3, final_seeds=2))
    [(best_update, seed, more)] = finals
    assert (best_update, seed, more) == (found["pick"]["best_update"], 3, {"refit": True, "seeds": 2})


def test_ours_is_scored_as_its_search_left_it_and_trained_again(monkeypatch, data) -> None:
    readings, searched = truth(data.grid, data.program.horizon), list[SearchResult]()
    real = search_jobs.search

    def noted(*arguments: Any, **more: Any) -> SearchResult:
        searched.append(real(*arguments, **more))
        return searched[0]

    monkeypatch.setattr(search_jobs, "search", noted)
    monkeypatch.setattr(search_jobs, "train", lambda *_, **__: SimpleNamespace(forecasts=lambda grid: readings + 1.0))
    monkeypatch.setattr(search_jobs, "Meter", Spent)
    found = run(job(OURS))
    [result] = searched
    candidate, _ = chosen(result, job(OURS).search_config, data)
    program = data.program.select(candidate.features)
    left = Forecaster(candidate.architecture(program.horizon), program, unpacked(result.weights), {})
    assert found["test_as_found"] == errors_on_test(data, left.forecasts(data.grid))
    assert found["test"]["rmse"] == pytest.approx(1.0)
    assert found["final_cpu_seconds"] == 1.0
    # The search's meter is read once a training and once at its end, which is before the training after it.
    assert found["cpu_seconds"] == found["trainings"] + 1


@pytest.fixture
def quick(monkeypatch, data) -> list[tuple[Any, ...]]:
    """Plain DEAP without Keras: what its final fit was asked for; forecasts are off by its number of epochs, in °C."""
    asked: list[tuple[Any, ...]] = []
    readings = truth(data.grid, data.program.horizon)

    def searched(windows: object, scale: Scale, seed: int, meter: object, told: Any) -> Fitted:
        for number in range(1, 4):
            told(point(number, 1 / number, None, scale.epochs))
        return Fitted({"units": 8}, 0.5, 3, [])

    def fit(windows: object, genes: dict[str, Any], epochs: int, parts: tuple[str, ...]) -> Fitted:
        asked.append((genes, epochs, parts))
        return Fitted(genes, 0.4, 1, [])

    monkeypatch.setattr(search_jobs, "plain_search", searched)
    monkeypatch.setattr(search_jobs, "fit", fit)
    monkeypatch.setattr(search_jobs, "forecasts", lambda windows, fitted: readings + fitted.epochs)
    return asked


def test_plain_is_scored_as_found_and_with_the_validation_part(quick: list[tuple[Any, ...]]) -> None:
    found = run(job(PLAIN))
    assert quick == [({"units": 8}, 3, ("train", "validation"))]
    assert found["test_as_found"]["rmse"] == pytest.approx(3.0)
    assert found["test"]["rmse"] == pytest.approx(1.0)
    assert found["pick"] == {"units": 8, "epochs": 3, "validation_rmse": 0.5}
    assert "usual" not in found


@pytest.mark.usefixtures("quick")
def test_plain_says_how_far_it_is(capsys) -> None:
    run(job(PLAIN))
    assert capsys.readouterr().err.splitlines() == [
        f"plain-lab-1: {number} trainings, {number} CPU seconds" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("method", METHODS)
def test_keras_and_tensorflow_have_one_thread_in_the_methods_that_use_them(method: str, monkeypatch) -> None:
    asked: list[tuple[str, int]] = []

    class Threading:
        def __getattr__(self, name: str) -> Any:
            return lambda count: asked.append((name, count))

    tensorflow = SimpleNamespace(config=SimpleNamespace(threading=Threading()))
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    monkeypatch.setitem(sys.modules, "keras_tuner", SimpleNamespace())
    IMPORTED(method)
    kinds = ("set_intra_op_parallelism_threads", "set_inter_op_parallelism_threads")
    assert asked == ([(kind, 1) for kind in kinds] if method in ("hyperband", PLAIN) else [])


@pytest.mark.parametrize(("budget", "lines"), [(40.0, 0), (400.0, 2)])
def test_a_long_search_says_how_far_it_is(budget: float, lines: int, capsys) -> None:
    trace = [point(number, 0.3, None, 20) for number in range(1, 42)]
    for end in range(1, len(trace) + 1):
        search_jobs._say(job(OURS, budget=budget), trace[:end])  # noqa: SLF001
    said = capsys.readouterr().err.splitlines()
    assert said == [f"ours-lab-1-400: {count} trainings, {count} CPU seconds" for count in (20, 40)][:lines]


def test_figures_are_kept_for_their_settings_alone(tmp_path: Path) -> None:
    mine = job(OURS)
    keep(mine, {"cpu_seconds": 1.5}, tmp_path)
    assert kept(mine, tmp_path) == {"digest": mine.digest, "cpu_seconds": 1.5}
    wider = CONFIG.model_copy(update={"population": 5})
    others = (
        job(OURS, config=wider),
        job(OURS, seed=2),
        job(OURS, budget=0.4),
        job("random"),
        job(OURS, final_seeds=3),
    )
    for other in others:
        assert kept(other, tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["ours-lab-1-0.3.json"]


def test_plain_depends_on_its_own_scale_and_not_on_our_settings() -> None:
    wider = CONFIG.model_copy(update={"population": 5})
    assert job(PLAIN, config=wider).digest == job(PLAIN).digest
    assert job(PLAIN, scale=Scale()).digest != job(PLAIN).digest
    assert job(OURS, scale=Scale()).digest == job(OURS).digest
    assert job(PLAIN).name == "plain-lab-1"


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"digest": "x"', '{"digest": "other"}'])
def test_a_damaged_file_is_a_search_to_run(content: str, tmp_path: Path) -> None:
    (tmp_path / "ours-lab-1-0.3.json").write_text(content)
    assert kept(job(OURS), tmp_path) is None


def test_a_search_that_fails_keeps_nothing(tmp_path: Path, monkeypatch) -> None:
    def broken(job: Job) -> Any:
        raise ValueError(job.name)

    monkeypatch.setattr(search_jobs, "run", broken)
    with pytest.raises(ValueError, match="ours-lab-1"):
        run_and_keep(job(OURS), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_search_that_ends_is_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(search_jobs, "run", lambda job: {"seed": job.seed})
    run_and_keep(job(OURS, seed=4), tmp_path / "deep" / "folder")
    found = kept(job(OURS, seed=4), tmp_path / "deep" / "folder")
    assert found is not None
    assert found["seed"] == 4
