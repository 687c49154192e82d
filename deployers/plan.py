"""What will be done, as data: pure functions make plans, `execute` carries them out, tests compare their JSON.

A plan has steps, a step has files that are put somewhere and commands that follow them. Whoever reads a plan sees
every command and every file with its hash and mode; what a secret file holds is in no plan.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePosixPath

    from deployers.connectors.base import Source
    from deployers.connectors.command import Command

HERE = "here"  # where a step runs: on this machine, or on the Jetson
THERE = "there"


@dataclass(frozen=True)
class File:
    """A file to be put on the Jetson.

    Args:
        source: its bytes, or the file here that has them.
        remote: where it goes; the folder exists by then.
        mode: permissions.
        secret: whether a plan keeps even its hash to itself.
    """

    source: Source = field(repr=False)
    remote: PurePosixPath
    mode: int = 0o644
    secret: bool = False

    @cached_property
    def sha256(self) -> str:
        """Of what it holds, as hexadecimal digits."""
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        with self.source.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def as_dict(self) -> dict[str, Any]:
        """For people and for golden files."""
        named = {"path": str(self.remote), "mode": f"{self.mode:04o}"}
        return named if self.secret else {**named, "bytes": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class Step:
    """A part of the work that is done as a whole or done again.

    Args:
        name: what people and journals call it; unique in its plan.
        files: put in place first.
        commands: run after that, one after the other.
        where: HERE or THERE.
        undo: commands that take it back.
    """

    name: str
    files: tuple[File, ...] = ()
    commands: tuple[Command, ...] = ()
    where: str = THERE
    undo: tuple[Command, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For people and for golden files; no secret in it."""
        found: dict[str, Any] = {"name": self.name, "where": self.where}
        if self.files:
            found["files"] = [file.as_dict() for file in self.files]
        if self.commands:
            found["commands"] = [command.shown() for command in self.commands]
        if self.undo:
            found["undo"] = [command.shown() for command in self.undo]
        return found

    @property
    def digest(self) -> str:
        """SHA-256 of what is done, by which a journal knows the step again."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """How much is to be uploaded."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Plan:
    """Steps for one Jetson, in their order; none of them means that there is nothing to change."""

    jetson: str
    steps: tuple[Step, ...]

    def __bool__(self) -> bool:
        return bool(self.steps)

    def as_dict(self) -> dict[str, Any]:
        """The golden JSON."""
        return {"jetson": self.jetson, "steps": [step.as_dict() for step in self.steps]}


def plan_of(jetson: str, steps: Iterable[Step | None]) -> Plan:
    """A plan of those steps that there are."""
    return Plan(jetson, tuple(step for step in steps if step is not None))
