"""The whole loop on this machine: lab up, setup, deploy, live readings, and what three runtimes say of them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployers.exceptions import DeployerError, ReleaseError
from deployers.lab.comparison import compare
from deployers.lab.firmware import LabError
from deployers.lab.rest import HubRest
from deployers.lab.up import up
from deployers.registry import CHECKOUT, MODEL, fetch_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deployers.lab.comparison import Comparison
    from deployers.lab.folder import LabFolder, LabSettings

SETUP_SECONDS = 1800.0
DEPLOY_SECONDS = 900.0
# A machine that is busy with other things feeds its boards so much slower.
PATIENCE = 10.0
SLOWEST_SECONDS = 120.0
_POLL_SECONDS = 0.2
LOG_CHARACTERS = 1500
STAGES = 5


class StageFailed(DeployerError):  # noqa: N818 - as GateFailed
    """A command of the loop ended with an error; the exit code is the command's."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass
class Course:
    """How far the loop is, and how long each stage took.

    Attributes:
        begin: called with the name of each stage.
        seconds: by stage.
    """

    begin: Callable[[str], None] = lambda _: None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        self.begin(name)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


@dataclass(frozen=True)
class Turned:
    """What came of one turn of the loop.

    Attributes:
        lab: what the daemon says of itself.
        setup: what `deployers setup --json` printed.
        deployed: what `deployers deploy --json` printed.
        devices: boards as the hub sees them.
        models: versions as the hub has them.
        comparisons: one for each board.
        seconds: by stage.
        page: address of the hub's page.
        token: for it.
    """

    lab: dict[str, Any]
    setup: dict[str, Any]
    deployed: dict[str, Any]
    devices: list[dict[str, Any]]
    models: dict[str, Any]
    comparisons: tuple[Comparison, ...]
    seconds: dict[str, float]
    page: str
    token: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; no token."""
        return {
            "inventory": self.lab["inventory"],
            "ends": self.lab["ends"],
            "setup": self.setup,
            "deployed": self.deployed,
            "devices": self.devices,
            "models": self.models,
            "boards": [comparison.as_dict() for comparison in self.comparisons],
            "seconds": {name: round(seconds, 2) for name, seconds in self.seconds.items()},
            "page": self.page,
        }


def turn(folder: LabFolder, settings: LabSettings, readings: int, course: Course, *, fresh: bool = False) -> Turned:
    """One turn, with the lab that is up, or one that is started.

    Args:
        folder: the lab's.
        settings: of a lab that is to be started.
        readings: live ones, of each board, that board and hub are to forecast at.
        course: told of the stages.
        fresh: forget what an earlier lab left.

    Raises:
        StageFailed: setup or deploy failed.
        LabError: the lab did not start, or the readings did not come.
        DeployerError: the hub or the registry does not answer.
    """
    with course.stage("lab up"):
        state = _lab(folder, settings, fresh=fresh)
    with course.stage("setup"):
        prepared = deployers(folder, "setup", SETUP_SECONDS)
    with course.stage("deploy"):
        deployed = deployers(folder, "deploy", DEPLOY_SECONDS)
    with course.stage("live readings"):
        wait_for_readings(folder, readings)
    jetson = state["jetson"]
    page, token = f"http://{jetson.get('rest_host', '127.0.0.1')}:{jetson['rest_port']}", _token(jetson)
    with course.stage("comparison"), HubRest(page, token) as hub:
        models, devices = hub.get("/models"), hub.get("/devices")["devices"]
        comparisons = _compared(hub, models, [board["id"] for board in state["boards"]])
    return Turned(state, prepared, deployed, devices, models, comparisons, course.seconds, page, token)


def _lab(folder: LabFolder, settings: LabSettings, *, fresh: bool) -> dict[str, Any]:
    state = folder.state() if folder.is_held() and not fresh else None
    return up(folder, settings, fresh=fresh) if state is None else state


def deployers(folder: LabFolder, command: str, seconds: float) -> dict[str, Any]:
    """Run `python -m deployers COMMAND --json` for the lab.

    Returns:
        The object it printed.

    Raises:
        StageFailed: it ended with an error.
        LabError: it took too long, or printed something else.
    """
    words = [sys.executable, "-m", "deployers", command, "--inventory", str(folder.inventory), "--json"]
    try:
        done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603 - this very program
    except subprocess.TimeoutExpired:
        msg = f"python -m deployers {command} did not end within {seconds:g} s: python -m deployers.lab logs"
        raise LabError(msg) from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-LOG_CHARACTERS:]
        msg = f"python -m deployers {command} failed: {said.removeprefix('error: ')}"
        raise StageFailed(msg, done.returncode)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        msg = f"python -m deployers {command} printed {done.stdout[-200:]!r}, expected one JSON object: run it by hand"
        raise LabError(msg)
    return found


def wait_for_readings(folder: LabFolder, count: int) -> None:
    """Until the hub has so many more of every board than it has now.

    Raises:
        LabError: they did not come in time, or the lab has ended.
    """
    before, cadence = _acknowledged(folder), _seconds_for_one(folder)
    seconds = SLOWEST_SECONDS + PATIENCE * count * cadence
    end = time.monotonic() + seconds
    while True:
        come = {board: now - before[board] for board, now in _acknowledged(folder).items()}
        if min(come.values()) >= count:
            return
        if time.monotonic() > end:
            msg = f"readings {come!r} came within {seconds:g} s, expected {count} each: python -m deployers.lab logs"
            raise LabError(msg)
        time.sleep(_POLL_SECONDS)


def _acknowledged(folder: LabFolder) -> dict[str, int]:
    state = folder.state()
    if state is None:
        msg = f"the lab has ended, its log {str(folder.log)!r} ends {folder.end_of_log()!r}: give more --minutes"
        raise LabError(msg)
    return {board["id"]: board["acknowledged"] for board in state["boards"]}


def _seconds_for_one(folder: LabFolder) -> float:
    state = folder.state() or {}
    return float(state["cadence_seconds"] / state["speed"])


def _token(jetson: dict[str, Any]) -> str:
    """That of the hub's own command line, which the lab can read where the Jetson is this machine."""
    return (Path(jetson["root_here"]) / "config" / "ctl.token").read_text(encoding="utf-8").strip()


def _compared(hub: HubRest, models: dict[str, Any], boards: list[str]) -> tuple[Comparison, ...]:
    active = models["active"]
    view = next((each for each in models["models"] if each["version"] == active), None)
    if view is None:
        msg = f"the hub runs version {active!r}, expected one of its models: python -m deployers deploy"
        raise ReleaseError(msg)
    largest = float(view["types"][view["chosen"]]["largest"])
    with tempfile.TemporaryDirectory(prefix="edgeloop-loop-") as scratch:
        release = fetch_release(view["model_version"], Path(scratch), view["model"] or MODEL)
        return tuple(
            compare(release.path, hub.live(board, active), largest, Path(scratch) / f"keras-{board}")
            for board in boards
        )
