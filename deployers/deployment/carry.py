"""Carry out the steps of a deployment: archives, files, commands and their answers, fetched files, and the journal."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from deployers.connectors.base import failure
from deployers.deployment.archive import pack, unpack
from deployers.deployment.errand import Errand, Made
from deployers.deployment.holding import LOCKED
from deployers.exceptions import (
    BoardRefused,
    ConversionError,
    DeployerError,
    DeploymentRunning,
    GateFailed,
    InputError,
    MissingTool,
    RemoteFailed,
    RolledBack,
    ServiceUnavailable,
)
from deployers.plan import HERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deployers.connectors.base import Completed, Connector
    from deployers.connectors.command import Command
    from deployers.deployment.watching import Watcher
    from deployers.deployment.waves import Device
    from deployers.journal import Journal
    from deployers.plan import Plan, Step

# What a command of ours ends with, as the error that it had: exit codes go through from a Jetson.
ERRORS: dict[int, type[DeployerError]] = {
    kind.exit_code: kind
    for kind in (
        InputError,
        GateFailed,
        MissingTool,
        ServiceUnavailable,
        ConversionError,
        BoardRefused,
        RolledBack,
        DeploymentRunning,
    )
}
OURS = ("deployers", "deployers.hub")
PREFIX = "error: "


class Carrier:
    """Runs plans on their machines.

    Args:
        connectors: of the Jetsons, by name.
        here: this machine.
        journal: takes what was done.
        watcher: told of the progress.
    """

    def __init__(
        self, connectors: Mapping[str, Connector], here: Connector, journal: Journal, watcher: Watcher
    ) -> None:
        self._connectors, self._here, self._journal, self._watcher = connectors, here, journal, watcher
        self.stages: list[dict[str, Any]] = []

    def carry(self, plan: Plan, device: Device | None = None) -> dict[str, dict[str, Any]]:
        """Do every step in its order; the first that fails ends it.

        Args:
            plan: the steps.
            device: whose they are, where they are those of one board.

        Returns:
            What the last command of each step answered, by the step's name; empty where it is no JSON.

        Raises:
            DeployerError: as the step failed; running the same command again goes on.
        """
        return {step.name: self._step(plan, step, device) for step in plan.steps}

    def release(self, plans: Iterable[Plan]) -> None:
        """Let Jetsons go; one that is out of reach keeps its lock until that is old."""
        for plan in plans:
            try:
                self.carry(plan)
            except DeployerError as error:
                self._journal.write("not unlocked", jetson=plan.jetson, error=str(error))

    def undo(self, plan: Plan, device: Device | None = None) -> None:
        """Take back the steps that can be taken back, the last first.

        Raises:
            DeployerError: as a command failed.
        """
        for step in reversed(plan.steps):
            for command in step.undo:
                answer = self._run(plan, command)
                self._write("undone", plan, step, device, answer=_brief(answer))

    def undo_if_possible(self, plan: Plan, device: Device) -> None:
        """Likewise, after a verdict that stands whatever comes of it: a board that is away goes back by itself."""
        try:
            self.undo(plan, device)
        except DeployerError as error:
            self._journal.write("not undone", jetson=plan.jetson, board=device.board, error=str(error))

    def _step(self, plan: Plan, step: Step, device: Device | None) -> dict[str, Any]:
        self._watcher.begin(plan.jetson, step.name, device)
        self._write("begun", plan, step, device)
        since = time.monotonic()
        try:
            sent, answer = self._done(plan, step)
        except DeployerError as error:
            self._write("failed", plan, step, device, seconds=_since(since), error=str(error), code=error.exit_code)
            raise
        seconds = _since(since)
        self._write("done", plan, step, device, seconds=seconds, bytes=sent, answer=_brief(answer))
        self.stages.append({"name": step.name, "where": device.name if device else plan.jetson, "seconds": seconds})
        return answer

    def _done(self, plan: Plan, step: Step) -> tuple[int, dict[str, Any]]:
        connector, sent, answer = self._machine(plan), 0, dict[str, Any]()
        if isinstance(step, Errand):
            for packed in step.packed:
                packed.archive.parent.mkdir(parents=True, exist_ok=True)
                pack(packed.folder, packed.archive, {name: path.read_bytes() for name, path in packed.beside})
        for file in step.files:
            source = file.made if isinstance(file, Made) else file.source
            report = self._watcher.bytes_of(plan.jetson)
            sent += connector.upload(source, file.remote, file.mode, report).sent
        for command in step.commands:
            answer = self._run(plan, command)
        if isinstance(step, Errand):
            for each in step.fetched:
                each.local.parent.mkdir(parents=True, exist_ok=True)
                connector.download(each.remote, each.local, self._watcher.bytes_of(plan.jetson))
                unpack(each.local, each.folder)
        return sent, answer

    def _run(self, plan: Plan, command: Command) -> dict[str, Any]:
        connector = self._machine(plan)
        return answer_of(connector.name, command, connector.run(command))

    def _machine(self, plan: Plan) -> Connector:
        return self._here if plan.jetson == HERE else self._connectors[plan.jetson]

    def _write(self, event: str, plan: Plan, step: Step, device: Device | None, **fields: Any) -> None:
        board = {"board": device.board} if device is not None and device.board else {}
        self._journal.write(event, jetson=plan.jetson, **board, step=step.name, sha256=step.digest, **fields)


def answer_of(name: str, command: Command, done: Completed) -> dict[str, Any]:
    """What a command printed, if that is a JSON object.

    Raises:
        DeployerError: it ended with an exit code that means one; a command that is not ours: RemoteFailed.
        DeploymentRunning: the lock over there is taken.
    """
    if done.code == LOCKED and LOCKED in command.accepted:
        msg = f"{name}: deployment {done.text.strip()!r} runs there, expected none: wait for it, or end it"
        raise DeploymentRunning(msg)
    found = _object(done.text)
    if done.code in command.accepted:
        return found
    kind = ERRORS.get(done.code) if _is_ours(command) else None
    if kind is None:
        raise RemoteFailed(failure(name, command, done))
    msg = f"{name}: {_reason(found, done)}"
    raise kind(msg)


def _is_ours(command: Command) -> bool:
    words = command.plain()
    return any(word in OURS and words[place - 1] == "-m" for place, word in enumerate(words))


def _object(text: str) -> dict[str, Any]:
    lines = text.strip().splitlines()
    try:
        found = json.loads(lines[-1])
    except (ValueError, IndexError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _reason(found: dict[str, Any], done: Completed) -> str:
    """The line that says what went wrong, however it was said."""
    if found.get("error"):
        return str(found["error"])
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(PREFIX)] or lines
    return errors[-1].removeprefix(PREFIX) if errors else f"ended with {done.code} and said nothing: see its log"


def _brief(answer: dict[str, Any]) -> dict[str, Any]:
    """What of an answer goes into the journal: a conversion's has its whole report."""
    return {name: value for name, value in answer.items() if not isinstance(value, dict | list)}


def _since(moment: float) -> float:
    return round(time.monotonic() - moment, 3)
