"""Schedules that ZenML keeps, on Airflow's flavor without Airflow: made, changed, removed; and what a run reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.programs import CHECKOUT

SMOKE = CHECKOUT / "pipelines" / "configs" / "smoke.yaml"
ADDRESS = "http://127.0.0.1:1"  # of an MLflow server that is not asked: nothing runs

# One process goes through a schedule's life; starting one costs more than what it does.
LIFE = """
import __main__, json, os, sys, zipfile
from pathlib import Path
__main__.__file__ = os.path.abspath("run.py")  # where ZenML looks for our classes
from pipelines.home import Home
home = Home.from_environment()
home.prepare()
from zenml.client import Client
from zenml.models import ScheduleRequest
from forecaster.errors import ForecasterError
from pipelines.config import load_config
from pipelines.cron import parse
from pipelines import zenml_schedules
from pipelines.scheduling import schedule

answer, dags = {}, Path(os.environ["EDGELOOP_AIRFLOW_DAGS"])

def put(pipeline="data", cron="*/30 3 * * sun", **overrides):
    config = load_config([Path(sys.argv[1])], [f"{key}={value}" for key, value in overrides.items()])
    options = {"stack": "airflow", "cron": cron, "name": None, "kind": None, "output": None}
    try:
        return schedule(pipeline, [], options, config, home.root)
    except ForecasterError as error:
        return {"refused": f"{type(error).__name__}: {error}"}

def dag(name):
    with zipfile.ZipFile(dags / f"{name}.zip") as file:
        return json.loads(file.read("config.json"))

def listed():
    return zenml_schedules.listed()["schedules"]

def removed(name):
    try:
        return zenml_schedules.remove(name)
    except ForecasterError as error:
        return {"refused": str(error)}

answer["first"] = put()
answer["dag"] = dag("edgeloop-data-airflow")
answer["again"] = put()
answer["other time"] = put(cron="0 4 * * *")
answer["dag of the other time"] = dag("edgeloop-data-airflow")
answer["other setting"] = put(cron="0 4 * * *", **{"data.dataset": "other"})
answer["both"] = put("all")
answer["steps of both"] = [task["upstream_steps"] for task in dag("edgeloop-all-airflow")["tasks"]]
answer["training"] = put("train")
client = Client()
snapshots = client.list_snapshots(named_only=False, hydrate=True, size=20, sort_by="desc:created").items
training = next(s for s in snapshots if s.pipeline.name == "training")
answer["lazy"] = sorted(name for name, step in training.step_configurations.items() if step.config.client_lazy_loaders)
answer["listed"] = listed()
answer["near"] = removed("edgeloop-data-airflo")
answer["removed"] = removed("edgeloop-data-airflow")
answer["left"] = [row["schedule"] for row in listed()]
answer["files"] = sorted(path.name for path in dags.iterdir())

# A platform whose schedules ZenML cannot change: as Vertex AI would be left by an earlier run.
known = client.list_schedules(name="edgeloop-all-airflow", hydrate=True).items[0]
vertex = client.create_stack_component("cloud", "vertex", "orchestrator", {"location": "europe-west1"})
client.zen_store.create_schedule(ScheduleRequest(
    project=client.active_project.id, pipeline_id=known.pipeline_id, orchestrator_id=vertex.id,
    name="edgeloop-data-airflow", active=True, cron_expression="0 5 * * *"))
answer["elsewhere"] = put()
answer["removed elsewhere"] = removed("edgeloop-data-airflow")
for name in answer["left"]:
    removed(name)
answer["nothing left"] = removed("x")
print("ANSWER" + json.dumps(answer))
"""

STEPS = ("collect", "clean", "validate", "accept", "split", "scale", "store")
# The same compiled pipeline runs thrice, as a scheduler has it; behind the first run the source grows.
THRICE = """
import __main__, json, os, sys
from pathlib import Path
__main__.__file__ = os.path.abspath("run.py")
from pipelines.home import Home
home = Home.from_environment()
home.prepare()
from zenml.client import Client
from zenml.pipelines.run_utils import create_placeholder_run
from forecaster.sources import Selection, read_readings
from pipelines.config import load_config
from pipelines.data import data_pipeline
from stacks.loader import use_stack

source = Path(sys.argv[2])
readings = read_readings("simulated://lab?days=40&seed=1", Selection(user=None, tag=None))
readings = readings.rename(columns={"time": "time_point"})
readings.iloc[:-400].to_csv(source, index=False)
use_stack("local", home.root)
config = load_config([Path(sys.argv[1])], [f"data.source={json.dumps(str(source))}"])
data_pipeline.prepare(config.data, scheduled=True)
snapshot = data_pipeline._create_snapshot(**data_pipeline._run_args)
rows = []
for _ in range(3):
    run = create_placeholder_run(snapshot=snapshot)
    stack = Client().active_stack
    stack.orchestrator.run(snapshot=snapshot, stack=stack, placeholder_run=run)
    steps = Client().get_pipeline_run(run.id).steps
    dataset = steps["store"].outputs["smoke"][0]
    ran = sorted(name for name, step in steps.items() if step.status != "cached")
    rows.append([dataset.version, int(dataset.run_metadata["rows"]), ran])
    readings.to_csv(source, index=False)
print("ANSWER" + json.dumps(rows))
"""


def asked(script: str, home: Path, *arguments: str | Path, **environment: str) -> Any:
    """What a script answers from a home of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "EDGELOOP_HOME": str(home), "ZENML_LOGGING_VERBOSITY": "CRITICAL", **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert "ANSWER" in done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout.partition("ANSWER")[2])


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened to schedules on the airflow stack."""
    folder = tmp_path_factory.mktemp("schedules")
    dags = folder / "dags"
    return asked(LIFE, folder / "home", SMOKE, EDGELOOP_AIRFLOW_DAGS=str(dags), MLFLOW_TRACKING_URI=ADDRESS)


@pytest.mark.timeout(1000)
def test_a_schedule_becomes_a_dag_of_its_name(life: dict[str, Any]) -> None:
    assert life["first"] == {
        "schedule": "edgeloop-data-airflow",
        "pipeline": "data",
        "stack": "airflow",
        "cron": "0,30 3 * * 0",
        "by": "zenml",
        "orchestrator": "airflow",
        "expression": "0,30 3 * * 0",
        "state": "created",
    }
    assert life["dag"]["id"] == "edgeloop-data-airflow"
    assert life["dag"]["schedule"] == "0,30 3 * * 0"
    assert life["dag"]["catchup"] is False
    assert {task["docker_image"].partition(":")[0] for task in life["dag"]["tasks"]} == {"edgeloop-pipelines"}


def test_the_same_again_changes_nothing_and_another_time_or_setting_replaces_it(life: dict[str, Any]) -> None:
    assert [life[name]["state"] for name in ("again", "other time", "other setting")] == [
        "unchanged",
        "updated",
        "updated",
    ]
    assert life["dag of the other time"]["schedule"] == "0 4 * * *"


def test_both_pipelines_become_one_dag_in_order(life: dict[str, Any]) -> None:
    assert life["both"]["state"] == "created"
    upstream = {step for steps in life["steps of both"] for step in steps}
    assert {"collect", "store", "load", "search", "register"} <= upstream


def test_a_scheduled_training_asks_for_the_dataset_when_it_runs(life: dict[str, Any]) -> None:
    assert life["training"]["state"] == "created"
    assert {"load", "search", "train", "evaluate", "package", "promote"} <= set(life["lazy"])


def test_schedules_are_listed_with_their_pipeline(life: dict[str, Any]) -> None:
    rows = {row["schedule"]: (row["pipeline"], row["cron"], row["active"]) for row in life["listed"]}
    assert rows == {
        "edgeloop-data-airflow": ("data", "0 4 * * *", True),
        "edgeloop-all-airflow": ("all", "0,30 3 * * 0", True),
        "edgeloop-train-airflow": ("training", "0,30 3 * * 0", True),
    }
    assert {row["orchestrator"] for row in life["listed"]} == {"edgeloop-airflow"}


def test_a_removed_schedule_leaves_no_dag(life: dict[str, Any]) -> None:
    assert life["removed"] == {"removed": "edgeloop-data-airflow", "by_hand": None}
    assert sorted(life["left"]) == ["edgeloop-all-airflow", "edgeloop-train-airflow"]
    assert life["files"] == ["edgeloop-all-airflow.zip", "edgeloop-train-airflow.zip"]


def test_a_schedule_that_does_not_exist_is_refused_with_the_near_one(life: dict[str, Any]) -> None:
    assert life["near"]["refused"].startswith(
        "schedule 'edgeloop-data-airflo' does not exist, did you mean 'edgeloop-data-airflow'?"
    )
    assert "there are none (python run.py schedule list)" in life["nothing left"]["refused"]


def test_what_zenml_cannot_change_on_its_platform_is_not_doubled(life: dict[str, Any]) -> None:
    assert life["elsewhere"]["refused"].startswith(
        "ConfigError: schedule 'edgeloop-data-airflow' exists and ZenML cannot change it on its platform: delete the "
        "schedule 'edgeloop-data-airflow' in the Vertex AI page"
    )
    assert "Vertex AI page" in life["removed elsewhere"]["by_hand"]


@pytest.mark.timeout(1000)
def test_each_run_of_a_schedule_looks_at_its_source_and_works_if_it_has_changed(tmp_path: Path) -> None:
    first, grown, same = asked(THRICE, tmp_path / "home", SMOKE, tmp_path / "readings.csv")
    assert (first[0], grown[0], same[0]) == ("1", "2", "2")
    assert grown[1] == first[1] + 400
    assert first[2] == grown[2] == sorted(["look", *STEPS])
    assert same[2] == ["look"]
