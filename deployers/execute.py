"""Carry out plans: files, commands, the journal, and what people see of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from deployers.connectors.base import require
from deployers.exceptions import DeployerError
from deployers.plan import HERE

if TYPE_CHECKING:
    from deployers.connectors.base import Connector
    from deployers.journal import Journal
    from deployers.plan import Plan, Step


class Watcher(Protocol):
    """Who is told how far a plan is: a progress bar, or nobody."""

    def begin(self, plan: Plan, step: Step, number: int) -> None:
        """A step begins."""
        ...

    def bytes_done(self, plan: Plan, done: int, total: int) -> None:
        """So much of the step's files is there."""
        ...


class Nobody:
    """Watches nothing."""

    def begin(self, plan: Plan, step: Step, number: int) -> None:
        """A step begins."""

    def bytes_done(self, plan: Plan, done: int, total: int) -> None:
        """So much of the step's files is there."""


@dataclass(frozen=True, slots=True)
class Executed:
    """What carrying out a plan took.

    Attributes:
        steps: that were done.
        sent: bytes that went over the line.
        seconds: it took.
    """

    steps: int
    sent: int
    seconds: float


def execute(
    plan: Plan, there: Connector, here: Connector, journal: Journal, watcher: Watcher | None = None
) -> Executed:
    """Do every step in its order; the first that fails ends it.

    Each step is written to the journal as it begins and as it ends: `begun`, then `done` or `failed`, with its digest.

    Args:
        plan: what is to be done.
        there: the Jetson.
        here: this machine.
        journal: takes the record.
        watcher: told of the progress.

    Raises:
        DeployerError: what a step failed with; all before it are done, and running the plan again goes on.
    """
    began, sent, watching = time.monotonic(), 0, watcher or Nobody()
    for number, step in enumerate(plan.steps):
        watching.begin(plan, step, number)
        fields = {"jetson": plan.jetson, "step": step.name, "sha256": step.digest}
        journal.write("begun", **fields)
        since = time.monotonic()
        try:
            count = _do(plan, step, here if step.where == HERE else there, watching)
        except DeployerError as error:
            journal.write("failed", **fields, seconds=_since(since), error=str(error))
            raise
        journal.write("done", **fields, seconds=_since(since), bytes=count)
        sent += count
    return Executed(len(plan.steps), sent, _since(began))


def _do(plan: Plan, step: Step, connector: Connector, watching: Watcher) -> int:
    """One step; the bytes that went over the line."""
    before, sent, total = 0, 0, step.bytes
    for file in step.files:
        moved = connector.upload(
            file.source,
            file.remote,
            file.mode,
            lambda done, _, before=before: watching.bytes_done(plan, before + done, total),  # type: ignore[misc]
        )
        before, sent = before + file.size, sent + moved.sent
    for command in step.commands:
        require(connector, command)
    return sent


def undo(plan: Plan, there: Connector, here: Connector, journal: Journal) -> None:
    """Take back every step that can be taken back, the last first.

    Raises:
        DeployerError: what a command failed with.
    """
    for step in reversed(plan.steps):
        for command in step.undo:
            require(here if step.where == HERE else there, command)
        if step.undo:
            journal.write("undone", jetson=plan.jetson, step=step.name, sha256=step.digest)


def _since(moment: float) -> float:
    return round(time.monotonic() - moment, 3)
