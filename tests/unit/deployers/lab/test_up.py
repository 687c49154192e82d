"""Coming up and going down, at odd moments: two at once, interrupted, with a full disk, with what was left over."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import Conflict, InputError
from deployers.lab import up as module
from deployers.lab.folder import LabFolder, LabSettings
from deployers.lab.marked import VARIABLE, marked
from deployers.lab.programs import LabError
from deployers.lab.up import down, new_settings, require_plain, sweep, up

STATE = {"pid": 0, "boards": [{"id": "board-1", "starts": 1}]}


@pytest.fixture
def folder(tmp_path: Path) -> LabFolder:
    return LabFolder(tmp_path / "home" / "lab")


class Daemons:
    """Stand-ins for daemons: they carry the mark, hold nothing, and say so much of themselves as they are told to."""

    def __init__(self) -> None:
        self.code, self.state = "exec sleep 60", dict[str, Any]()
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, folder: LabFolder, settings: LabSettings) -> subprocess.Popen[bytes]:
        environment = {**os.environ, VARIABLE: settings.mark}
        process = subprocess.Popen(["sh", "-c", self.code], env=environment, start_new_session=True)
        threading.Thread(target=process.wait).start()
        self.started.append(process)
        if self.state:
            folder.keep_state({**self.state, "pid": process.pid})
        return process


@pytest.fixture
def daemons(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemons]:
    made = Daemons()
    monkeypatch.setattr(module, "_start_daemon", made.start)
    monkeypatch.setattr(module, "build", lambda _: Path())
    monkeypatch.setattr(module, "_champion_course", lambda: None)
    yield made
    for process in made.started:
        process.kill()


def test_up_waits_until_the_daemon_has_started_every_board(folder: LabFolder, daemons: Daemons) -> None:
    settings = new_settings()
    daemons.state = {"boards": [{"id": "board-1", "starts": 0}]}

    def starts() -> None:
        while not daemons.started:
            time.sleep(0.01)
        time.sleep(0.2)
        folder.keep_state({**STATE, "pid": daemons.started[0].pid})

    threading.Thread(target=starts).start()
    assert up(folder, settings)["boards"] == STATE["boards"]
    assert folder.settings() == settings
    assert down(folder) == [daemons.started[0].pid]


def test_a_daemon_that_ends_at_once_is_told_with_its_log(folder: LabFolder, daemons: Daemons) -> None:
    daemons.code = "exit 7"
    folder.make()
    folder.log.write_text("of an earlier lab")
    with pytest.raises(LabError, match=r"did not start \(it ended with code 7\), its log .*daemon.log' ends ''"):
        up(folder, new_settings())


def test_one_that_says_nothing_is_ended(folder: LabFolder, daemons: Daemons, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.3)
    settings = new_settings()
    with pytest.raises(LabError, match=r"did not start \(not within 0.3 s\)"):
        up(folder, settings)
    assert marked(settings.mark) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_who_is_interrupted_leaves_nothing(folder: LabFolder, daemons: Daemons, error: type[BaseException]) -> None:
    settings = new_settings()

    def interrupted(_: float) -> None:
        patch.undo()
        raise error

    patch = pytest.MonkeyPatch()
    patch.setattr(module.time, "sleep", interrupted)
    with pytest.raises(error):
        up(folder, settings)
    assert marked(settings.mark) == []


def test_who_is_interrupted_while_the_daemon_is_being_started_leaves_nothing(
    folder: LabFolder, daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon runs, and nobody knows its number yet."""
    settings = new_settings()

    def interrupted(*given: Any) -> None:
        daemons.start(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_start_daemon", interrupted)
    with pytest.raises(KeyboardInterrupt):
        up(folder, settings)
    assert marked(settings.mark) == []


# Two at once


def test_the_second_of_two_ups_finds_the_lab_of_the_first(
    folder: LabFolder, daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the lock both would write their settings, and the one that fails would end the other's daemon."""
    settings = [new_settings(), new_settings()]
    daemons.state = STATE
    monkeypatch.setattr(LabFolder, "is_held", lambda _: bool(daemons.started))
    monkeypatch.setattr(module, "build", lambda _: time.sleep(0.3))
    came: list[object] = []

    def one(number: int) -> None:
        try:
            came.append(up(folder, settings[number]))
        except Conflict as error:
            came.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(daemons.started) == 1
    assert sorted(type(each).__name__ for each in came) == ["Conflict", "dict"]
    assert folder.settings() in settings


def test_down_waits_for_an_up_that_goes_on_and_says_so_if_that_takes_long(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.lab.folder.CHANGE_SECONDS", 0.2)
    with folder.changing(), pytest.raises(Conflict, match=r"another `up` or `down` of the lab .* goes on.*Ctrl-C"):
        down(folder)
    assert down(folder) == []


def test_a_folder_that_is_removed_by_one_who_changes_it_keeps_others_out(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.lab.folder.CHANGE_SECONDS", 0.1)
    with folder.changing():
        folder.make()
        folder.remove()
        with pytest.raises(Conflict), folder.changing():
            pass


# What an earlier lab has left


def test_processes_that_were_left_are_ended_before_a_new_lab_starts(folder: LabFolder, daemons: Daemons) -> None:
    folder.make()
    old, daemons.state = new_settings(), STATE
    folder.keep_settings(old)
    daemons.start(folder, old)
    up(folder, new_settings())
    assert marked(old.mark) == []
    assert len(daemons.started) == 2
    down(folder)


def test_a_process_that_has_the_daemons_number_by_now_is_left_alone(
    folder: LabFolder, daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.make()
    folder.keep_settings(new_settings())
    daemons.start(folder, LabSettings("of another lab"))
    stranger = daemons.started[0]
    folder.keep_state({**STATE, "pid": stranger.pid})
    with folder.held():
        assert down(folder) == []
    assert stranger.poll() is None


def test_a_daemon_that_has_ended_meanwhile_is_no_error(
    folder: LabFolder, daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.make()
    folder.keep_settings(LabSettings("a1"))
    folder.keep_state({**STATE, "pid": 2_000_000_000})
    monkeypatch.setattr(module, "marked", lambda _: [2_000_000_000])
    held = iter([True, False])
    monkeypatch.setattr(LabFolder, "is_held", lambda _: next(held))
    assert down(folder) == [2_000_000_000]


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_state_that_cannot_be_read_does_not_keep_the_lab_up(folder: LabFolder, daemons: Daemons, text: str) -> None:
    folder.make()
    settings = new_settings()
    folder.keep_settings(settings)
    daemons.start(folder, settings)
    (folder.path / "lab.json").write_text(text)
    assert down(folder) == [daemons.started[0].pid]
    assert marked(settings.mark) == []


def test_the_daemon_is_asked_first_and_ends_what_it_started_itself(
    folder: LabFolder, daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.make()
    settings, sent = new_settings(), list[tuple[int, int]]()
    folder.keep_settings(settings)
    daemons.state = STATE
    daemon = daemons.start(folder, settings)
    daemons.start(folder, settings)  # a board
    folder.keep_state({**STATE, "pid": daemon.pid})
    held, kill = iter([True, True, False]), os.kill
    monkeypatch.setattr(LabFolder, "is_held", lambda _: next(held))
    monkeypatch.setattr(os, "kill", lambda pid, number: (sent.append((pid, number)), kill(pid, number)))
    assert set(down(folder)) == {process.pid for process in daemons.started}
    assert sent[0] == (daemon.pid, signal.SIGTERM)


def test_an_emulated_jetsons_rule_is_taken_back(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    monkeypatch.setattr(module, "unregister", taken.append)
    folder.make()
    folder.keep_settings(LabSettings("a1", "arm64"))
    assert sweep(folder) == []
    folder.keep_settings(LabSettings("b2", "native"))
    sweep(folder)
    assert taken == ["a1"]


def test_after_down_no_inventory_leads_to_where_the_lab_was(folder: LabFolder, daemons: Daemons) -> None:
    folder.make()
    folder.keep_settings(LabSettings("a1"))
    folder.inventory.write_text("")
    down(folder)
    assert not folder.inventory.exists()
    assert folder.keys.exists()
    down(folder, remove=True)
    assert not folder.path.exists()


# Disk and folder


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    folder: LabFolder, daemons: Daemons, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(LabError, match=r"the disk cannot be used \(.*\): check its permissions and free space"):
        up(folder, new_settings())
    assert daemons.started == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, daemons: Daemons) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match=r"file.*' cannot be used \(.*\): check its permissions"):
        up(LabFolder(tmp_path / "file" / "lab"), new_settings())


def test_fresh_forgets_all_that_was_there(folder: LabFolder, daemons: Daemons) -> None:
    daemons.state = STATE
    up(folder, new_settings())
    down(folder)
    kept = folder.board("board-1") / "flash.bin"
    kept.parent.mkdir(parents=True)
    kept.touch()
    key = (folder.keys / "signing.key").read_bytes()
    up(folder, new_settings())
    down(folder)
    assert kept.exists()
    up(folder, new_settings(), fresh=True)
    down(folder)
    assert not kept.exists()
    assert (folder.keys / "signing.key").read_bytes() != key


@pytest.mark.parametrize("name", ["my home", "home;ls", "höme", "home%", "home'"])
def test_a_name_that_means_something_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="give another EDGELOOP_HOME"):
        require_plain(Path("/srv") / name)


@pytest.mark.parametrize("name", ["home", "a.b_c@d+e-f", "0"])
def test_a_plain_name_will_do(name: str) -> None:
    require_plain(Path("/srv") / name)


def test_down_makes_no_home(folder: LabFolder) -> None:
    assert down(folder) == []
    assert not folder.path.parent.exists()
