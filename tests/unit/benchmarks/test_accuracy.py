"""The accuracy benchmark: what is compared, how runs become a table, and how it is printed."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import accuracy
from forecaster.genome import SpaceConfig
from forecaster.search_config import SearchConfig
from pipelines.config import Config, DataConfig, TrainingConfig

SOURCE = "simulated://lab?days=40&seed=1"
ERRORS = {"mae", "rmse", "mape", "mase"}
SEARCH = SearchConfig(
    population=2, generations=1, max_evaluations=2, updates=20, elite=1, folds=1, finalists=1, finalist_seeds=1,
    space=SpaceConfig(form=("gru",), units=(4, 6), steps=(192,), batch=(32,)),
)  # fmt: skip


def row(user: str, model: str, rmse: float, **more: float) -> dict[str, Any]:
    return {"user": user, "model": model, "mae": rmse / 2, "rmse": rmse, "mape": rmse * 3, "mase": rmse * 4, **more}


ROWS = [
    row("b", "GRU", 0.9, parameters=1500, cpu_seconds=60.0),
    row("a", "ridge", 0.4),
    row("a", "GRU", 0.1, parameters=1000, cpu_seconds=50.0),
    row("a", "GRU", 0.7, parameters=3000, cpu_seconds=90.0),
    row("a", "GRU", 0.3, parameters=1200, cpu_seconds=70.0),
    row("b", "ridge", 0.2),
]


def test_the_table_has_medians_by_sensor_and_model_in_order_of_error() -> None:
    table = accuracy.summarise(ROWS, ["b", "a"])
    order = [(line["user"], line["model"], line["runs"]) for line in table]
    assert order == [("b", "ridge", 1), ("b", "GRU", 1), ("a", "GRU", 3), ("a", "ridge", 1)]
    assert table[2] == {"runs": 3, **row("a", "GRU", 0.3, parameters=1200, cpu_seconds=70.0)}


def test_the_printed_table_has_as_many_columns_in_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    accuracy._print(accuracy.summarise(ROWS, ["a", "b"]))  # noqa: SLF001
    head, rule, *body = [line.strip("|").split("|") for line in capsys.readouterr().out.splitlines()]
    assert {len(line) for line in (head, rule, *body)} == {8}
    assert set(rule) == {"---"}
    assert [cell.strip() for cell in body[0]] == ["a", "GRU", "0.1500", "0.3000", "0.900", "1.200", "1,200", "70"]
    assert [cell.strip() for cell in body[1]][-2:] == ["", ""]


def test_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["accuracy"])
    options = accuracy._options()  # noqa: SLF001
    assert (options.users[0], len(options.users), options.seeds) == ("living_room", 4, [1, 2, 3])
    given = ["--source", "x.csv", "--users", "a,b", "--seeds", "4,5", "--processes", "1"]
    monkeypatch.setattr(sys, "argv", ["accuracy", *given])
    options = accuracy._options()  # noqa: SLF001
    assert vars(options) == {"source": "x.csv", "users": ["a", "b"], "seeds": [4, 5], "processes": 1}


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark with a search of two small networks."""
    small = Config(data=DataConfig(), training=TrainingConfig(search=SEARCH))
    monkeypatch.setattr(accuracy, "load_config", lambda files: small)


@pytest.mark.usefixtures("_small")
def test_the_rivals_learn_from_one_part_and_from_both() -> None:
    result = accuracy.run(accuracy.Job(SOURCE, "lab", None))
    assert (result["user"], result["seed"]) == ("lab", None)
    rows = {line["model"]: line for line in result["rows"]}
    assert len(rows) == len(result["rows"])
    plain = {name for name in rows if not name.endswith(", train+validation")}
    both = {name.removesuffix(", train+validation") for name in set(rows) - plain}
    assert plain - both == {"persistence", "drift", "seasonal naive"}
    assert both < plain
    for line in rows.values():
        assert set(line) == ERRORS | {"user", "model"}
        assert all(np.isfinite(line[key]) and line[key] > 0 for key in ERRORS)


@pytest.mark.usefixtures("_small")
def test_the_gru_is_measured_with_and_without_the_validation_part() -> None:
    result = accuracy.run(accuracy.Job(SOURCE, "lab", 1))
    assert [line["model"] for line in result["rows"]] == ["GRU", "GRU, training part only"]
    for line in result["rows"]:
        assert set(line) == ERRORS | {"user", "model", "parameters", "macs", "cpu_seconds"}
        assert line["cpu_seconds"] > 0
        assert line["rmse"] >= line["mae"] > 0
    assert result["rows"][0]["parameters"] == result["rows"][1]["parameters"] > 0


def test_main_runs_each_job_once_and_writes_what_it_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fake(job: accuracy.Job) -> dict[str, Any]:
        model = "ridge" if job.seed is None else "GRU"
        return {"user": job.user, "seed": job.seed, "rows": [row(job.user, model, 0.5 + (job.seed or 0))]}

    monkeypatch.setattr(accuracy, "ROOT", tmp_path)
    monkeypatch.setattr(accuracy, "run", fake)
    monkeypatch.setattr(accuracy, "ProcessPoolExecutor", lambda processes, mp_context: ThreadPoolExecutor(processes))
    monkeypatch.setattr(sys, "argv", ["accuracy", "--users", "a,b", "--seeds", "1,2,6"])
    assert accuracy.main() == 0
    written = json.loads((tmp_path / "build" / "bench" / "accuracy.json").read_text())
    jobs = {(result["user"], result["seed"]) for result in written["runs"]}
    assert jobs == {(user, seed) for user in "ab" for seed in (None, 1, 2, 6)}
    assert [(line["model"], line["rmse"]) for line in written["table"]] == [("ridge", 0.5), ("GRU", 2.5)] * 2
    assert "| a | GRU | 1.2500 | 2.5000 |" in capsys.readouterr().out
