"""Both pipelines with their steps on a second machine, reached over SSH: `make test-stacks`, as root.

The second machine is a set of namespaces with its own sshd and Docker daemon. It shares no disk with this one: code and
artifacts pass through a bucket, the rest through the servers of ZenML and MLflow on the cable.

pytest collects it only when it is named: it makes an image, and takes minutes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from zenml.constants import DEFAULT_ZENML_JWT_TOKEN_LEEWAY

from tests.e2e.stacks_docker import DATA_STEPS, DIGESTS, NEVER_CACHED, STEPS, TRAINING_STEPS, month_of_readings
from tests.programs import CHECKOUT
from tests.s3_server import S3Server, s3_server
from tests.second_host import CGROUPS, SecondHost, cable_of, second_host
from tests.servers import ZenServer, mlflow_server, zen_server
from tests.sshd import make_key
from tests.stack_services import docker_daemon, pipelines_image
from tests.workplace import MODEL, SMOKE, Workplace

STACK = ("--stack", "ssh")
UNCACHED = ("--source", "simulated://lab?days=30&seed=5")
SECONDS_OF_A_RUN = 3000
HOLD = """
import sys, time
from pathlib import Path
from tests.second_host import second_host
with second_host(Path(sys.argv[1]), Path(sys.argv[2])) as host:
    print(host.mark, flush=True)
    time.sleep(600)
"""

pytestmark = pytest.mark.timeout(2 * SECONDS_OF_A_RUN)


@pytest.fixture(scope="module")
def compose() -> Path:
    done = subprocess.run(["scripts/compose.sh"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, compose: Path) -> Iterator[SecondHost]:
    with second_host(tmp_path_factory.mktemp("second"), compose) as made:
        yield made


@pytest.fixture(scope="module")
def image(host: SecondHost) -> str:
    """The pipelines' image, made on this machine and given to the other."""
    with docker_daemon() as daemon:
        name = pipelines_image(daemon)
        host.give_image(daemon, name)
    return name


@pytest.fixture(scope="module")
def bucket(host: SecondHost) -> Iterator[S3Server]:
    with s3_server(host.here) as server:
        yield server


@pytest.fixture(scope="module")
def zenml(host: SecondHost, bucket: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZenServer]:
    """ZenML, whose secret store has the keys of the bucket."""
    owner = bucket.user("owner")
    bucket.client(owner).create_bucket(Bucket="edgeloop")
    with zen_server(tmp_path_factory.mktemp("zenml"), host.here) as server:
        server.keep_secret("edgeloop-s3", **{name.lower(): value for name, value in owner.items()})
        yield server


@pytest.fixture(scope="module")
def services(
    host: SecondHost, image: str, zenml: ZenServer, bucket: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What the stack file wants from the environment."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), host.here) as tracking:
        yield {
            **zenml.environment,
            "EDGELOOP_SSH_HOST": host.address,
            "EDGELOOP_SSH_KEY": str(host.key),
            "EDGELOOP_KNOWN_HOSTS": str(host.known_hosts),
            "EDGELOOP_SSH_FREE_GB": "1",
            "EDGELOOP_ARTIFACTS": "s3://edgeloop/artifacts",
            "EDGELOOP_S3_ENDPOINT": bucket.endpoint,
            "EDGELOOP_REGISTRY": "none.invalid",  # nobody asks it: the host has the image
            "EDGELOOP_IMAGE": image,
            "MLFLOW_TRACKING_URI": tracking,
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace.under(tmp_path_factory.mktemp("ssh"), SECONDS_OF_A_RUN)


@pytest.fixture(scope="module")
def first(place: Workplace, services: dict[str, str], host: SecondHost) -> dict[str, Any]:
    """Both pipelines from nothing, and which steps had a container over there."""
    outcome = place.succeed("all", *SMOKE, *STACK, env=services)
    return {**outcome.result, "containers": containers(host)}


@pytest.fixture(scope="module")
def again(place: Workplace, services: dict[str, str], host: SecondHost, first: dict[str, Any]) -> dict[str, Any]:
    """The same command again."""
    host.run("docker container prune --force")
    outcome = place.succeed("all", *SMOKE, *STACK, env=services)
    return {**outcome.result, "containers": containers(host)}


def containers(host: SecondHost) -> list[str]:
    """Steps that have or had a container over there; Compose makes those of a run all at once."""
    names = host.run("docker ps --all --format '{{.Names}}'").split()
    return sorted(name[37:] for name in names)  # behind the run's id


def kill(host: SecondHost, step: str) -> None:
    """Kill the container of a step once it has begun, which it says when ZenML knows of it."""
    deadline = time.monotonic() + SECONDS_OF_A_RUN
    while time.monotonic() < deadline:
        running = host.run("docker ps --format '{{.ID}} {{.Names}}'").splitlines()
        for identity in (line.split()[0] for line in running if line.endswith(f"-{step}")):
            if "has started" in host.run(f"docker logs {identity} 2>&1", accepted=(0, 1)):
                host.run(f"docker kill {identity}")
                return
        time.sleep(0.3)


def left_over(mark: str) -> list[str]:
    """Whatever a second machine would leave on this one."""
    cables = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    processes = subprocess.run(["ps", "-eww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [name for name, where in ((cable_of(mark), cables), (mark, processes)) if name in where]


def test_the_second_machine_sees_neither_disk_nor_network_of_this_one(host: SecondHost) -> None:
    assert (
        host.run(f"ls -A {CHECKOUT} {Path.home()} {host.folder} 2>/dev/null | grep -v :", accepted=(0, 1)).strip() == ""
    )
    assert host.run("ip route show default") == ""
    assert "(containerized)" in host.run("docker info --format '{{.OperatingSystem}}'")
    assert host.run("docker compose version --short").startswith("2.")


def test_check_finds_nothing_missing(place: Workplace, services: dict[str, str], host: SecondHost) -> None:
    told = place.succeed("stacks", "check", "ssh", env=services).result
    assert told["missing"] == 0
    found = {finding["what"]: finding["found"] for finding in told["findings"]}
    assert found[f"login on {host.address}"] == "the host key is the pinned one, and the key is taken"
    assert found[f"image on {host.address}"] == f"{services['EDGELOOP_IMAGE']} is there"


def test_both_pipelines_end_in_a_champion_on_the_server(first: dict[str, Any], services: dict[str, str]) -> None:
    assert (first["model_name"], first["model_version"], first["alias"]) == (MODEL, "1", "champion")
    assert first["mlflow_uri"] == services["MLFLOW_TRACKING_URI"]
    assert first["containers"] == sorted([*DATA_STEPS, *TRAINING_STEPS, *NEVER_CACHED])


def test_data_and_seed_give_the_model_of_the_local_stack(
    place: Workplace, services: dict[str, str], first: dict[str, Any], tmp_path: Path
) -> None:
    local = Workplace.under(tmp_path, SECONDS_OF_A_RUN)
    here = local.succeed("all", *SMOKE).result
    there = place.ask(DIGESTS, first["zenml_run"], first["data"]["zenml_run"], env=services)
    assert there == local.ask(DIGESTS, here["zenml_run"], here["data"]["zenml_run"])
    print(json.dumps(there))  # noqa: T201 - a figure to be quoted; pytest -s shows it
    assert first["test"] == here["test"]


def test_a_second_run_starts_a_container_only_for_what_is_never_cached(again: dict[str, Any]) -> None:
    assert again["containers"] == sorted(NEVER_CACHED)
    assert again["data"]["cached"] == DATA_STEPS
    assert again["cached"] == TRAINING_STEPS
    assert again["already_registered"] is True


# Compose waits for a step that others wait for; the last one nobody waits for.
@pytest.mark.parametrize("step", NEVER_CACHED)
def test_a_killed_step_fails_the_run_with_the_reason(
    place: Workplace, services: dict[str, str], host: SecondHost, again: dict[str, Any], step: str
) -> None:
    killer = threading.Thread(target=kill, args=(host, step), daemon=True)
    killer.start()
    message = place.refuse(5, "train", *SMOKE, *STACK, env=services)
    killer.join()
    # Compose says so of a step that others wait for; of the last one, which nobody waits for, its host is asked, which
    # may have removed the container by then.
    reasons = (
        "of run 'training-.*' ended without a report",
        "ended on host '.*' with code 137",
        "ended without a report, and host '.*' has no container",
    )
    assert re.search(f"step {step!r} ({'|'.join(reasons)})", message)
    left = place.ask(STEPS, env=services)
    assert left["status"] == "failed"
    assert left["steps"][step] == "failed"
    after = place.succeed("train", *SMOKE, *STACK, env=services).result
    assert after["cached"] == TRAINING_STEPS


def test_an_error_of_ours_comes_back_as_itself(place: Workplace, services: dict[str, str], first: Any) -> None:
    command = ("data", *SMOKE, *STACK, "--source", "simulated://lab?days=4&seed=1")
    assert "data gate" in place.refuse(3, *command, env=services)


def test_a_file_of_this_machine_reaches_the_host_through_the_bucket(
    place: Workplace, services: dict[str, str], tmp_path: Path
) -> None:
    given = ("--source", str(month_of_readings(tmp_path)))
    there = place.succeed("data", *SMOKE, *STACK, *given, env=services).result
    assert there["cached"] == []
    (tmp_path / "local").mkdir()
    here = Workplace.under(tmp_path / "local", SECONDS_OF_A_RUN).succeed("data", *SMOKE, *given).result
    assert here["dataset"]["digest"] == there["dataset"]["digest"]


def test_an_expired_token_is_told(services: dict[str, str], zenml: ZenServer, tmp_path: Path) -> None:
    place = Workplace.under(tmp_path, SECONDS_OF_A_RUN)  # the other one remembers a key, and would take it instead
    token = zenml.short_token(seconds=1)
    time.sleep(DEFAULT_ZENML_JWT_TOKEN_LEEWAY + 3)
    expired = {**services, "ZENML_STORE_API_TOKEN": token}
    del expired["ZENML_STORE_API_KEY"]
    outcome = place.run("stacks", "check", "ssh", "--json", env=expired)
    assert outcome.code == 4
    (told,) = [finding for finding in outcome.result["findings"] if finding["what"] == "ZenML"]
    assert "refuses the token" in told["found"]
    assert "refuses the token" in place.refuse(4, "data", *SMOKE, *STACK, env=expired)


def test_a_host_that_does_not_answer_is_told(place: Workplace, services: dict[str, str], host: SecondHost) -> None:
    nobody = {**services, "EDGELOOP_SSH_PORT": "23"}
    outcome = place.run("stacks", "check", "ssh", "--json", env=nobody)
    assert outcome.code == 4
    absent = {finding["what"]: finding["how"] for finding in outcome.result["findings"] if finding["ok"] is False}
    assert set(absent) == {f"login on {host.address}", "SSH server"}
    message = place.refuse(5, "data", *SMOKE, *STACK, *UNCACHED, env=nobody)
    assert message.startswith(f"host {host.address!r} does not answer over SSH")


def test_a_host_with_another_key_is_refused(
    place: Workplace, services: dict[str, str], host: SecondHost, tmp_path: Path
) -> None:
    make_key(tmp_path / "other")
    kind, public = (tmp_path / "other.pub").read_text(encoding="ascii").split()[:2]
    (tmp_path / "known_hosts").write_text(f"{host.address} {kind} {public}\n", encoding="ascii")
    wrong = {**services, "EDGELOOP_KNOWN_HOSTS": str(tmp_path / "known_hosts")}
    message = place.refuse(4, "data", *SMOKE, *STACK, *UNCACHED, env=wrong)
    assert message.startswith(f"host {host.address!r} is not the pinned one")


def test_an_image_that_the_host_cannot_get_is_told(place: Workplace, services: dict[str, str]) -> None:
    absent = {**services, "EDGELOOP_IMAGE": "none.invalid/edgeloop-pipelines:absent"}
    outcome = place.run("stacks", "check", "ssh", "--json", env=absent)
    assert outcome.code == 4
    message = place.refuse(5, "data", *SMOKE, *STACK, *UNCACHED, env=absent)
    assert "did not start the steps" in message
    assert len(message) < 600


def test_nothing_is_left_when_a_test_fails(tmp_path: Path, compose: Path) -> None:
    marks = []

    def fail() -> None:
        with second_host(tmp_path / "host", compose) as made:
            marks.append(made.mark)
            assert left_over(made.mark) == [cable_of(made.mark), made.mark]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (mark,) = marks
    assert left_over(mark) == []
    assert list(CGROUPS.glob(f"*/{mark}")) == []
    assert not (tmp_path / "host" / "disk").exists()


def test_nothing_runs_on_when_the_tests_are_killed(tmp_path: Path, compose: Path) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path / "host"), str(compose)]
    with subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        mark = holder.stdout.readline().strip()
        assert left_over(mark) == [cable_of(mark), mark]
        os.kill(holder.pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while left_over(mark):
        assert time.monotonic() < end, left_over(mark)
        time.sleep(0.1)
