"""What keeps a lab going: its turns, what it says of itself, and how it ends; Jetson and boards are stand-ins."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployers.inventory import Inventory
from deployers.lab import daemon
from deployers.lab.daemon import Lab, serve
from deployers.lab.feeder import simulated_course
from deployers.lab.folder import LabFolder, LabSettings
from deployers.lab.marked import VARIABLE, marked
from deployers.lab.programs import LabError
from deployers.lab.up import _signing_key

SETTINGS = LabSettings("feedc0de", boards=2, minutes=5.0)


class Jetson:
    """Its entry is a native one's."""

    boards_port, boards_host, pids = 7484, None, list[int]()

    def __init__(self, folder: LabFolder, happened: list[str]) -> None:
        self.root_here, self._happened, self.key = folder.root, happened, folder.keys / "signing.key"

    def inventory(self) -> dict[str, Any]:
        entry = {"name": "lab", "host": "127.0.0.1", "user": "me", "key_file": str(self.key)}
        return {**entry, "host_keys": ["SHA256:" + "A" * 43], "root": str(self.root_here)}

    def turn(self) -> None:
        self._happened.append("turn")

    def close(self) -> None:
        self._happened.append("jetson closed")


class Board:
    """Is started at its first turn."""

    def __init__(self, happened: list[str], supply: Any) -> None:
        self.supply, self._happened, self.pids = supply, happened, list[int]()

    def turn(self, now: float) -> None:
        self._happened.append(self.supply.name)

    def close(self) -> None:
        self._happened.append(f"{self.supply.name} closed")

    def as_dict(self) -> dict[str, Any]:
        return {"id": self.supply.name, "port": self.supply.hub_port}


@pytest.fixture
def folder(tmp_path: Path) -> LabFolder:
    made = LabFolder(tmp_path / "lab")
    made.make()
    _signing_key(made)
    simulated_course().write(made.readings)
    return made


@pytest.fixture
def happened(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in order."""
    found: list[str] = []
    monkeypatch.setattr(daemon, "start_jetson", lambda *_: Jetson(folder, found))
    monkeypatch.setattr(daemon, "PoweredBoard", lambda supply, *_: Board(found, supply))
    monkeypatch.setattr(daemon, "become_subreaper", lambda: None)
    monkeypatch.setattr(daemon, "TELL_SECONDS", 0.0)
    return found


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def lab_of(folder: LabFolder, settings: LabSettings = SETTINGS) -> Lab:
    return Lab(folder, settings, ExitStack())


def test_a_lab_that_starts_writes_an_inventory_with_a_key_for_every_board(folder: LabFolder, happened) -> None:
    lab = lab_of(folder)
    (jetson,) = Inventory.load(folder.inventory).jetsons
    assert [board.id for board in jetson.boards] == ["board-1", "board-2"] == [b.supply.name for b in lab.boards]
    assert [board.key_file.read_bytes() for board in jetson.boards] == [b.supply.key for b in lab.boards]
    assert lab.boards[0].supply.key != lab.boards[1].supply.key
    assert folder.inventory.stat().st_mode & 0o777 == 0o600


def test_every_turn_is_one_of_the_jetson_and_of_every_board(folder: LabFolder, happened) -> None:
    lab = lab_of(folder)
    lab.turn()
    lab.turn()
    assert happened == ["turn", "board-1", "board-2"] * 2


def test_what_it_says_of_itself_is_renewed_with_the_turns(
    folder: LabFolder, happened, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of(folder)
    lab.turn()
    told = folder.state()
    assert told is not None
    assert (told["pid"], told["readings"]) == (os.getpid(), "simulated room, 30 days")
    assert [board["id"] for board in told["boards"]] == ["board-1", "board-2"]
    folder.forget_state()
    monkeypatch.setattr(daemon, "TELL_SECONDS", 3600.0)
    lab.turn()
    assert folder.state() is None  # not yet


def test_its_end_is_told_by_the_wall_clock_as_that_goes_now(
    folder: LabFolder, happened, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_of(folder)
    assert lab.as_dict()["ends"] == pytest.approx(time.time() + 300, abs=5)
    monkeypatch.setattr(daemon.time, "time", lambda: 1e9)  # the clock was set back
    assert lab.as_dict()["ends"] == pytest.approx(1e9 + 300, abs=5)


def test_a_full_disk_does_not_end_it(folder: LabFolder, happened, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    lab = lab_of(folder)
    with monkeypatch.context() as patch:
        patch.setattr(LabFolder, "keep_state", full)
        lab.turn()
    lab.turn()
    assert folder.state() is not None


def test_a_folder_that_was_removed_ends_it(folder: LabFolder, happened) -> None:
    lab = lab_of(folder)
    folder.remove()
    with pytest.raises(FileNotFoundError):
        lab.turn()


def has_ended(child: subprocess.Popen[bytes]) -> bool:
    """And is not buried."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def ended() -> subprocess.Popen[bytes]:
    child, end = subprocess.Popen(["true"]), time.monotonic() + 20
    while not has_ended(child):
        assert time.monotonic() < end
    return child


def test_adopted_children_are_buried(folder: LabFolder, happened) -> None:
    lab, children = lab_of(folder), [ended(), ended()]
    lab.turn()
    for child in children:
        with pytest.raises(ChildProcessError):
            has_ended(child)
        child.wait()


def test_its_own_children_are_left_to_who_started_them(folder: LabFolder, happened) -> None:
    """Who waits for a child that another has buried never learns how it ended."""
    lab, child = lab_of(folder), ended()
    lab.boards[0].pids = [child.pid]  # type: ignore[misc]
    lab.turn()
    assert has_ended(child)
    child.wait()


# From start to end


def state_when_it_ends(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    seen: list[object] = []
    monkeypatch.setattr(Jetson, "close", lambda _: seen.append(folder.state()))
    return seen


def test_it_ends_when_its_time_is_over(folder: LabFolder, happened, capsys) -> None:
    serve(folder, LabSettings("feedc0de", boards=1, minutes=0.005))
    assert happened.count("board-1") > 2
    assert happened[-2:] == ["board-1 closed", "jetson closed"]
    assert capsys.readouterr().out == "ended by its time\n"
    assert folder.state() is None
    assert not folder.inventory.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_in_order_by_a_signal(folder: LabFolder, happened, number: signal.Signals, capsys) -> None:
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    timer.start()
    serve(folder, SETTINGS)
    assert happened[-3:] == ["board-2 closed", "board-1 closed", "jetson closed"]
    assert capsys.readouterr().out == f"ended by {number.name}\n"


def test_while_it_ends_it_says_no_more_that_it_is_up(folder: LabFolder, happened, monkeypatch) -> None:
    """Else a deployment that fails as the hub ends would be told of as one of a lab that goes on."""
    seen = state_when_it_ends(folder, monkeypatch)
    serve(folder, LabSettings("feedc0de", boards=1, minutes=0.002))
    assert seen == [None]


def test_what_ssh_started_is_ended_too(folder: LabFolder, happened) -> None:
    environment = {**os.environ, VARIABLE: SETTINGS.mark}
    with subprocess.Popen(["sleep", "60"], env=environment, start_new_session=True) as child:
        end = time.monotonic() + 20
        while marked(SETTINGS.mark) != [child.pid]:  # for a moment a program that begins has no environment
            assert time.monotonic() < end
            time.sleep(0.01)
        waiting = threading.Thread(target=child.wait)
        waiting.start()
        serve(folder, LabSettings(SETTINGS.mark, boards=1, minutes=0.002))
        waiting.join(20)
        assert child.returncode == -signal.SIGTERM
    assert marked(SETTINGS.mark) == []


def test_a_board_that_cannot_be_made_ends_what_was_started_before_it(
    folder: LabFolder, happened, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.keys / "board-2.key").write_bytes(b"short")
    with pytest.raises(LabError, match=r"board-2\.key' has 5 bytes"):
        serve(folder, SETTINGS)
    assert happened == ["board-1 closed", "jetson closed"]


def test_both_kinds_of_jetson_can_be_asked_for(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NativeJetson", "EmulatedJetson"):
        monkeypatch.setattr(daemon, name, lambda folder, mark, name=name: (name, mark))
    for kind, name in (("native", "NativeJetson"), ("arm64", "EmulatedJetson")):
        assert daemon.start_jetson(folder, LabSettings("a1", kind)) == (name, "a1")


# As a program


def run(folder: LabFolder) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deployers.lab.daemon", str(folder.path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_second_daemon_in_one_folder_ends_at_once(folder: LabFolder) -> None:
    folder.keep_settings(SETTINGS)
    with folder.held():
        done = run(folder)
    assert (done.returncode, done.stdout.count("\n")) == (LabError.exit_code, 1)
    assert done.stdout.startswith("error: another lab runs in ")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder.path / "settings.json").write_text("{"), "is not as the lab writes it"),
        (lambda folder: (folder.keys / "signing.key.pub").unlink(), "signing.key.pub' cannot be read"),
        (lambda folder: folder.readings.write_bytes(b"broken"), "readings.npz' cannot be used"),
    ],
)
def test_what_it_cannot_use_is_one_line(
    folder: LabFolder, happened, monkeypatch, capsys, spoil: Any, said: str
) -> None:
    folder.keep_settings(SETTINGS)
    spoil(folder)
    monkeypatch.setattr(daemon, "sys", SimpleNamespace(argv=["daemon", str(folder.path)]))
    assert daemon.main() in {2, 5}
    told = capsys.readouterr().out
    assert told.startswith("error: ")
    assert said in told
    assert told.count("\n") == 1
