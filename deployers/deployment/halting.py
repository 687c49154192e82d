"""The emergency stop of a home: as long as it is there, nothing new begins on any device; rollbacks may."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from deployers.deployment.telling import stamp
from deployers.exceptions import Conflict, InputError
from deployers.protocol.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

FILE = "stopped.json"


@dataclass(frozen=True)
class Stop:
    """An emergency stop.

    Attributes:
        because: why, in one line.
        who: stopped it.
        since: ISO 8601.
    """

    because: str
    who: str
    since: str


def stop(home: Path, because: str, who: str, clock: float) -> Stop:
    """Stop everything; one that is there already keeps its reason.

    Args:
        home: the deployer's folder.
        because: why.
        who: stops.
        clock: seconds since 1970.
    """
    found = stopped(home)
    if found is None:
        found = Stop(because, who, stamp(clock))
        home.mkdir(parents=True, exist_ok=True)
        write_whole(home / FILE, json.dumps(asdict(found)).encode(), 0o600)
    return found


def stopped(home: Path) -> Stop | None:
    """The stop that is there.

    Raises:
        InputError: the file cannot be read; nothing begins then either.
    """
    path = home / FILE
    try:
        return Stop(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        msg = f"{str(path)!r} cannot be read ({error}), expected an emergency stop: python -m deployers fleet resume"
        raise InputError(msg) from None


def is_stopped(home: Path) -> bool:
    """Whether there is a stop, readable or not."""
    return (home / FILE).exists()


def resume(home: Path) -> bool:
    """Lift the stop; whether there was one."""
    there = is_stopped(home)
    (home / FILE).unlink(missing_ok=True)
    return there


def require_going(home: Path) -> None:
    """Refuse to begin anything while there is a stop.

    Raises:
        Conflict: there is one.
        InputError: see `stopped`.
    """
    found = stopped(home)
    if found is not None:
        since = f"by {found.who} since {found.since}: {found.because!r}"
        msg = f"everything is stopped {since}, expected no stop: python -m deployers fleet resume lifts it"
        raise Conflict(msg)
