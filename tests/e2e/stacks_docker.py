"""Both pipelines with each step in a container, MLflow as a server with PostgreSQL: `make test-stacks`, as root.

pytest collects it only when it is named: it starts a Docker daemon, and makes an image, minutes the first time.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.programs import CHECKOUT, free_port
from tests.servers import mlflow_server
from tests.stack_services import docker, docker_daemon, pipelines_image, started_containers, step_of
from tests.workplace import MODEL, SMOKE, Workplace

DATA_STEPS = ["collect", "clean", "validate", "accept", "split", "scale", "store"]
TRAINING_STEPS = ["load", "search", "train", "evaluate", "package", "convert", "gate"]
NEVER_CACHED = ["register", "promote"]
STACK = ("--stack", "docker")
DIGESTS = """
training, data = (client.get_pipeline_run(name) for name in sys.argv[1:])
made = training.steps["train"].outputs["forecaster"][0].run_metadata
answer = {"model": made["digest"], "dataset": data.steps["store"].outputs["smoke"][0].run_metadata["digest"]}
"""
STEPS = """
run = client.list_pipeline_runs(sort_by="desc:created", size=1, hydrate=True).items[0]
answer = {"status": run.status.value, "steps": {name: step.status.value for name, step in run.steps.items()}}
"""
SECONDS = 3000  # a container a step, on a machine that may be busy

pytestmark = pytest.mark.timeout(3 * SECONDS)


@pytest.fixture(scope="module")
def daemon() -> Iterator[str]:
    with docker_daemon() as address:
        yield address


@pytest.fixture(scope="module")
def image(daemon: str) -> str:
    return pipelines_image(daemon)


@pytest.fixture(scope="module")
def tracking(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = postgres_url.replace("postgresql:", "postgresql+psycopg:")  # the driver that is here
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), database=database) as uri:
        yield uri


@pytest.fixture(scope="module")
def services(daemon: str, image: str, tracking: str) -> dict[str, str]:
    """What the stack file wants from the environment."""
    return {"DOCKER_HOST": daemon, "MLFLOW_TRACKING_URI": tracking}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace.under(tmp_path_factory.mktemp("docker"), SECONDS)


@pytest.fixture(scope="module")
def first(place: Workplace, services: dict[str, str], daemon: str) -> dict[str, Any]:
    """Both pipelines from nothing, and which steps had a container."""
    with started_containers(daemon) as steps:
        outcome = place.succeed("all", *SMOKE, *STACK, env=services)
        return {**outcome.result, "containers": steps()}


@pytest.fixture(scope="module")
def second(place: Workplace, services: dict[str, str], daemon: str, first: dict[str, Any]) -> dict[str, Any]:
    """The same command again."""
    with started_containers(daemon) as steps:
        outcome = place.succeed("all", *SMOKE, *STACK, env=services)
        return {**outcome.result, "containers": steps()}


def inside(daemon: str, image: str, *command: str, user: str = "54321") -> str:
    done = docker(daemon, "run", "--rm", "--network=host", f"--user={user}", image, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_second_make_image_does_nothing(daemon: str, image: str) -> None:
    before = docker(daemon, "image", "inspect", "--format={{.Id}} {{.Created}}", image).stdout
    begin = time.monotonic()
    assert pipelines_image(daemon) == image
    assert time.monotonic() - begin < 30
    assert docker(daemon, "image", "inspect", "--format={{.Id}} {{.Created}}", image).stdout == before


def test_the_image_has_a_user_without_privileges_and_none_of_our_code(daemon: str, image: str) -> None:
    assert docker(daemon, "image", "inspect", "--format={{.Config.User}}", image).stdout.strip() == "1000:1000"
    look = "import importlib.util as u; print([n for n in ('forecaster', 'steps', 'run') if u.find_spec(n)])"
    assert inside(daemon, image, "python", "-c", look) == "[]"
    assert inside(daemon, image, "sh", "-c", "ls -A /app | wc -l") == "0"


def test_the_image_has_the_locked_packages(daemon: str, image: str) -> None:
    lock = (CHECKOUT / "locks" / "image.txt").read_text().splitlines()
    wanted = {line.split(";")[0].strip(" \\") for line in lock if "==" in line and line[0].isalnum()}
    code = "from importlib.metadata import distributions as d; print(*(f'{p.name}=={p.version}' for p in d()))"
    found = inside(daemon, image, "python", "-c", code).split()
    plain = {each.lower().replace("_", "-").replace(".", "-") for each in found}
    missing = {each for each in wanted if each.split("[")[0].lower().replace("_", "-").replace(".", "-") not in plain}
    assert missing == set()


def test_the_image_tells_no_address_of_a_package_index(daemon: str, image: str) -> None:
    history = docker(daemon, "history", "--no-trunc", "--format={{.CreatedBy}}", image).stdout
    settings = docker(daemon, "image", "inspect", "--format={{.Config.Env}}", image).stdout
    assert "://" not in history + settings
    files = "cat /etc/pip.conf /etc/apt/sources.list /etc/apt/sources.list.d/* /app/.config/*/* 2>/dev/null; true"
    assert inside(daemon, image, "sh", "-c", files) == ""


def test_both_pipelines_end_in_a_champion_on_the_server(first: dict[str, Any], postgres_url: str) -> None:
    assert (first["model_name"], first["model_version"], first["alias"]) == (MODEL, "1", "champion")
    assert first["release_dir"].startswith("mlflow-artifacts:")
    with psycopg.connect(postgres_url) as rows:
        assert rows.execute("select version from model_versions where name = %s", (MODEL,)).fetchall() == [(1,)]
        named = rows.execute("select alias, version from registered_model_aliases where name = %s", (MODEL,)).fetchall()
    assert named == [("champion", 1)]


def test_every_step_has_a_container_which_is_gone_afterwards(first: dict[str, Any], daemon: str) -> None:
    assert first["containers"] == [*DATA_STEPS, *TRAINING_STEPS, *NEVER_CACHED]
    assert docker(daemon, "ps", "--all", "--quiet").stdout == ""


def test_data_and_seed_give_the_model_of_the_local_stack(
    place: Workplace, first: dict[str, Any], tmp_path: Path
) -> None:
    local = Workplace.under(tmp_path, SECONDS)
    here = local.succeed("all", *SMOKE).result
    digests = [
        where.ask(DIGESTS, told["zenml_run"], told["data"]["zenml_run"])
        for where, told in ((local, here), (place, first))
    ]
    print(json.dumps(digests[0]))  # noqa: T201 - a figure to be quoted; pytest -s shows it
    assert digests[0] == digests[1]
    assert here["test"] == first["test"]


def test_a_second_run_starts_a_container_only_for_what_is_never_cached(second: dict[str, Any]) -> None:
    assert second["containers"] == NEVER_CACHED
    assert second["data"]["cached"] == DATA_STEPS
    assert second["cached"] == TRAINING_STEPS
    assert second["already_registered"] is True


def test_a_killed_step_fails_the_run_with_the_reason_and_the_next_run_goes_on(
    place: Workplace, services: dict[str, str], daemon: str, second: dict[str, Any]
) -> None:
    command = ("train", *SMOKE, *STACK, "--seed", "7", "--set", "search.max_evaluations=2")
    killer = threading.Thread(target=kill, args=(daemon, "train"), daemon=True)
    killer.start()
    message = place.refuse(5, *command, env=services)
    killer.join()
    assert message.startswith("step 'train' of run 'training-")
    assert "ended without a report" in message
    left = place.ask(STEPS)
    assert left["status"] == "failed"
    assert left["steps"].pop("train", "failed") == "failed"  # absent if it was killed before its first report
    assert left["steps"] == {"load": "cached", "search": "completed"}
    with started_containers(daemon) as steps:
        again = place.succeed(*command, env=services).result
        assert steps() == [*TRAINING_STEPS[2:], *NEVER_CACHED]
    assert again["cached"] == ["load", "search"]


def kill(daemon: str, step: str) -> None:
    """Kill the container of a step as soon as it works."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        for container in docker(daemon, "ps", "--quiet", "--no-trunc").stdout.split():
            if step_of(daemon, container) == step:
                assert docker(daemon, "kill", container).returncode == 0
                return
        time.sleep(0.1)


def test_an_error_of_ours_comes_out_of_a_container_as_itself(place: Workplace, services: dict[str, str]) -> None:
    command = ("data", *SMOKE, *STACK, "--source", "simulated://lab?days=4&seed=1")
    assert "data gate" in place.refuse(3, *command, env=services)


def test_a_file_of_this_machine_reaches_the_containers_through_the_artifact_store(
    place: Workplace, services: dict[str, str], tmp_path: Path
) -> None:
    given = ("--source", str(month_of_readings(tmp_path)))
    there = place.succeed("data", *SMOKE, *STACK, *given, env=services).result
    assert there["cached"] == []
    (tmp_path / "local").mkdir()
    local = Workplace.under(tmp_path / "local", SECONDS)
    here = local.succeed("data", *SMOKE, *given).result
    assert here["dataset"]["digest"] == there["dataset"]["digest"]
    assert len(list((place.home / "zenml").rglob("carried/*.parquet"))) == 1


def month_of_readings(folder: Path) -> Path:
    """A CSV file with a month of the simulated sensor."""
    from forecaster.sources.simulated import simulated_table

    file = folder / "readings.csv"
    simulated_table("simulated://lab?days=30&seed=6").to_csv(file, index=False)
    return file


def test_a_missing_image_is_told_before_anything_runs(place: Workplace, services: dict[str, str]) -> None:
    message = place.refuse(4, "data", *SMOKE, *STACK, env={**services, "EDGELOOP_IMAGE": "edgeloop-pipelines:absent"})
    assert "'edgeloop-pipelines:absent'" in message
    assert "make image" in message


def test_a_daemon_that_does_not_answer_is_told(place: Workplace, services: dict[str, str], tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path / 'nobody'}"
    message = place.refuse(5, "data", *SMOKE, *STACK, env={**services, "DOCKER_HOST": nowhere})
    assert f"{nowhere!r}" in message


def test_an_mlflow_server_that_is_down_costs_no_training(
    place: Workplace, services: dict[str, str], first: Any
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    message = place.refuse(5, "train", *SMOKE, *STACK, env={**services, "MLFLOW_TRACKING_URI": nobody})
    assert f"MLflow at {nobody!r} does not answer" in message


def test_check_finds_everything_in_its_place(place: Workplace, services: dict[str, str]) -> None:
    done = subprocess.run(
        [str(CHECKOUT / ".venv/bin/python"), "run.py", "stacks", "check", "docker"],
        cwd=CHECKOUT, env={**place.environment(services), "HOME": os.environ["HOME"]},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
