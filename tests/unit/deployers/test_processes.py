"""Whatever ends a command ends what it started, and leaves nothing behind: with real processes and real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployers.processes import bound, interruptible

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 300.0  # seconds; only a failure takes so long

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def running(folder: Path) -> set[str]:
    """Commands whose environment has this folder as TMPDIR: what a test has started, and what that has."""
    found, mark = set(), f"TMPDIR={folder}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.add((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def started(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def at_work(process: subprocess.Popen[Any], folder: Path, what: str) -> bool:
    """Whether it comes to run what it is to run; not if it ends before."""

    def runs() -> bool:
        return any(what in command and "getppid" not in command for command in running(folder))

    return until(lambda: runs() or process.poll() is not None) and runs()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)  # fmt: skip
def test_a_signal_ends_convert_and_its_converter_and_leaves_nothing(
    release: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    arguments = ["deployers", "convert", "--release", str(release), "--out", str(tmp_path / "out")]
    with started(arguments, scratch) as process:
        assert at_work(process, scratch, "deployers.conversion.child")
        process.send_signal(number)
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, told
    assert told.strip().splitlines()[-1] == f"error: {'interrupted' if code == 130 else 'ended by ' + number.name}"
    assert "Traceback" not in told
    assert running(scratch) == set()
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("board", "program"), [("native", "edgeloop-native"), ("mps2_an500", "qemu-system-arm")])
def test_sigterm_ends_the_board_and_takes_its_key(release: Path, tmp_path: Path, board: str, program: str) -> None:
    arguments = ["deployers.lab", "try", "--release", str(release), "--board", board, "--type", "float32"]
    with started([*arguments, "--readings", "20000"], tmp_path) as process:
        assert at_work(process, tmp_path, program)
        process.terminate()
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, told
    assert running(tmp_path) == set()
    assert list(tmp_path.iterdir()) == []


def test_what_is_shot_takes_its_children_along(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys; from deployers.processes import bound; "
        "subprocess.run(bound(['/bin/sleep', '100'], os.getpid()))"
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environ) as process:
        assert at_work(process, tmp_path, "/bin/sleep 100")
        process.kill()
    assert until(lambda: running(tmp_path) == set())


def test_what_starts_after_its_parent_has_ended_does_not_begin() -> None:
    done = subprocess.run(bound(["/bin/echo", "begun"], 1), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_the_command_keeps_its_code_and_its_output() -> None:
    command = bound(["/bin/sh", "-c", 'echo "$0 $1"; exit 7', "a b", "c,d"], os.getpid())
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "a b c,d\n")


def test_elsewhere_a_command_is_unchanged(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert bound(["/bin/echo", "x"], 1) == ["/bin/echo", "x"]


def test_a_second_signal_does_not_end_the_cleaning_up() -> None:
    came: list[signal.Signals] = []
    before, cleaned = signal.getsignal(signal.SIGTERM), False

    def work() -> None:
        nonlocal cleaned
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned = True

    with pytest.raises(KeyboardInterrupt), interruptible(came):
        work()
    assert (came, cleaned) == ([signal.SIGTERM], True)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible([]):
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_sets_no_handlers() -> None:
    failed: list[BaseException] = []

    def enter() -> None:
        try:
            with interruptible([]):
                pass
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert failed == []
