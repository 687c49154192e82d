"""Who holds a file, who waits for it, and who only looks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deployers.exceptions import Conflict
from deployers.locks import is_locked, locked
from deployers.registry import CHECKOUT

BUSY = Conflict("someone holds it")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def held_for(file: Path, seconds: float, begun: threading.Event) -> threading.Thread:
    def hold() -> None:
        with locked(file, 0.0, BUSY):
            begun.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    assert begun.wait(10)
    return thread


def test_one_at_a_time_holds_it(file: Path) -> None:
    with locked(file, 0.0, BUSY):
        assert is_locked(file)
        with pytest.raises(Conflict, match="someone holds it"), locked(file, 0.1, BUSY):
            pass
        assert is_locked(file)
    assert not is_locked(file)


def test_who_comes_second_waits(file: Path) -> None:
    thread = held_for(file, 0.3, threading.Event())
    begun = time.monotonic()
    with locked(file, 20.0, BUSY):
        assert 0.1 < time.monotonic() - begun < 15
    thread.join()


def test_it_is_let_go_of_though_what_was_done_fails(file: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(file, 0.0, BUSY):
        raise ZeroDivisionError
    assert not is_locked(file)


def test_who_looks_is_taken_for_no_holder_by_others_who_look(file: Path) -> None:
    """Two who ask at the same moment whether a lab is up must not each see the other."""
    begun, ended, seen = threading.Barrier(4), threading.Event(), list[bool]()

    def look() -> None:
        begun.wait(10)
        while not ended.is_set():
            seen.append(is_locked(file))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    ended.set()
    for thread in threads:
        thread.join()
    assert len(seen) > 100
    assert not any(seen)


def test_who_holds_waits_for_those_who_look(file: Path) -> None:
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.001):
            is_locked(file)

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(50):
        with locked(file, 10.0, BUSY):
            pass
    ended.set()
    thread.join()


def test_a_process_that_is_killed_lets_go(file: Path) -> None:
    hold = "import sys; from pathlib import Path; from deployers.locks import locked\n"
    hold += f"with locked(Path({str(file)!r}), 0, OSError()): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=-1, stdout=-1, cwd=CHECKOUT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert is_locked(file)
        other.kill()
    assert not is_locked(file)


def test_what_is_started_inside_does_not_hold_it(file: Path) -> None:
    with locked(file, 0.0, BUSY):
        child = subprocess.Popen(["sleep", "60"])
    assert not is_locked(file)
    child.kill()
    child.wait()


def test_to_look_makes_no_folder(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "none" / "lock")
    assert not (tmp_path / "none").exists()
