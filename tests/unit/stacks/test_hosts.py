"""The host of a stack over SSH: a real sshd on loopback, and a program that answers where Docker would."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from zenml.integrations.ssh.flavors import SSHOrchestratorConfig
from zenml.integrations.ssh.ssh_client import SSHClient

from forecaster.errors import ForecasterError, ServiceUnavailable, StackError
from stacks import hosts
from stacks.schema import Component, Stack
from tests.sshd import Server, make_key, running

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "5edc102c-e3e5-4584-99e0-28c7728613a5"
PROGRESS = "\n".join(f"bf2c19f41ceb Extracting [{'=' * part}>] {part}MB/882.2MB" for part in range(500))
DOCKER = """#!/bin/sh
case "$*" in
    "compose version --short") echo 2.26.1 ;;
    "image inspect here:1") echo [] ;;
    "manifest inspect"*"there:1") echo {} ;;
    "manifest inspect"*) echo "no such manifest" >&2; exit 1 ;;
    "logs --tail 20 "*-clean) printf 'Traceback\\nModuleNotFoundError: No module named one\\n' >&2 ;;
    "ps --quiet --filter name="*) cat "$0.running" ;;
    *) exit 1 ;;
esac
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("sshd")) as made:
        kind, public = (made.folder / "host_ed25519.pub").read_text(encoding="ascii").split()[:2]
        (made.folder / "known_hosts").write_text(f"[127.0.0.1]:{made.port} {kind} {public}\n", encoding="ascii")
        yield made


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    program = tmp_path / "docker"
    program.write_text(DOCKER, encoding="ascii")
    program.chmod(0o755)
    return program


def stack(server: Server, docker: Path | str = "docker", image: str = "here:1", **changes: object) -> Stack:
    configuration = {
        "hostname": "127.0.0.1",
        "port": server.port,
        "username": getpass.getuser(),
        "ssh_key_path": str(server.folder / "client"),
        "known_hosts_path": str(server.folder / "known_hosts"),
        "docker_binary": str(docker),
        **changes,
    }
    orchestrator = Component(name="o", flavor="ssh", configuration=configuration)
    store = Component(name="s", flavor="local")
    return Stack.model_validate(
        {
            "name": "over-ssh",
            "components": {"orchestrator": orchestrator.model_dump(), "artifact_store": store.model_dump()},
            "requires": {"image": image},
        }
    )


def local() -> Stack:
    part = {"name": "l", "flavor": "local"}
    return Stack.model_validate({"name": "local", "components": {"orchestrator": part, "artifact_store": part}})


def raised(stack: Stack) -> RuntimeError:
    """What ZenML's orchestrator raises when it connects."""
    orchestrator = hosts.over_ssh(stack)
    assert orchestrator is not None
    client = SSHClient(SSHOrchestratorConfig(**orchestrator.configuration))
    with pytest.raises(RuntimeError) as caught:
        client.__enter__()
    return caught.value


def refused(stack: Stack, error: Exception) -> ForecasterError:
    refusal = hosts.refusal(stack, error)
    assert refusal is not None
    return refusal


def test_a_host_with_everything_lacks_nothing(server: Server, docker: Path) -> None:
    found = {what: (ok, said) for what, ok, said, _ in hosts.findings(stack(server, docker))}
    assert found == {
        "login on 127.0.0.1": (True, "the host key is the pinned one, and the key is taken"),
        "Compose on 127.0.0.1": (True, "2.26.1"),
        "image on 127.0.0.1": (True, "here:1 is there"),
    }


def test_an_image_in_the_registry_will_do(server: Server, docker: Path) -> None:
    *_, (_, ok, said, _) = hosts.findings(stack(server, docker, "there:1"))
    assert (ok, said) == (True, "there:1 is in its registry, the first run pulls it")


def test_an_image_that_is_nowhere_is_missing(server: Server, docker: Path) -> None:
    *_, (_, ok, said, how) = hosts.findings(stack(server, docker, "nowhere:1"))
    assert ok is False
    assert "'nowhere:1'" in said
    assert "no such manifest" in said
    assert "docker load" in how


def test_compose_1_will_not_do(server: Server, docker: Path) -> None:
    docker.write_text(DOCKER.replace("2.26.1", "1.29.2"), encoding="ascii")
    _, (what, ok, said, how), _ = hosts.findings(stack(server, docker))
    assert (what, ok, said) == ("Compose on 127.0.0.1", False, "1.29.2")
    assert "scripts/compose.sh" in how


def test_a_host_without_docker_lacks_compose_and_image(server: Server, tmp_path: Path) -> None:
    found = [(what, ok) for what, ok, _, _ in hosts.findings(stack(server, tmp_path / "none"))]
    assert found[1:] == [("Compose on 127.0.0.1", False), ("image on 127.0.0.1", False)]


def test_a_port_without_a_server_is_told_at_once(server: Server) -> None:
    ((what, ok, said, how),) = hosts.findings(stack(server, port=1))
    assert (what, ok) == ("login on 127.0.0.1", False)
    assert "'127.0.0.1:1' takes no connection" in said
    assert "EDGELOOP_SSH_HOST" in how


def test_another_host_key_is_refused(server: Server, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    kind, public = (tmp_path / "other.pub").read_text(encoding="ascii").split()[:2]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {kind} {public}\n", encoding="ascii")
    wrong = stack(server, known_hosts_path=str(tmp_path / "known_hosts"))
    error = refused(wrong, raised(wrong))
    assert isinstance(error, StackError)
    assert "is not the pinned one" in str(error)


def test_an_unknown_host_key_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    unknown = stack(server, known_hosts_path=str(tmp_path / "known_hosts"))
    ((_, ok, said, _),) = hosts.findings(unknown)
    assert ok is False
    assert "not found in known_hosts" in said
    assert "ssh-keyscan" in said


def test_a_key_that_is_not_taken_is_told(server: Server, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    stranger = stack(server, ssh_key_path=str(tmp_path / "stranger"))
    error = refused(stranger, raised(stranger))
    assert isinstance(error, StackError)
    assert f"refuses user {getpass.getuser()!r}" in str(error)
    assert "authorized_keys" in str(error)


def test_a_host_that_is_down_is_a_service_that_does_not_answer(server: Server) -> None:
    down = stack(server, port=1)
    error = refused(down, raised(down))
    assert isinstance(error, ServiceUnavailable)
    assert "does not answer over SSH" in str(error)
    with pytest.raises(ServiceUnavailable, match="does not answer over SSH"):
        hosts.lost(component(down), RUN)


def test_of_composes_progress_the_reason_is_left(server: Server) -> None:
    text = f"`docker compose up` failed on 127.0.0.1: {PROGRESS}\nError response from daemon: no such image\n"
    told = str(refused(stack(server), RuntimeError(text)))
    assert told == "host '127.0.0.1' did not start the steps: Error response from daemon: no such image"


def test_a_step_that_ended_early_is_told_with_what_it_printed_last(server: Server, docker: Path) -> None:
    text = f'`docker compose up` failed: {PROGRESS}\nservice "{RUN}-clean" didn\'t complete successfully: exit 1\n'
    told = str(refused(stack(server, docker), RuntimeError(text)))
    assert told == "step 'clean' ended on host '127.0.0.1' with code 1: ModuleNotFoundError: No module named one"


def test_a_step_that_printed_nothing_is_told_with_its_code(server: Server) -> None:
    text = f'`docker compose up` failed: service "{RUN}-clean" didn\'t complete successfully: exit 137'
    told = str(refused(stack(server, port=1), RuntimeError(text)))
    assert told == "step 'clean' ended on host '127.0.0.1' with code 137: it printed nothing"


def test_a_host_without_docker_or_room_is_told(server: Server) -> None:
    without = RuntimeError("Preflight check failed: Docker is not available\nstderr: sh: docker: not found")
    assert "docker: not found" in str(refused(stack(server), without))
    full = RuntimeError("The remote host has only 0.3 GB free on the filesystem holding /tmp")
    assert "only 0.3 GB free" in str(refused(stack(server), full))


def test_errors_of_others_are_left_alone(server: Server) -> None:
    assert hosts.refusal(stack(server), RuntimeError("out of memory")) is None
    assert hosts.refusal(stack(server), ValueError("Preflight check failed")) is None
    assert hosts.refusal(local(), RuntimeError("Preflight check failed")) is None
    assert hosts.refusal(None, RuntimeError("Preflight check failed")) is None


def component(of: Stack) -> Component:
    orchestrator = hosts.over_ssh(of)
    assert orchestrator is not None
    return orchestrator


def test_a_run_is_not_lost_as_long_as_one_of_its_containers_runs(server: Server, docker: Path) -> None:
    running_file = docker.with_name("docker.running")
    running_file.write_text("4f084045a8ad\n", encoding="ascii")
    assert hosts.lost(component(stack(server, docker)), RUN) is None
    running_file.write_text("", encoding="ascii")
    why = hosts.lost(component(stack(server, docker)), RUN)
    assert why == "ended without a report, and host '127.0.0.1' has no container of the run any more"


def test_a_command_that_fails_tells_nothing_of_a_run(server: Server, tmp_path: Path) -> None:
    assert hosts.lost(component(stack(server, tmp_path / "none")), RUN) is None


def test_other_orchestrators_have_no_host() -> None:
    assert hosts.over_ssh(local()) is hosts.over_ssh(None) is None
    assert list(hosts.findings(local())) == []
