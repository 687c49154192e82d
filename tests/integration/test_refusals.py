"""Gates and bad input: the exit code, and a message that says what was wrong with what."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

SMOKE = ("--config", "pipelines/configs/smoke.yaml")
FAILED = """
run = client.list_pipeline_runs(sort_by="desc:created", size=1, hydrate=True).items[0]
step = run.steps["validate"]
answer = {
    "status": str(run.status), "steps": sorted(run.steps), "page": str(step.outputs["data_quality_report"][0].load()),
    "passed": step.outputs["validation"][0].run_metadata["passed"],
}
"""


@pytest.fixture
def fahrenheit(tmp_path: Path) -> Path:
    """Two weeks of a warm room, in the wrong unit."""
    path = tmp_path / "fahrenheit.csv"
    celsius = [22 + 3 * math.sin(i * 2 * math.pi / 144) + 0.0625 * (i * 7 % 5) for i in range(2016)]
    times = [f"2024-01-{1 + i // 144:02}T{i // 6 % 24:02}:{i % 6}0:00" for i in range(2016)]
    rows = [f"{time},{32 + 1.8 * value:.3f}" for time, value in zip(times, celsius, strict=True)]
    path.write_text("\n".join(["time_point,value", *rows, ""]))
    return path


def test_the_data_gate_lists_every_failed_condition_and_keeps_the_report(workplace: Any, fahrenheit: Path) -> None:
    message = workplace.refuse(
        3, "data", "--source", str(fahrenheit), "--set", "validation.max_rate=0.5", "--set", "dataset=refused"
    )
    assert message.startswith("data gate: 3 condition(s) failed: ")
    for name, bound in (("highest value", "50 °C"), ("median value", "45 °C"), ("largest rate of change", "0.5 °C/h")):
        assert re.search(rf"{name} is [0-9.]+ .*?, must be at most {re.escape(bound)}", message), message

    kept = workplace.ask(FAILED)
    assert kept["status"] == "failed"
    assert kept["passed"] is False
    assert "<html" in kept["page"].lower()
    assert "median value" in kept["page"]
    assert workplace.zenml("select id from artifact where name = 'refused'") == []


def test_the_model_gate_says_by_how_much_and_registers_nothing(workplace: Any, smoke: Any) -> None:
    before = workplace.mlflow("select count(*) from runs"), workplace.versions("smoke-forecaster")
    message = workplace.refuse(3, "train", *SMOKE, "--set", "gate.ridge_margin=0.9")
    own, ridge = smoke.result["test"]["rmse"], smoke.result["baselines"]["ridge"]["rmse"]
    assert message.startswith("model gate: 1 condition(s) failed: RMSE relative to ridge is ")
    assert f"{own / ridge:.4g}" in message
    assert "must be at most 0.1" in message
    assert f"{own:.4f} against {ridge:.4f} °C, better by {ridge - own:.4f} °C" in message
    assert (workplace.mlflow("select count(*) from runs"), workplace.versions("smoke-forecaster")) == before


UNFIT = """
run = client.list_pipeline_runs(sort_by="desc:created", size=1, hydrate=True).items[0]
page, = run.steps["convert"].outputs["fidelity_report"]
answer = {"status": str(run.status), "page": str(page.load()), "chosen": page.run_metadata["chosen"]}
"""


def test_no_type_within_budget_is_a_failed_gate_that_leaves_the_champion(workplace: Any, smoke: Any) -> None:
    aliases = "select alias, version from registered_model_aliases where name = 'smoke-forecaster'"
    before = workplace.mlflow(aliases), workplace.versions("smoke-forecaster")
    message = workplace.refuse(3, "train", *SMOKE, "--set", "conversion.mae_growth=-1")
    assert message.startswith("model gate: 1 condition(s) failed: least MAE growth of a converted type is ")
    assert "must be at most -100 % (float32 " in message
    assert all(kind in message for kind in ("int8", "int16x8"))
    assert (workplace.mlflow(aliases), workplace.versions("smoke-forecaster")) == before

    kept = workplace.ask(UNFIT)
    assert (kept["status"], kept["chosen"]) == ("failed", "none")
    assert "no type is within budget" in kept["page"]


def test_an_unknown_stack_is_refused_with_those_there_are(workplace: Any) -> None:
    message = workplace.refuse(4, "show", "--stack", "moon")
    assert re.search(r"stack 'moon' is unknown, choose one of airflow, .*, local, ", message)


def test_an_unknown_dataset_is_named(workplace: Any) -> None:
    message = workplace.refuse(2, "train", "--dataset", "nowhere:3")
    assert "dataset 'nowhere:3' does not exist, run python run.py data first" in message


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "--set", "search.max_evaluation=3"], "did you mean 'training.search.max_evaluations'?"),
        (["train", "--set", "search.population"], "'search.population' is not key=value"),
        (["train", "--set", "search.population=one"], "config key 'training.search.population' is 'one'"),
        (["data", "--config", "missing.yaml"], "config file 'missing.yaml' cannot be read"),
        (["train", "--seed", "-1"], "-1 is not in the range"),
        (["promote"], "--version"),
        (["data", "--colour"], "--colour"),
    ],
)
def test_bad_input_is_refused_before_anything_is_imported_or_written(
    workplace: Any, arguments: list[str], told: str
) -> None:
    assert told in workplace.refuse(2, *arguments)


def test_a_file_that_is_not_there_is_named(workplace: Any) -> None:
    message = workplace.refuse(2, "data", "--source", "missing.csv.gz")
    assert "'missing.csv.gz'" in message


def test_a_home_that_cannot_be_written_does_not_answer(workplace: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = workplace.refuse(5, "show", env={"EDGELOOP_HOME": str(tmp_path / "file" / "home")})
    assert "set EDGELOOP_HOME to a writable folder" in message


def test_debug_adds_the_traceback_and_nothing_to_standard_output(edgeloop: Any) -> None:
    outcome = edgeloop("data", "--config", "missing.yaml", "--debug", "--json")
    assert outcome.code == 2
    assert "Traceback" in outcome.stderr
    assert outcome.result["error"]["kind"] == "ConfigError"
