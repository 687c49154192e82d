"""What MLflow is told after a deployment or a rollback, and how that is not lost while MLflow is away."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Place:
    """A device and what runs there now.

    Attributes:
        device: a board, or a Jetson for its hub's own forecasts.
        before: what ran there when the command began, as far as its hub knew.
        now: what runs there.
        since: when that began, as ISO 8601.
    """

    device: Device
    before: ModelThere | None
    now: tags.Running
    since: str

    @property
    def name(self) -> str:
        """What tags call it."""
        return f"{self.device.jetson}.{self.device.board}" if self.device.board else self.device.jetson


def since(milliseconds: int | None, seconds: float) -> str:
    """When a hub says that something began, else now."""
    return stamp(seconds if milliseconds is None else milliseconds / 1000)


def tell(home: Path, places: Sequence[Place], journal: Journal, ask: Callable[[Path], int], watcher: Watcher) -> str:
    """Write down what is to be told, and tell it with all that is pending.

    Args:
        home: the deployer's folder.
        places: what runs where now; those of which the same was written down before are passed over.
        journal: takes that it was told, or why not.
        ask: tells MLflow what is pending in the home.
        watcher: told of the progress.

    Returns:
        TOLD, PENDING or NOBODY.
    """
    known = tags.known(home)
    new = [place for place in places if known.get(place.name) != place.now]
    changes = [change for place in new for change in _changes(place, known.get(place.name))]
    if tags.keep(home, journal.identity, changes, {place.name: place.now for place in new}):
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


def _changes(place: Place, known: tags.Running | None) -> list[tags.Change]:
    before = running(place.before) if place.before else None
    if before == place.now:  # it was confirmed by a command that was cut off
        before = None
    last = [each for each in (known, before) if each is not None and each != place.now]
    gone = [change for each in last for change in tags.changes(place.name, each, place.now, place.since)]
    return gone or tags.changes(place.name, None, place.now, place.since)
