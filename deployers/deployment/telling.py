"""What MLflow is told after a deployment or a rollback, and how that is not lost while MLflow is away."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deployers import tags
from deployers.exceptions import DeployerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deployers.deployment.state import ModelThere
    from deployers.deployment.watching import Watcher
    from deployers.deployment.waves import Device
    from deployers.journal import Journal

TOLD, PENDING, NOBODY = "told", "pending", "nothing to tell"


def stamp(seconds: float) -> str:
    """A time as tags have it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def running(model: ModelThere) -> tags.Running:
    """A model of a hub as tags name it."""
    return tags.Running(model.model, model.model_version, model.version, model.image_sha256)


def changed(device: Device, before: ModelThere | None, now: tags.Running, time: str) -> list[tags.Change]:
    """The tags after a device changed from one model to another."""
    place = f"{device.jetson}.{device.board}" if device.board else device.jetson
    return tags.changes(place, running(before) if before else None, now, time)


def tell(
    home: Path, changes: Sequence[tags.Change], journal: Journal, ask: Callable[[Path], int], watcher: Watcher
) -> str:
    """Write down what is to be told, and tell it with all that is pending.

    Args:
        home: the deployer's folder.
        changes: of this deployment.
        journal: takes that it was told, or why not.
        ask: tells MLflow what is pending in the home.
        watcher: told of the progress.

    Returns:
        TOLD, PENDING or NOBODY.
    """
    if tags.keep(home, journal.identity, changes):
        journal.write("to tell MLflow", changes=len(changes))
    if not tags.pending(home):
        return NOBODY
    watcher.begin("MLflow", "tell what runs where", None)
    try:
        count = ask(home)
    except DeployerError as error:
        journal.write("MLflow not told", error=str(error))
        watcher.end("MLflow", PENDING)
        return PENDING
    journal.write("MLflow told", deployments=count)
    watcher.end("MLflow", TOLD)
    return TOLD
