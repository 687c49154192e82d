"""What refuses a run before its first step, with what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forecaster.errors import ServiceUnavailable, StackError
from stacks import probes

if TYPE_CHECKING:
    from zenml.client import Client

    from stacks.schema import Stack

# Of containers on a platform elsewhere nothing is known here; a folder of this machine is ZenML's own.
CONTAINERS_HERE, FILES_HERE = ("local_docker", "airflow"), "local"


def require_image(stack: Stack | None) -> None:
    """Refuse a run whose containers on this machine could not start.

    Raises:
        StackError: Docker has no such image.
        ServiceUnavailable: the Docker daemon does not answer.
    """
    if stack is None or stack.requires.image is None or stack.components["orchestrator"].flavor not in CONTAINERS_HERE:
        return
    there, found = probes.image(stack.requires.image)
    if there is False:
        msg = f"{found}, the steps of stack {stack.name!r} run in it: make image, or name another in EDGELOOP_IMAGE"
        raise StackError(msg)
    if there is None:
        msg = f"{found}, stack {stack.name!r} needs its daemon: start it, or name another in DOCKER_HOST"
        raise ServiceUnavailable(msg)


def require_store(client: Client, stack: Stack | None) -> None:
    """Refuse a run whose artifacts could not be stored, before a step has computed one.

    Raises:
        ServiceUnavailable: the artifact store does not answer, is not there, or may not be written.
    """
    if stack is None or stack.components["artifact_store"].flavor == FILES_HERE:
        return
    there, found = probes.artifact_store(client, stack.components["artifact_store"])
    if there is False:
        rights = "name a bucket, and credentials that may read, write and delete in it, then run the same command again"
        msg = f"artifact store of stack {stack.name!r}: {found}; {rights}"
        raise ServiceUnavailable(msg)
