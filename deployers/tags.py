"""Tags in MLflow that say where a registered version runs: which image, on which Jetson and board, since when.

On the model version, for a Jetson `kitchen` and its board `board-1`:

    running_since.kitchen            2026-11-21T13:05:09Z      the hub's own forecasts come from it
    image_version.kitchen            7
    image_sha256.kitchen             …
    running_since.kitchen.board-1    likewise for the board
    ran_until.kitchen.board-1        instead of the three, when another version took its place

What is to be told is on the disk before MLflow is asked, and goes when it has been told: the next command repeats it.
What was last written down of each place is kept beside it, so that a command that was cut off before it could write
anything is made up for by the next one, which finds another model there than it knows of.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from deployers.exceptions import InputError
from deployers.protocol.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

FOLDER, KNOWN = "tags", "running.json"
SINCE, VERSION, SHA256, UNTIL = "running_since", "image_version", "image_sha256", "ran_until"


class Registry(Protocol):
    """The two calls of MlflowClient that tell it tags."""

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set one."""
        ...

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Take one away; one that is not there is no error."""
        ...


@dataclass(frozen=True)
class Change:
    """What becomes of the tags of one registered version.

    Attributes:
        model: its name.
        version: its number.
        given: tags to set.
        taken: tags to take away.
    """

    model: str
    version: str
    given: dict[str, str] = field(default_factory=dict)
    taken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Running:
    """A registered version and its image, at a place.

    Attributes:
        model: its name, empty where it is not registered: there is nobody to tell.
        version: its number.
        image_version: of the image.
        image_sha256: likewise.
    """

    model: str
    version: str
    image_version: int
    image_sha256: str


def changes(place: str, before: Running | None, now: Running, time: str) -> list[Change]:
    """The tags after a place changed from one model to another.

    Args:
        place: a Jetson, or a Jetson and a board with a dot between them.
        before: what ran there; none if nothing did, or nobody knows.
        now: what runs there.
        time: since when, as ISO 8601.
    """
    found = []
    if before is not None and before.model and (before.model, before.version) != (now.model, now.version):
        taken = tuple(f"{name}.{place}" for name in (SINCE, VERSION, SHA256))
        found.append(Change(before.model, before.version, {f"{UNTIL}.{place}": time}, taken))
    if now.model:
        given = {SINCE: time, VERSION: str(now.image_version), SHA256: now.image_sha256}
        tags = {f"{name}.{place}": value for name, value in given.items()}
        found.append(Change(now.model, now.version, tags, (f"{UNTIL}.{place}",)))
    return found


def known(home: Path) -> dict[str, Running]:
    """What was last written down of each place; nothing where that cannot be read, and all is told again."""
    try:
        found: dict[str, dict[str, Any]] = json.loads((home / KNOWN).read_text(encoding="utf-8"))
        return {place: Running(**entry) for place, entry in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def keep(home: Path, identity: str, found: Iterable[Change], places: Mapping[str, Running]) -> bool:
    """Put what is to be told on the disk; whether there is anything.

    Args:
        home: the deployer's folder.
        identity: of the deployment.
        found: what is to be told.
        places: what runs there now.
    """
    listed = [asdict(each) for each in found]
    if listed:
        (home / FOLDER).mkdir(parents=True, exist_ok=True)
        write_whole(home / FOLDER / f"{identity}.json", json.dumps(listed, indent=1).encode(), 0o600)
    if places:
        told = {place: asdict(each) for place, each in {**known(home), **places}.items()}
        write_whole(home / KNOWN, json.dumps(told, indent=1, sort_keys=True).encode(), 0o600)
    return bool(listed)


def pending(home: Path) -> list[Path]:
    """What has not been told yet, the oldest first."""
    return sorted((home / FOLDER).glob("*.json"))


def tell(home: Path, registry: Registry, is_gone: Callable[[Exception], bool] = lambda _: False) -> int:
    """Tell all that has not been told; how many deployments that were.

    Args:
        home: the deployer's folder.
        registry: is told.
        is_gone: whether an error says that the version is not registered any more: then nobody is to be told.

    Raises:
        InputError: a file there is none of ours.
        Exception: whatever the registry raises; what was not told stays.
    """
    waiting = pending(home)
    for path in waiting:
        for change in _read(path):
            try:
                _tell(registry, change)
            except Exception as error:
                if not is_gone(error):
                    raise
        path.unlink()
    return len(waiting)


def _tell(registry: Registry, change: Change) -> None:
    for key, value in change.given.items():
        registry.set_model_version_tag(change.model, change.version, key, value)
    for key in change.taken:
        registry.delete_model_version_tag(change.model, change.version, key)


def _read(path: Path) -> list[Change]:
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [Change(each["model"], each["version"], dict(each["given"]), tuple(each["taken"])) for each in found]
    except (ValueError, TypeError, KeyError, OSError) as error:
        msg = f"{str(path)!r} cannot be read ({error!r}), expected tags to be told to MLflow: move the file away"
        raise InputError(msg) from None
