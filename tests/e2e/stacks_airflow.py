"""Both pipelines as DAGs of an Airflow with its scheduler, each step a container: `make test-stacks`, as root.

pytest collects it only when it is named: it starts Airflow and a Docker daemon, and makes an image, minutes the first
time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.airflow_server import AirflowServer, airflow_server
from tests.browser import Tab, chromium, new_tab
from tests.e2e.stacks_docker import DATA_STEPS, DIGESTS, NEVER_CACHED, STEPS, TRAINING_STEPS, kill
from tests.programs import CHECKOUT, free_port
from tests.servers import mlflow_server
from tests.stack_services import docker, docker_daemon, pipelines_image, started_containers
from tests.workplace import MODEL, SMOKE, Workplace

STACK = ("--stack", "airflow")
SECONDS_OF_A_RUN, SECONDS_OF_A_PAGE = 3000, 120
OTHER_READINGS = ("--source", "simulated://lab?days=60&seed=9")

pytestmark = pytest.mark.timeout(7200)


@pytest.fixture(scope="module")
def daemon() -> Iterator[str]:
    with docker_daemon() as address:
        pipelines_image(address)
        yield address


@pytest.fixture(scope="module")
def airflow() -> Iterator[AirflowServer]:
    with airflow_server() as server:
        yield server


@pytest.fixture(scope="module")
def services(daemon: str, airflow: AirflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the stack file wants from the environment."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as tracking:
        yield {"DOCKER_HOST": daemon, "MLFLOW_TRACKING_URI": tracking, **airflow.variables}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace.under(tmp_path_factory.mktemp("airflow"), SECONDS_OF_A_RUN)


@pytest.fixture(scope="module")
def first(place: Workplace, services: dict[str, str], daemon: str) -> dict[str, Any]:
    """Both pipelines from nothing, which steps had a container, and what was said meanwhile."""
    with started_containers(daemon) as steps:
        outcome = place.succeed("all", *SMOKE, *STACK, env=services)
        return {**outcome.result, "containers": steps(), "said": outcome.stderr}


@pytest.fixture(scope="module")
def second(place: Workplace, services: dict[str, str], daemon: str, first: dict[str, Any]) -> dict[str, Any]:
    """The same command again."""
    with started_containers(daemon) as steps:
        outcome = place.succeed("all", *SMOKE, *STACK, env=services)
        return {**outcome.result, "containers": steps()}


@pytest.fixture(scope="module")
def page(airflow: AirflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """Airflow's page, with admin logged in."""
    with chromium(tmp_path_factory.mktemp("chromium")) as socket:
        tab = new_tab(socket)
        tab.size(1400, 1000)
        tab.call("Page.navigate", url=f"{airflow.url}/auth/login")
        tab.wait("document.querySelector('input[type=password]') !== null", SECONDS_OF_A_PAGE)
        for field, text in (("input[name=username]", "admin"), ("input[type=password]", airflow.password)):
            tab.click(field)
            tab.type(text)
        tab.key("Enter", 13)
        tab.wait("!location.pathname.startsWith('/auth/login')", SECONDS_OF_A_PAGE)
        yield tab


def test_both_pipelines_end_in_a_champion(first: dict[str, Any]) -> None:
    assert (first["model_name"], first["model_version"], first["alias"]) == (MODEL, "1", "champion")
    assert first["cached"] == first["data"]["cached"] == []


def test_every_step_has_a_container_which_is_gone_afterwards(first: dict[str, Any], daemon: str) -> None:
    assert first["containers"] == [*DATA_STEPS, *TRAINING_STEPS, *NEVER_CACHED]
    assert docker(daemon, "ps", "--all", "--quiet").stdout == ""


def test_each_run_is_a_dag_whose_steps_succeeded(first: dict[str, Any], airflow: AirflowServer) -> None:
    assert airflow.states(first["data"]["zenml_run"]) == dict.fromkeys(DATA_STEPS, "success")
    assert airflow.states(first["zenml_run"]) == dict.fromkeys([*TRAINING_STEPS, *NEVER_CACHED], "success")
    assert airflow.ask(f"dags/{first['zenml_run']}")["tags"][0]["name"] == "edgeloop"


def test_progress_is_said_while_it_is_waited(first: dict[str, Any]) -> None:
    for run in (first["data"]["zenml_run"], first["zenml_run"]):
        assert f"run {run}: " in first["said"]
    assert "steps done, now search" in first["said"]


def test_airflows_page_shows_both_dags(first: dict[str, Any], page: Tab, airflow: AirflowServer) -> None:
    page.call("Page.navigate", url=f"{airflow.url}/dags")
    for run in (first["data"]["zenml_run"], first["zenml_run"]):
        page.wait(f"document.body?.innerText.includes({json.dumps(run)})", SECONDS_OF_A_PAGE)


def test_airflows_page_shows_the_steps_of_a_dag(first: dict[str, Any], page: Tab, airflow: AirflowServer) -> None:
    page.call("Page.navigate", url=f"{airflow.url}/dags/{first['data']['zenml_run']}/tasks")
    for step in DATA_STEPS:
        page.wait(f"document.body?.innerText.includes({json.dumps(step)})", SECONDS_OF_A_PAGE)


def test_data_and_seed_give_the_model_of_the_local_stack(
    place: Workplace, first: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    local = Workplace.under(tmp_path_factory.mktemp("local"), SECONDS_OF_A_RUN)
    here = local.succeed("all", *SMOKE).result
    digests = [
        where.ask(DIGESTS, told["zenml_run"], told["data"]["zenml_run"])
        for where, told in ((local, here), (place, first))
    ]
    print(json.dumps(digests[0]), json.dumps(here["test"]))  # noqa: T201 - figures to be quoted; pytest -s shows them
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
    command = ("data", *SMOKE, *STACK, *OTHER_READINGS)
    killer = threading.Thread(target=kill, args=(daemon, "validate"), daemon=True)
    killer.start()
    message = place.refuse(5, *command, env=services)
    killer.join()
    assert "was lost, step 'validate' failed in Airflow: " in message
    assert "'StatusCode': 137" in message
    left = place.ask(STEPS)
    assert left["status"] == "failed"
    assert left["steps"].pop("validate", "failed") == "failed"  # absent: killed before its first report
    assert left["steps"] == {"collect": "completed", "clean": "completed"}
    with started_containers(daemon) as steps:
        again = place.succeed(*command, env=services).result
        assert steps() == DATA_STEPS[2:]
    assert again["cached"] == ["collect", "clean"]


def test_ctrl_c_leaves_the_run_to_airflow(place: Workplace, services: dict[str, str], second: dict[str, Any]) -> None:
    command = [sys.executable, "run.py", "data", *SMOKE, *STACK, "--source", "simulated://lab?days=60&seed=10"]
    environment = place.environment(services)
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stderr=subprocess.PIPE, text=True) as running:
        said = running.stderr
        assert said is not None
        line = said.readline()  # the first word of progress: the run is Airflow's now
        running.send_signal(signal.SIGINT)
        told = said.read()
    assert running.returncode == 130, line + told
    assert "it goes on without this command: python run.py show" in told
    deadline = time.monotonic() + SECONDS_OF_A_RUN
    while (left := place.ask(STEPS))["status"] != "completed":
        assert time.monotonic() < deadline, left
        time.sleep(5)
    assert list(left["steps"]) == DATA_STEPS


def test_an_error_of_ours_comes_out_of_a_container_as_itself(place: Workplace, services: dict[str, str]) -> None:
    command = ("data", *SMOKE, *STACK, "--source", "simulated://lab?days=4&seed=1")
    assert "data gate" in place.refuse(3, *command, env=services)


def test_without_airflow_nothing_is_begun(place: Workplace, services: dict[str, str]) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    message = place.refuse(5, "data", *SMOKE, *STACK, env={**services, "EDGELOOP_AIRFLOW_URL": nobody})
    assert message.startswith(f"Airflow at {nobody!r} does not answer")
    assert "scripts/airflow.sh start" in message


def test_a_wrong_password_is_told_before_a_run(place: Workplace, services: dict[str, str]) -> None:
    message = place.refuse(4, "data", *SMOKE, *STACK, env={**services, "EDGELOOP_AIRFLOW_LOGIN": "admin:wrong"})
    assert "refuses user 'admin'" in message


def test_check_finds_everything_in_its_place(place: Workplace, services: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "run.py", "stacks", "check", "airflow"],
        cwd=CHECKOUT, env={**place.environment(services), "HOME": os.environ["HOME"]},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_airflow_ends_with_all_its_parts() -> None:
    with airflow_server() as server:
        mark = str(server.home)
        assert len(of(mark)) >= 3
    assert of(mark) == []


def of(mark: str) -> list[int]:
    """Processes whose environment names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if f"AIRFLOW_HOME={mark}".encode() in environment:
            found.append(int(process.name))
    return found
