"""Rollback: hub and boards run again what ran before, from the image that was signed for it; no key is needed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployers.connectors.local import LocalConnector
from deployers.deployment import telling
from deployers.deployment.carry import Carrier
from deployers.deployment.holding import closing, locking
from deployers.deployment.lease import renewed
from deployers.deployment.looking import look
from deployers.deployment.places import Workshop
from deployers.deployment.plan import ACTIVATE, INSTALL_SECONDS, DeploymentPlan, Patience, board_plan
from deployers.deployment.preparing import JOURNAL, give_up, owner, who
from deployers.deployment.preparing import KIND as DEPLOY
from deployers.deployment.rollout import DONE, Limits, Rollout, gravest, gravest_error
from deployers.deployment.waves import Device, Wave
from deployers.exceptions import Conflict
from deployers.journal import Journal, deployment_lock, unfinished
from deployers.plan import Plan, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deployers.deployment.looking import Reach, Seen
    from deployers.deployment.places import Target
    from deployers.deployment.rollout import DeviceReport
    from deployers.deployment.selection import Selected
    from deployers.deployment.watching import Watcher

KIND = "rollback"
BACK, NOTHING, FAILED = "rolled back", "nothing to do", "failed"
EVERYTHING = 1_000_000  # a rollback does not stop: what runs now is not wanted anywhere


def way_back(target: Target) -> int:
    """The version that a Jetson goes back to; the one that runs if that is a way back already.

    Raises:
        Conflict: there is none.
    """
    there = target.there
    back = next((model.version for model in there.models if model.way_back_for == there.active), None)
    active = there.model_of(there.active)
    if back is None and active is not None and active.way_back_for is not None:
        return active.version
    if back is None:
        runs = f"runs version {there.active!r}, which has no way back" if active else "runs no model"
        msg = f"{target.name} {runs}, expected one that replaced another: deploy the version that is to run"
        raise Conflict(msg)
    return back


def rollback_plan(targets: Sequence[Target], shop: Workshop, patience: Patience) -> DeploymentPlan:
    """What a rollback does.

    Raises:
        Conflict: a Jetson has no way back.
    """
    versions = {target.name: way_back(target) for target in targets}
    boards = {
        Device(target.name, board): board_plan(target, board, versions[target.name], patience)
        for target in targets
        for board in target.boards
        if not target.is_confirmed(board, versions[target.name])
    }
    lacking = [target for target in targets if target.there.active != versions[target.name]]
    changed = [target for target in targets if target in lacking or any(d.jetson == target.name for d in boards)]
    return DeploymentPlan(
        installing={target.name: _activating(target, versions[target.name], shop) for target in changed},
        boards=boards,
        closing={target.name: Plan(target.name, (closing(target, shop),)) for target in changed},
        versions=versions,
    )


def _activating(target: Target, version: int, shop: Workshop) -> Plan:
    lock = locking(target, shop)
    if target.there.active == version:
        return Plan(target.name, (lock,))
    command = target.site.hub("ctl", "activate", str(version), timeout=INSTALL_SECONDS)
    return Plan(target.name, (lock, Step(ACTIVATE, commands=(command,))))


@dataclass(frozen=True)
class WentBack:
    """How a rollback came out: schema 1 of `rollback --json`; fields are only ever added.

    schema, rollback, result (rolled back, nothing to do, failed), exit_code,
    jetsons [{jetson, version: that runs now, before, model: name and registered version}],
    devices [{jetson, board, state, version, seconds, error}], seconds, mlflow, error, journal
    """

    identity: str
    devices: tuple[DeviceReport, ...]
    jetsons: tuple[dict[str, Any], ...]
    seconds: float
    mlflow: str
    journal: str

    @property
    def exit_code(self) -> int:
        """That of the gravest failure."""
        return gravest([device.code for device in self.devices if device.is_failed])

    @property
    def result(self) -> str:
        """One word."""
        if self.exit_code:
            return FAILED
        return NOTHING if all(device.state == "already" for device in self.devices) else BACK

    @property
    def error(self) -> str:
        """One line; empty if nothing failed."""
        failed = [device for device in self.devices if device.is_failed]
        first = next((device.error for device in failed if device.code == self.exit_code), "")
        return first if len(failed) < 2 else f"{len(failed)} of {len(self.devices)} devices failed; {first}"

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema": 1,
            "rollback": self.identity,
            "result": self.result,
            "exit_code": self.exit_code,
            "jetsons": list(self.jetsons),
            "devices": [device.as_dict() for device in self.devices],
            "seconds": round(self.seconds, 3),
            "mlflow": self.mlflow,
            "error": self.error or None,
            "journal": self.journal,
        }


@dataclass(frozen=True)
class Back:
    """What a rollback needs from outside; see `Around`."""

    home: Path
    chosen: tuple[Selected, ...]
    reach: Reach
    tell: Callable[[Path], int]
    clock: Callable[[], float] = time.time
    limits: Limits = field(default_factory=lambda: Limits(EVERYTHING))
    patience: Patience = field(default_factory=Patience)


def roll_back(back: Back, watcher: Watcher) -> WentBack:
    """Go back on every chosen device, and wait until it runs there.

    Raises:
        Conflict: a Jetson has nothing to go back to; nothing is changed then.
        DeploymentRunning: a deployment runs.
        DeployerError: a Jetson does not answer; nothing is changed then.
    """
    began = time.monotonic()
    with deployment_lock(back.home):
        seen = look(back.chosen, back.reach, watcher.begin)
        try:
            return _roll_back(back, seen, watcher, began)
        finally:
            for each in seen:
                each.connector.close()


def _roll_back(back: Back, seen: Sequence[Seen], watcher: Watcher, began: float) -> WentBack:
    error = gravest_error([each.error for each in seen if each.error is not None])
    if error is not None:
        raise error
    targets = [each.target for each in seen if each.target is not None]
    for target in targets:
        way_back(target)  # before anything is given up
    journal = _opened(back)
    shop = Workshop(back.home, journal.identity, "", back.home, owner=owner(back.home), who=who())
    plan = rollback_plan(targets, shop, back.patience)
    journal.write("planned", versions=dict(plan.versions))
    connectors = {each.chosen.jetson.name: each.connector for each in seen}
    carrier = Carrier(connectors, LocalConnector(), journal, watcher)
    rollout = Rollout(plan, carrier, watcher, back.limits)
    with renewed([target for target in targets if target.name in plan.closing], shop, connectors, journal):
        devices = rollout.run([Wave("", tuple(device for target in targets for device in target.devices))])
    places = _places(plan, targets, devices, rollout.activated, back.clock())
    mlflow = telling.tell(back.home, places, journal, back.tell, watcher)
    rows = tuple(_row(target, plan.versions[target.name]) for target in targets)
    path = str(journal.path)
    found = WentBack(journal.identity, tuple(devices), rows, time.monotonic() - began, mlflow, path)
    carrier.release(plan.closing.values())
    journal.close(found.result, exit_code=found.exit_code, error=found.error)
    return found


def _opened(back: Back) -> Journal:
    """A new journal; an unfinished deployment is given up."""
    for kind in (DEPLOY, KIND):
        path = unfinished(back.home / JOURNAL, kind)
        if path is not None:
            give_up(back.home, path, back.clock, "a rollback was begun")
    journal = Journal.create(back.home / JOURNAL, KIND, back.clock)
    journal.write("opened", jetsons=[each.jetson.name for each in back.chosen])
    return journal


def _places(
    plan: DeploymentPlan,
    targets: Sequence[Target],
    devices: Sequence[DeviceReport],
    activated: Sequence[str],
    clock: float,
) -> list[telling.Place]:
    """Hubs and boards that went back, now or before."""
    now, found = telling.stamp(clock), list[telling.Place]()
    for target in targets:
        there, model = target.there, target.there.model_of(plan.versions[target.name])
        if model is None:
            continue
        running = telling.running(model)
        if there.active == model.version or target.name in activated:  # also where no board went back with it
            found.append(telling.Place(Device(target.name), there.model_of(there.active), running, now))
        own = [each.device for each in devices if each.device.jetson == target.name and each.state in DONE]
        for each in [device for device in own if device.board]:
            before = there.model_of(there.board(each.board).confirmed)
            found.append(telling.Place(each, before, running, now))
    return found


def _row(target: Target, version: int) -> dict[str, Any]:
    model = target.there.model_of(version)
    name = model.name if model else None
    return {"jetson": target.name, "version": version, "before": target.there.active, "model": name}
