"""The lab as a user has it: a daemon, an SSH server and boards that come up, and of which nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployers.connectors.command import Command
from deployers.connectors.opening import connect
from deployers.inventory import Inventory
from deployers.lab.marked import marked
from deployers.lab.programs import FOLDERS

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30.0
# It leaves its session, as a service does that is started over SSH.
ORPHAN = "setsid -f sleep 600 > /dev/null 2>&1 < /dev/null"

pytestmark = pytest.mark.skipif(shutil.which("sshd", path=FOLDERS) is None, reason="openssh-server is not here")


class Lab:
    """The command line of the lab in one home folder."""

    def __init__(self, home: Path) -> None:
        self.path = home / "lab"
        self._environment = {**os.environ, "EDGELOOP_HOME": str(home)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deployers.lab", *words]
        return subprocess.run(
            command, cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=120, check=False
        )

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "deployers.lab", *words]
        return subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=-3, stderr=-3, start_new_session=True)

    def up(self, *words: str) -> dict[str, Any]:
        done = self.run("up", "--board-kind", "native", "--speed", "60000", "--simulated", "--json", *words)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.run("status", "--json").stdout))

    def over_ssh(self, code: str) -> str:
        (jetson,) = Inventory.load(self.path / "inventory.toml").jetsons
        with contextlib.closing(connect(jetson)) as connection:
            return connection.run(Command(("sh", "-c", code))).text

    @property
    def processes(self) -> list[int]:
        return marked(json.loads((self.path / "settings.json").read_text())["mark"])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "home")
    yield made
    assert made.run("down", "--remove").returncode == 0
    assert not made.path.exists()


def until(holds: Callable[[], object], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_down_ends_all_that_up_and_ssh_started(lab: Lab) -> None:
    state = lab.up("--boards", "2", "--minutes", "5")
    assert [board["id"] for board in state["boards"]] == ["board-1", "board-2"]
    lab.over_ssh(ORPHAN)
    until(lambda: len(lab.processes) >= 4, "daemon, two boards, and what SSH started")
    until(lambda: min(board["readings"] for board in lab.status()["boards"]) > 100, "the boards are fed")
    done = lab.run("up")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: a lab is up in ")
    assert lab.run("down").stdout == "the lab is down\n"
    assert lab.processes == []
    assert lab.status() == {"up": False}
    assert lab.run("down").stdout == "no lab was up\n"


def test_a_daemon_that_was_killed_leaves_nothing_that_down_does_not_end(lab: Lab) -> None:
    state = lab.up("--minutes", "5")
    lab.over_ssh(ORPHAN)
    os.kill(state["pid"], signal.SIGKILL)
    until(lambda: len(lab.processes) == 1, "boards and connections end with the daemon, the orphan goes on")
    assert lab.status() == {"up": False}
    assert lab.run("down").stdout == "the lab is down\n"
    assert lab.processes == []


def test_a_lab_comes_up_again_after_its_daemon_was_killed_with_the_same_keys_and_boards(lab: Lab) -> None:
    first = lab.up("--minutes", "5")
    until(lambda: lab.status()["boards"][0]["readings"] > 50, "the board is fed")
    os.kill(first["pid"], signal.SIGKILL)
    until(lambda: not lab.status()["up"], "it is gone")
    second = lab.up("--minutes", "5")
    assert second["jetson"]["host_keys"] == first["jetson"]["host_keys"]
    assert lab.status()["boards"][0]["readings"] > 50
    assert lab.run("down").returncode == 0
    fresh = lab.up("--fresh", "--minutes", "5")
    assert fresh["jetson"]["host_keys"] != first["jetson"]["host_keys"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_up_that_is_ended_while_the_daemon_starts_leaves_nothing(lab: Lab, number: int, code: int) -> None:
    with lab.start("up", "--board-kind", "native", "--simulated") as starting:
        until((lab.path / "daemon.log").exists, "the daemon is being started")
        os.killpg(starting.pid, number)
        assert starting.wait(SECONDS) == code
    assert lab.processes == []
    assert lab.status() == {"up": False}


def test_two_labs_that_are_started_at_once_are_one(lab: Lab) -> None:
    lab.run("down")  # the home folder is there
    words = ("up", "--board-kind", "native", "--simulated", "--minutes", "5")
    with lab.start(*words) as one, lab.start(*words) as other:
        assert sorted(process.wait(60) for process in (one, other)) == [0, 2]
    assert lab.status()["up"]
    until(lambda: len(lab.processes) == 2, "one daemon and its board")


def test_a_lab_whose_folder_is_removed_ends(lab: Lab) -> None:
    state = lab.up("--minutes", "5")
    pids = [state["pid"], state["boards"][0]["pid"]]
    lab.path.rename(lab.path.with_name("moved"))
    shutil.rmtree(lab.path.with_name("moved"))
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), "daemon and board end by themselves")


def test_it_ends_by_itself_when_its_time_is_over(lab: Lab) -> None:
    lab.up("--minutes", "0.1")
    lab.over_ssh(ORPHAN)
    until(lambda: not lab.status()["up"], "six seconds are over")
    until(lambda: lab.processes == [], "nothing is left")
    assert "ended by its time" in lab.run("logs").stdout


def test_a_board_that_ends_is_started_again(lab: Lab) -> None:
    state = lab.up("--minutes", "5")
    os.kill(state["boards"][0]["pid"], signal.SIGKILL)
    until(lambda: lab.status()["boards"][0]["starts"] == 2, "it is started again")
    before = lab.status()["boards"][0]["readings"]
    until(lambda: lab.status()["boards"][0]["readings"] > before, "it goes on with its readings")


def test_a_lab_that_does_not_start_shows_the_end_of_its_log_and_leaves_nothing(lab: Lab) -> None:
    lab.up("--minutes", "5")
    assert lab.run("down").returncode == 0
    (lab.path / "readings.npz").write_bytes(b"broken")
    done = lab.run("up", "--board-kind", "native")
    assert done.returncode == 5
    assert "the lab did not start (it ended with code 5)" in done.stderr
    assert "readings.npz' cannot be used" in done.stderr
    assert lab.processes == []


def test_logs_show_a_board_or_say_which_there_are(lab: Lab) -> None:
    assert lab.run("logs").returncode == 2
    lab.up("--minutes", "5")
    lab.over_ssh("true")
    assert "Accepted publickey" in lab.run("logs").stdout
    done = lab.run("logs", "--board", "board-7")
    assert done.returncode == 2
    assert "expected one of ['board-1']" in done.stderr
    assert lab.run("logs", "--board", "board-1").returncode == 0
    assert lab.run("logs", "--board", "../../etc").returncode == 2


def test_a_home_that_no_hub_may_lie_in_is_refused_at_once(tmp_path: Path) -> None:
    done = Lab(tmp_path / "my home").run("up", "--simulated")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "give another EDGELOOP_HOME" in done.stderr
    assert not (tmp_path / "my home").exists()
