"""The host of a stack whose steps run over SSH: what it lacks, why it refused, whether it lost a run."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from forecaster.errors import ForecasterError, ServiceUnavailable, StackError
from stacks import probes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stacks.schema import Component, Stack

FLAVOR = "ssh"
Found = tuple[str, bool | None, str, str]
PIN = "compare the key with its owner's, then put it into the file that known_hosts_path names (ssh-keyscan HOST)"
REACH = "see that it is up, and that EDGELOOP_SSH_HOST and EDGELOOP_SSH_PORT name it"
COMPOSE = "scripts/compose.sh fetches it: docs/stacks.md, A host over SSH"
_ENDED = re.compile(r'service "([^"]+)" didn\'t complete successfully: exit (\d+)')


def over_ssh(stack: Stack | None) -> Component | None:
    """The orchestrator of a stack whose steps run over SSH."""
    orchestrator = stack.components["orchestrator"] if stack else None
    return orchestrator if orchestrator and orchestrator.flavor == FLAVOR else None


def findings(stack: Stack) -> Iterator[Found]:
    """What, whether it is there, what was found, how to get it: on the host of a stack over SSH."""
    orchestrator = over_ssh(stack)
    if orchestrator is None:
        return
    host, docker = _host(orchestrator), _docker(orchestrator)
    login = f"login on {host}"
    there, found = probes.connection(f"{host}:{orchestrator.configuration.get('port', 22)}")
    if not there:  # ZenML would try three times
        yield login, False, found, REACH
        return
    try:
        with _client(orchestrator) as client:
            yield login, True, "the host key is the pinned one, and the key is taken", ""
            done = client.exec(f"{docker} compose version --short")
            compose = done.stdout.strip() or _last(done.stderr)
            yield f"Compose on {host}", done.exit_code == 0 and not compose.startswith("1."), compose, COMPOSE
            if stack.requires.image:
                yield _image(client, docker, host, stack.requires.image)
    except RuntimeError as error:
        yield login, False, str(connection_error(orchestrator, error) or error), "mend what it names"


def refusal(stack: Stack | None, error: Exception) -> ForecasterError | None:
    """What the orchestrator over SSH raised, in our words; None for what is not its own."""
    orchestrator = over_ssh(stack)
    if orchestrator is None or not isinstance(error, RuntimeError):
        return None
    text = str(error)
    if "compose up` failed" in text:
        return _not_started(orchestrator, text)
    if text.startswith("Preflight check failed"):
        return StackError(f"host {_host(orchestrator)!r} cannot run steps, {_last(text)}: install Docker there")
    if "GB free" in text:
        return ServiceUnavailable(f"host {_host(orchestrator)!r}: {' '.join(text.split())}")
    return connection_error(orchestrator, error)


def connection_error(orchestrator: Component, error: Exception) -> ForecasterError | None:
    """Why no connection was made, or None if `error` is about something else."""
    host, text = _host(orchestrator), " ".join(str(error).split())
    cause = str(error.__cause__ or "").strip()
    if "authentication" in text:
        user = orchestrator.configuration.get("username")
        why = f"refuses user {user!r} with this key ({cause or text})"
        return StackError(f"host {host!r} {why}: put its public key into ~/.ssh/authorized_keys there")
    if "known_hosts" in cause or "Host key" in cause:
        return StackError(f"host {host!r} is not the pinned one ({cause}): {PIN}")
    if "Could not establish" in text:
        return ServiceUnavailable(f"host {host!r} does not answer over SSH ({cause}): {REACH}")
    return None


def lost(orchestrator: Component, run_id: str) -> str | None:
    """Why a run will not come to an end: none of its containers is there any more to report; None while one is.

    Raises:
        ServiceUnavailable: the host does not answer any more.
    """
    names = f"{_docker(orchestrator)} ps --quiet --filter {shlex.quote(f'name={run_id}')}"
    try:
        with _client(orchestrator) as client:
            done = client.exec(names)
    except RuntimeError as error:
        raise connection_error(orchestrator, error) or error from error
    if done.exit_code != 0 or done.stdout.strip():
        return None
    return f"ended without a report, and host {_host(orchestrator)!r} has no container of the run any more"


def _client(orchestrator: Component) -> Any:
    """Connects as ZenML's orchestrator does."""
    from zenml.integrations.ssh.flavors import SSHOrchestratorConfig  # noqa: PLC0415 - seconds to import
    from zenml.integrations.ssh.ssh_client import SSHClient  # noqa: PLC0415

    return SSHClient(SSHOrchestratorConfig(**orchestrator.configuration))


def _image(client: Any, docker: str, host: str, image: str) -> Found:
    what, how = (
        f"image on {host}",
        "make image, and push it to the registry, or: docker save IMAGE | ssh HOST docker load",
    )
    name = shlex.quote(image)
    if client.exec(f"{docker} image inspect {name}").exit_code == 0:
        return what, True, f"{image} is there", ""
    asked = client.exec(f"{docker} manifest inspect {name} || {docker} manifest inspect --insecure {name}")
    if asked.exit_code == 0:
        return what, True, f"{image} is in its registry, the first run pulls it", ""
    return what, False, f"Docker has no image {image!r}, nor has its registry ({_last(asked.stderr)})", how


def _not_started(orchestrator: Component, text: str) -> ForecasterError:
    """Compose prints its progress, thousands of lines of it; the last is the reason."""
    host, ended = _host(orchestrator), _ENDED.search(text)
    if ended is None:
        return ServiceUnavailable(f"host {host!r} did not start the steps: {_last(text)}")
    container, code = ended.groups()
    said = ""
    with suppress(RuntimeError), _client(orchestrator) as client:  # the exit code is told at least
        done = client.exec(f"{_docker(orchestrator)} logs --tail 20 {shlex.quote(container)}")
        said = _last(done.stderr) or _last(done.stdout)
    step = container[37:] or container  # behind the run's id
    return ServiceUnavailable(f"step {step!r} ended on host {host!r} with code {code}: {said or 'it printed nothing'}")


def _host(orchestrator: Component) -> str:
    return str(orchestrator.configuration.get("hostname"))


def _docker(orchestrator: Component) -> str:
    return shlex.quote(str(orchestrator.configuration.get("docker_binary", "docker")))


def _last(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
