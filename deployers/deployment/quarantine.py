"""Versions that failed somewhere, which no command brings to a device any more until a person lets them out.

MLflow is told by a tag of the version, `quarantined`, with the next command that tells it anything.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deployers import tags
from deployers.exceptions import GateFailed, InputError, NotFound
from deployers.protocol.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

FILE, TAG = "quarantine.json", "quarantined"


@dataclass(frozen=True)
class Held:
    """A release in quarantine.

    Attributes:
        model: registered model's name.
        version: its number in the registry.
        release_sha256: of the release's manifest; "" if it failed before it was fetched.
        because: what went wrong, and where.
        since: ISO 8601.
    """

    model: str
    version: str
    release_sha256: str
    because: str
    since: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.model} {self.version}".strip() or f"release {self.release_sha256[:12]}"


def listed(home: Path) -> list[Held]:
    """All of them, the oldest first.

    Raises:
        InputError: the file is none of ours.
    """
    path = home / FILE
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [Held(**each) for each in found]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        msg = f"{str(path)!r} cannot be read ({error}), expected the versions in quarantine: mend it or move it away"
        raise InputError(msg) from None


def add(home: Path, given: Held) -> None:
    """Put one in; one that is in keeps its reason."""
    found = listed(home)
    if all(one.name != given.name for one in found):
        _write(home, [*found, given])
        _tell(home, given.since, tags.Change(given.model, given.version, {TAG: f"{given.since} {given.because}"}))


def lift(home: Path, name: str, time: str) -> Held:
    """Let one out.

    Args:
        home: the deployer's folder.
        name: as `Held.name`, or the number of its version where one model only has it.
        time: ISO 8601.

    Raises:
        NotFound: none is called so, or several.
    """
    found = listed(home)
    meant = [one for one in found if name in {one.name, one.version}]
    if len(meant) != 1:
        names = ", ".join(repr(one.name) for one in found) or "nothing"
        msg = f"{name!r} means {len(meant)} versions in quarantine, expected one of {names}: give its whole name"
        raise NotFound(msg)
    _write(home, [one for one in found if one is not meant[0]])
    _tell(home, time, tags.Change(meant[0].model, meant[0].version, taken=(TAG,)))
    return meant[0]


def held(home: Path, model: str, version: str, release_sha256: str = "") -> Held | None:
    """The one that is this release: by its content, or by its number where the same model is meant; None if none is."""
    for one in listed(home):
        if version and (one.model, one.version) == (model, version):
            return one
        if release_sha256 and one.release_sha256 == release_sha256:
            return one
    return None


def require_free(home: Path, model: str, version: str, release_sha256: str = "") -> None:
    """Refuse a release that is in quarantine.

    Raises:
        GateFailed: it is.
    """
    found = held(home, model, version, release_sha256)
    if found is not None:
        out = f"python -m deployers fleet quarantine --lift {found.name!r} lets it out"
        msg = f"{found.name} is in quarantine since {found.since} ({found.because}), expected another version: {out}"
        raise GateFailed(msg)


def _tell(home: Path, time: str, change: tags.Change) -> None:
    """Names of what is to be told are told in their order, which is that of time."""
    if change.model:
        tags.keep(home, f"{time.replace(':', '-')}-quarantine-{secrets.token_hex(2)}", [change], {})


def _write(home: Path, found: list[Held]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    write_whole(home / FILE, json.dumps([asdict(one) for one in found], indent=1).encode(), 0o600)
