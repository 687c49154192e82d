"""The lab's folder: who holds it, what is said of it, and what is in it that should not be."""

from __future__ import annotations

import errno
import fcntl
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deployers.lab.folder import LabFolder, LabSettings, plain_disk_errors
from deployers.lab.programs import LabError
from deployers.registry import CHECKOUT


def test_it_is_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path))
    assert LabFolder.from_environment().path == tmp_path / "lab"
    monkeypatch.delenv("EDGELOOP_HOME")
    assert LabFolder.from_environment().path == CHECKOUT / ".edgeloop" / "lab"


def test_nobody_else_may_look_into_it(folder: LabFolder) -> None:
    assert [path.stat().st_mode & 0o777 for path in (folder.path, folder.keys)] == [0o700, 0o700]


def test_settings_and_state_are_read_as_they_were_kept(folder: LabFolder) -> None:
    assert (folder.settings(), folder.state()) == (None, None)
    settings = LabSettings("a1", boards=3, speed=60.0)
    folder.keep_settings(settings)
    folder.keep_state({"pid": 7})
    assert (folder.settings(), folder.state()) == (settings, {"pid": 7})
    folder.forget_state()
    folder.forget_state()
    assert folder.state() is None


@pytest.mark.parametrize("text", ["{", "[]", '{"colour": 1}'])
def test_settings_that_no_lab_wrote_are_refused(folder: LabFolder, text: str) -> None:
    (folder.path / "settings.json").write_text(text)
    with pytest.raises(LabError, match=r"settings.json' is not as the lab writes it .*: remove "):
        folder.settings()


def test_a_state_is_never_seen_half_written(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.keep_state({"pid": 7})
    monkeypatch.setattr(Path, "replace", lambda *_: None)  # the power goes before the rename
    folder.keep_state({"pid": 8})
    assert folder.state() == {"pid": 7}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"^the disk cannot be used \(No space left"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            r"^'/x' cannot be used \(Permission denied\): check",
        ),
    ],
)
def test_what_the_disk_refuses_is_one_line(error: OSError, said: str) -> None:
    with pytest.raises(LabError, match=said), plain_disk_errors():
        raise error


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), ChildProcessError(10, "none"), KeyError("x")])
def test_what_the_disk_has_nothing_to_do_with_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), plain_disk_errors():
        raise error


def test_who_looks_at_a_lab_does_not_keep_it_from_starting(folder: LabFolder) -> None:
    """`status` beside `up`: it holds the lock for a moment, here for a long one."""
    with (folder.path / "lock").open("a") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        timer = threading.Timer(0.3, fcntl.flock, (looking, fcntl.LOCK_UN))
        timer.start()
        with folder.held():
            assert folder.is_held()
        timer.join()


def test_a_folder_is_held_by_one_until_it_ends(folder: LabFolder) -> None:
    assert not folder.is_held()
    hold = "import sys; from pathlib import Path; from deployers.lab.folder import LabFolder\n"
    hold += f"with LabFolder(Path({str(folder.path)!r})).held(): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=-1, stdout=-1, cwd=CHECKOUT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert folder.is_held()
        with pytest.raises(LabError, match=r"another lab runs in .*: python -m deployers.lab down"), folder.held():
            pass
        other.kill()
    assert not folder.is_held()
    with folder.held():
        assert folder.is_held()


def test_a_folder_that_was_never_made_is_held_by_nobody(tmp_path: Path) -> None:
    assert not LabFolder(tmp_path / "none").is_held()
    LabFolder(tmp_path / "none").remove()
    assert not (tmp_path / "none").exists()


def test_the_end_of_the_log_is_what_was_printed_last(folder: LabFolder) -> None:
    assert not folder.end_of_log()
    folder.log.write_text("x" * 5000 + "no port is free\n")
    assert folder.end_of_log().endswith("no port is free")
    assert len(folder.end_of_log()) < 2000


def test_who_is_killed_while_removing_it_leaves_no_half_of_it(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a disk beside the note that it was unpacked would be started as a whole one."""
    (folder.path / "arm64" / "disk").mkdir(parents=True)
    (folder.path / "arm64" / "unpacked").touch()

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.remove()
    assert not folder.path.exists()
    folder.make()
    folder.remove()
    assert list(folder.path.parent.iterdir()) == []


def test_it_is_removed_with_all_that_is_in_it(folder: LabFolder) -> None:
    (folder.board("board-1")).mkdir(parents=True)
    folder.keep_state(json.loads("{}"))
    folder.remove()
    assert not folder.path.exists()
