"""Waves of devices through a plan: in parallel, until all are done or too many failed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deployers.deployment.plan import ACTIVATE
from deployers.exceptions import DeployerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from deployers.deployment.carry import Carrier
    from deployers.deployment.plan import DeploymentPlan
    from deployers.deployment.watching import Watcher
    from deployers.deployment.waves import Device, Wave

CONFIRMED, INSTALLED, ALREADY, NOT_STARTED, ROLLED_BACK = (
    "confirmed",
    "installed",
    "already",
    "not started",
    "rolled back",
)
DONE = (CONFIRMED, INSTALLED, ALREADY)
STATES = {3: "gate failed", 5: "unreachable", 8: "host key", 9: "refused", 10: "reverted", 11: "busy"}
# A verdict on the model, after which the hub goes back too; an outage is waited for.
VERDICTS = (3, 9, 10)
# The exit code that stands for many: what a person has to look at first.
GRAVEST = (11, 8, 10, 9, 3, 7, 4, 2, 1, 5)


@dataclass(frozen=True)
class DeviceReport:
    """How a device came out.

    Attributes:
        device: a board, or a Jetson without one.
        wave: in which it was; empty if it was in none.
        state: confirmed, installed (a Jetson without boards), already, not started, or as STATES.
        version: of the image it was to take.
        seconds: it took.
        error: why it failed; empty if it did not.
        code: exit code of that error.
        answers: of the hub, by step.
    """

    device: Device
    wave: str = ""
    state: str = NOT_STARTED
    version: int = 0
    seconds: float = 0.0
    error: str = ""
    code: int = 0
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def is_failed(self) -> bool:
        """Whether it counts against the bound."""
        return bool(self.error)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        forward, confirm = self.answers.get("forward", {}), self.answers.get("confirm", {})
        return {
            "jetson": self.device.jetson,
            "board": self.device.board or None,
            "wave": self.wave or None,
            "state": self.state,
            "version": self.version or None,
            "seconds": round(self.seconds, 3),
            "bytes": forward.get("bytes"),
            "agreed_within": confirm.get("agreed_within"),
            "error": self.error or None,
        }


@dataclass(frozen=True)
class Limits:
    """How a rollout goes.

    Attributes:
        max_failures: so many devices may fail; one more stops it.
        parallel: devices worked on at a time.
    """

    max_failures: int = 0
    parallel: int = 4


class Rollout:
    """One rollout.

    Args:
        plan: what to do.
        carrier: does it.
        watcher: told of the progress.
        limits: bound and width.
        broken: Jetsons that could not be asked, with the reason; their devices fail at once.
        is_halted: whether no other device is to be begun.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a rollout is made of
        self,
        plan: DeploymentPlan,
        carrier: Carrier,
        watcher: Watcher,
        limits: Limits,
        broken: Mapping[str, DeployerError] | None = None,
        is_halted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._plan, self._carrier, self._watcher, self._limits = plan, carrier, watcher, limits
        self._broken, self._is_halted = dict(broken or {}), is_halted
        self._installing = {name: threading.Lock() for name in plan.installing}
        self._installed: dict[str, DeployerError | None] = {}
        self._failures, self._counting = 0, threading.Lock()
        self.rolled_back: dict[str, str] = {}

    def run(self, waves: Sequence[Wave]) -> list[DeviceReport]:
        """Work through the waves; a report for each device, those that were not begun too."""
        reports = list[DeviceReport]()
        for wave in waves:
            with ThreadPoolExecutor(self._limits.parallel, "device") as pool:
                found = list(pool.map(self._work, wave.devices))
            reports += [replace(report, wave=wave.name) for report in found]
        self._go_back(reports)
        return reports

    @property
    def _is_stopped(self) -> bool:
        return self._failures > self._limits.max_failures or self._is_halted()

    def _work(self, device: Device) -> DeviceReport:
        report = DeviceReport(device, version=self._plan.versions.get(device.jetson, 0))
        if self._is_stopped:
            return report
        began, answers = time.monotonic(), dict[str, Any]()
        try:
            state = self._device(device, answers)
            report = replace(report, state=state, answers=answers)
        except DeployerError as error:
            with self._counting:
                self._failures += 1
            state = STATES.get(error.exit_code, "failed")
            report = replace(report, state=state, error=str(error), code=error.exit_code, answers=answers)
        self._watcher.end(device.name, report.state)
        return replace(report, seconds=time.monotonic() - began)

    def _device(self, device: Device, answers: dict[str, Any]) -> str:
        if device.jetson in self._broken:
            raise self._broken[device.jetson]
        self._install(device.jetson)
        plan = self._plan.boards.get(device)
        if plan is None:
            return ALREADY if device.board or device.jetson not in self._plan.installing else INSTALLED
        try:
            answers.update(self._carrier.carry(plan, device))
        except DeployerError as error:
            if error.exit_code in VERDICTS:
                self._carrier.undo_if_possible(plan, device)
            raise
        return CONFIRMED

    def _install(self, jetson: str) -> None:
        """Once a Jetson, by whichever of its devices comes first; the others get the same answer."""
        if jetson not in self._plan.installing:
            return
        with self._installing[jetson]:
            if jetson not in self._installed:
                try:
                    self._carrier.carry(self._plan.installing[jetson])
                    self._installed[jetson] = None
                except DeployerError as error:
                    self._installed[jetson] = error
            failed = self._installed[jetson]
        if failed is not None:
            raise failed

    @property
    def activated(self) -> list[str]:
        """Jetsons whose hub took the model."""
        active = [name for name, plan in self._plan.installing.items() if plan.steps[-1].name == ACTIVATE]
        return [name for name in active if name in self._installed and self._installed[name] is None]

    def _go_back(self, reports: Sequence[DeviceReport]) -> None:
        """A hub none of whose boards took the model goes back to what ran before, if anything did."""
        for jetson, plan in self._plan.installing.items():
            if not any(step.undo for step in plan.steps):
                continue
            own = [report for report in reports if report.device.jetson == jetson]
            verdict = any(report.code in VERDICTS for report in own)
            if jetson in self._installed and verdict and not any(report.state in DONE for report in own):
                try:
                    self._carrier.undo(plan)
                    self.rolled_back[jetson] = ROLLED_BACK
                except DeployerError as error:
                    self.rolled_back[jetson] = str(error)


def gravest_error(errors: Sequence[DeployerError]) -> DeployerError | None:
    """The first of those with the exit code that stands for all; none if there are none."""
    code = gravest([error.exit_code for error in errors])
    return next((error for error in errors if error.exit_code == code), None)


def gravest(codes: Sequence[int]) -> int:
    """The exit code for all of them; 0 if there is none."""
    return min(codes, key=lambda code: GRAVEST.index(code) if code in GRAVEST else 0, default=0)
