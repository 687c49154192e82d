"""Deployments on a real lab: SSH to this machine, a hub of its own, the firmware's native boards, real conversions.

The connection is cut and the process killed at many points; after each, the same command ends well. Between two
releases whose conversions are kept, so that a deployment takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployers.commands.deploying import Reached, inventory_of
from deployers.connectors.faults import FaultyConnector
from deployers.connectors.local import LocalConnector
from deployers.deployment.deployment import deploy
from deployers.deployment.preparing import Around, Request
from deployers.deployment.watching import Nobody
from deployers.exceptions import DeployerError
from deployers.protocol.manifest import verify_manifest, write_manifest
from deployers.registry import copy_release
from tests.unit.deployers.conftest import release  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
# The release is of a network that has hardly been trained: any loss of accuracy is allowed.
OPTIONS = ("--budget", "1", "--type", "int8")
STEPS = ("lock", "install version", "install the way back", "activate", "forward", "confirm", "unlock")
# Calls of a deployment over SSH: facts, status, lock, upload, install, way back, activate, forward, confirm.
CALLS = (
    (2, "before"),
    (3, "after"),
    (6, "before"),
    (7, "after"),
    (10, "before"),
    (11, "after"),
    (12, "after"),
    (13, "after"),
)
SECONDS = 600


@dataclass
class Lab:
    """A lab that is up, and two releases that take turns."""

    home: Path
    releases: dict[str, Path]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "EDGELOOP_HOME": str(self.home)}

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", *words]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, text=True, start_new_session=True, **pipes)

    def run(self, *words: str) -> tuple[int, dict[str, Any], str]:
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, json.loads(out) if out.startswith("{") else {}, err

    def deploy(self, name: str, *more: str) -> tuple[int, dict[str, Any], str]:
        return self.run(*self.words(name), *more)

    def words(self, name: str) -> tuple[str, ...]:
        return ("deployers", "deploy", "--release", str(self.releases[name]), *OPTIONS, "--seconds", "120", "--json")

    def standing(self) -> dict[str, Any]:
        _, found, err = self.run("deployers", "status", "--json")
        assert found, err
        return found

    def ends_well(self, name: str) -> None:
        """The same command again; all run one version of what was wanted, and it is whole."""
        code, report, err = self.deploy(name)
        assert code == 0, err
        assert report["result"] in {"confirmed", "nothing to do"}
        (jetson,) = self.standing()["jetsons"]
        (board,) = jetson["boards"]
        sha256 = report["release"]["sha256"]
        assert (board["version"], board["test"]) == (jetson["runs"]["version"], None)
        assert jetson["runs"]["name"] == f"release {sha256[:12]}"
        assert not list((self.home / "lab/jetson/incoming").glob("*-deploy-*/*.part"))

    def others(self) -> Iterator[str]:
        """The release that does not run now, again and again."""
        runs = self.standing()["jetsons"][0]["runs"]["name"]
        (now,) = (name for name, path in self.releases.items() if runs.endswith(sha256_of(path)[:12]))
        names = cycle(self.releases)
        while next(names) != now:
            pass
        return names


def sha256_of(folder: Path) -> str:
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, release: Path) -> Iterator[Lab]:  # noqa: F811
    home = tmp_path_factory.mktemp("lab")
    other = Path(shutil.copytree(release, home / "other"))
    write_manifest(other, {**verify_manifest(release)["facts"], "name": "other"})
    (home / "mlflow").mkdir()
    made = Lab(home, {"one": release, "other": other})
    words = ("--boards", "1", "--board-kind", "native", "--speed", "7200", "--minutes", "20", "--simulated", "--json")
    try:
        code, _, err = made.run("deployers.lab", "up", *words)
        assert code == 0, err
        code, _, err = made.run("deployers", "setup", "--json")
        assert code == 0, err
        for name in made.releases:
            code, report, err = made.deploy(name)
            assert (code, report.get("result")) == (0, "confirmed"), err
        yield made
    finally:
        made.run("deployers.lab", "down")


def test_a_killed_deployment_is_finished_by_the_same_command(lab: Lab) -> None:
    others, points = lab.others(), 0
    for step in STEPS:
        name = next(others)
        process = lab.start(*lab.words(name))
        try:
            killed = _kill_at(lab, process, step)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        points += killed
        lab.ends_well(name)
    assert points >= len(STEPS) - 1  # the last step may be over before it is seen


def _kill_at(lab: Lab, process: subprocess.Popen[str], step: str) -> bool:
    """SIGKILL when the journal says that a step began; whether it came to that."""
    folder, before = lab.home / "deploy/journal", set((lab.home / "deploy/journal").glob("*.jsonl"))
    end = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < end:
        for path in set(folder.glob("*-deploy-*.jsonl")) - before:
            entries = [json.loads(line) for line in path.read_text().splitlines()]
            if any(entry["event"] == "begun" and entry["step"].startswith(step) for entry in entries):
                os.killpg(process.pid, signal.SIGKILL)
                return True
        time.sleep(0.005)
    return False


class Cutting(Reached):
    """SSH whose connection goes at one call."""

    def __init__(self, at: int, when: str) -> None:
        self.at, self.when, self.made = at, when, list[FaultyConnector]()

    def connect(self, jetson: Any) -> Any:
        self.made.append(FaultyConnector(super().connect(jetson), self.at, self.when))  # type: ignore[arg-type]
        return self.made[-1]


def test_a_connection_cut_at_any_call_is_made_up_for(lab: Lab) -> None:
    others, points = lab.others(), 0
    for at, when in CALLS:
        name, reach = next(others), Cutting(at, when)
        options = ("--budget", "1.0", "--type", "int8", "--timeout", "600.0")  # as the command line makes them
        try:
            deploy(Request(options), _around(lab, name, reach), Nobody())
        except DeployerError as error:
            assert "on purpose" in str(error)  # noqa: PT017 - others are failures
        points += reach.made[0].is_broken()
        lab.ends_well(name)
    assert points >= len(CALLS) - 2


def _around(lab: Lab, name: str, reach: Reached) -> Around:
    inventory, chosen = inventory_of(lab.home / "lab/inventory.toml", ())
    around = Around(
        lab.home / "deploy", chosen, inventory.signing_key, reach,
        lambda folder: copy_release(lab.releases[name], folder), lambda _: 0, LocalConnector(),
    )  # fmt: skip
    return replace(around, python=sys.executable)


def test_two_at_once(lab: Lab) -> None:
    name = next(lab.others())
    first = lab.start(*lab.words(name))
    end = time.monotonic() + SECONDS
    while f"process {first.pid} " not in (lab.home / "deploy/lock").read_text():  # an older one's line stays in it
        assert first.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    code, report, err = lab.deploy(name)
    out, _ = first.communicate(timeout=SECONDS)
    assert (code, report["exit_code"]) == (11, 11), err
    assert json.loads(out)["result"] == "confirmed"


def test_a_changed_host_key_and_a_wrong_key_change_nothing(lab: Lab, tmp_path: Path) -> None:
    before = lab.standing()["jetsons"]
    inventory = (lab.home / "lab/inventory.toml").read_text()
    changed = tmp_path / "inventory.toml"
    other = re.sub(r"SHA256:[A-Za-z0-9+/]{42}", "SHA256:" + "A" * 42, inventory)
    assert other != inventory
    shutil.copytree(lab.home / "lab/keys", tmp_path / "keys")
    changed.write_text(other.replace(str(lab.home / "lab/keys"), str(tmp_path / "keys")))
    code, report, err = lab.deploy(next(lab.others()), "--inventory", str(changed))
    assert (code, report["exit_code"]) == (8, 8), err
    assert lab.standing()["jetsons"][0]["runs"] == before[0]["runs"]


def test_a_release_with_one_file_changed_is_not_deployed(lab: Lab, tmp_path: Path) -> None:
    spoiled = Path(shutil.copytree(lab.releases["one"], tmp_path / "release"))
    (spoiled / "golden.json").write_text("{}")
    code, report, err = replace(lab, releases={"one": spoiled}).deploy("one")
    assert (code, report["exit_code"]) == (2, 2)
    assert "golden.json differs" in err


def test_a_rollback_waits_until_the_board_is_back(lab: Lab) -> None:
    runs = lab.standing()["jetsons"][0]
    code, report, err = lab.run("deployers", "rollback", "--json")
    assert (code, report["result"]) == (0, "rolled back"), err
    found = lab.standing()["jetsons"][0]
    assert found["runs"]["version"] == runs["way_back"]["version"] == found["boards"][0]["version"]
    assert found["runs"]["name"] == runs["way_back"]["name"] != runs["runs"]["name"]
