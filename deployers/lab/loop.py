"""The whole loop on this machine: lab up, setup, deploy, live readings, and what three runtimes say of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployers.exceptions import DeployerError, ReleaseError
from deployers.lab.comparison import compare
from deployers.lab.folder import plain_disk_errors
from deployers.lab.programs import LabError
from deployers.lab.rest import HubRest
from deployers.lab.up import up
from deployers.registry import CHECKOUT, MODEL, fetch_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deployers.lab.comparison import Comparison
    from deployers.lab.folder import LabFolder, LabSettings

SETUP_SECONDS = 1800.0
DEPLOY_SECONDS = 900.0
# A deployment that is told to end goes back to what ran before.
CLEANING_SECONDS = 60.0
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
class Stopwatch:
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

    @property
    def active(self) -> dict[str, Any] | None:
        """What the hub says of the version that runs."""
        return active_model(self.models)

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


def turn(folder: LabFolder, settings: LabSettings, readings: int, watch: Stopwatch, *, fresh: bool = False) -> Turned:
    """One turn, with the lab that is up, or one that is started.

    Args:
        folder: the lab's.
        settings: of a lab that is to be started.
        readings: live ones, of each board, that board and hub are to forecast at.
        watch: told of the stages.
        fresh: forget what an earlier lab left.

    Raises:
        StageFailed: setup or deploy failed.
        LabError: the lab did not start, or the readings did not come.
        DeployerError: the hub or the registry does not answer.
    """
    with watch.stage("lab up"):
        state = _lab(folder, settings, fresh=fresh)
    with watch.stage("setup"):
        prepared = deployers(folder, "setup", SETUP_SECONDS)
    with watch.stage("deploy"):
        deployed = deployers(folder, "deploy", DEPLOY_SECONDS)
    with watch.stage("live readings"):
        wait_for_readings(folder, readings, state["cadence_seconds"] / state["speed"])
    jetson = state["jetson"]
    page, token = f"http://{jetson.get('rest_host', '127.0.0.1')}:{jetson['rest_port']}", _token(jetson)
    with watch.stage("comparison"), HubRest(page, token) as hub:
        models, devices = hub.get("/models"), hub.get("/devices")["devices"]
        comparisons = _compared(hub, models, [board["id"] for board in state["boards"]])
    return Turned(state, prepared, deployed, devices, models, comparisons, watch.seconds, page, token)


def _lab(folder: LabFolder, settings: LabSettings, *, fresh: bool) -> dict[str, Any]:
    state = folder.state() if folder.is_held() and not fresh else None
    if state is None:
        return up(folder, settings, fresh=fresh)
    boards = ", ".join(f"{board['id']} ({board['kind']})" for board in state["boards"])
    click.echo(f"the lab that is up is used as it is, with {boards} at {state['speed']:g} s a second", err=True)
    return state


def deployers(folder: LabFolder, command: str, seconds: float) -> dict[str, Any]:
    """Run `python -m deployers COMMAND --json` for the lab.

    Returns:
        The object it printed.

    Raises:
        StageFailed: it ended with an error.
        LabError: it took too long, or printed something else; or the lab has ended meanwhile.
    """
    words = [sys.executable, "-m", "deployers", command, "--inventory", str(folder.inventory), "--json"]
    try:
        code, printed, said = _run_to_end(words, seconds)
    except subprocess.TimeoutExpired:
        msg = f"python -m deployers {command} did not end within {seconds:g} s: python -m deployers.lab logs"
        raise LabError(msg) from None
    if code != 0:
        said = (said.strip() or printed.strip())[-LOG_CHARACTERS:].removeprefix("error: ")
        _running(folder, f" while python -m deployers {command} ran, which said {said!r}")
        msg = f"python -m deployers {command} failed: {said}"
        raise StageFailed(msg, code)
    try:
        found = json.loads(printed)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        msg = f"python -m deployers {command} printed {printed[-200:]!r}, expected one JSON object: run it by hand"
        raise LabError(msg)
    return found


def _run_to_end(command: list[str], seconds: float) -> tuple[int, str, str]:
    """Exit code, output and error output of a program, which is told to clean up when this one may not go on.

    In a session of its own Ctrl-C does not reach it: it is told once, by SIGTERM, and a second signal would cut its
    cleaning up short.

    Raises:
        TimeoutExpired: it took longer.
    """
    with subprocess.Popen(  # noqa: S603 - this very program
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            printed, said = process.communicate(timeout=seconds)
        except BaseException:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=CLEANING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    return process.returncode, printed, said


def _running(folder: LabFolder, when: str = "") -> dict[str, Any]:
    """What the daemon says of itself, unless its time is over or someone ended it."""
    state = folder.state() if folder.is_held() else None
    if state is None:
        log = str(folder.log)
        msg = f"the lab has ended{when}; its log {log!r} ends {folder.end_of_log()!r}: repeat, with more --minutes"
        raise LabError(msg)
    return state


def wait_for_readings(folder: LabFolder, count: int, seconds_for_one: float) -> None:
    """Until the hub has so many more of every board than it has now.

    Args:
        folder: the lab's.
        count: how many.
        seconds_for_one: between two readings of a board.

    Raises:
        LabError: they did not come in time, or the lab has ended.
    """
    before = _acknowledged(folder)
    seconds = SLOWEST_SECONDS + PATIENCE * count * seconds_for_one
    end = time.monotonic() + seconds
    while True:
        now = _acknowledged(folder)
        come = {board: now.get(board, first) - first for board, first in before.items()}
        if min(come.values()) >= count:
            return
        if time.monotonic() > end:
            msg = f"readings {come!r} came within {seconds:g} s, expected {count} each: python -m deployers.lab logs"
            raise LabError(msg)
        time.sleep(_POLL_SECONDS)


def _acknowledged(folder: LabFolder) -> dict[str, int]:
    return {board["id"]: board["acknowledged"] for board in _running(folder)["boards"]}


def _token(jetson: dict[str, Any]) -> str:
    """That of the hub's own command line, which the lab can read where the Jetson is this machine."""
    with plain_disk_errors():
        return (Path(jetson["root_here"]) / "config" / "ctl.token").read_text(encoding="utf-8").strip()


def _compared(hub: HubRest, models: dict[str, Any], boards: list[str]) -> tuple[Comparison, ...]:
    view = active_model(models)
    if view is None:
        msg = f"the hub runs version {models['active']!r}, expected one of its models: python -m deployers deploy"
        raise ReleaseError(msg)
    largest = float(view["types"][view["chosen"]]["largest"])
    with tempfile.TemporaryDirectory(prefix="edgeloop-loop-") as scratch:
        release = fetch_release(view["model_version"], Path(scratch), view["model"] or MODEL)
        return tuple(
            compare(release.path, hub.live(board, models["active"]), largest, Path(scratch) / f"keras-{board}")
            for board in boards
        )


def active_model(models: dict[str, Any]) -> dict[str, Any] | None:
    """What the hub's GET /models says of the version that runs."""
    return next((each for each in models["models"] if each["version"] == models["active"]), None)
