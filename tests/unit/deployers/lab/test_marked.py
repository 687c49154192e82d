"""Processes are found by their environment, whoever started them, and are ended whether they want to or not."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from deployers.lab import marked as module
from deployers.lab.marked import VARIABLE, end_marked, marked
from deployers.lab.programs import LabError

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
ORPHAN = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True); print('on', flush=True)"


@pytest.fixture
def mark() -> str:
    return secrets.token_hex(8)


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def started(processes: ExitStack, mark: str, code: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, VARIABLE: mark}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    processes.enter_context(process)
    processes.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == b"on\n"
    return process


def test_only_those_with_this_very_mark_are_found(mark: str, processes: ExitStack) -> None:
    one = started(processes, mark, STUBBORN)
    started(processes, mark + "0", STUBBORN)
    assert marked(mark) == [one.pid]


def test_this_process_is_never_among_them(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, mark)
    assert marked(mark) == []


def test_who_lost_its_parent_is_found_and_ended(mark: str, processes: ExitStack) -> None:
    started(processes, mark, ORPHAN).wait()
    end = time.monotonic() + 20
    while len(marked(mark)) != 1:  # for a moment a program that begins has no environment
        assert time.monotonic() < end
        time.sleep(0.01)
    assert len(end_marked(mark)) == 1
    assert marked(mark) == []


def test_who_ignores_sigterm_is_killed(mark: str, processes: ExitStack) -> None:
    process = started(processes, mark, STUBBORN)
    begun = time.monotonic()
    assert end_marked(mark, patience=0.3) == [process.pid]
    assert process.wait(10) == -9
    assert time.monotonic() - begun >= 0.3


def test_what_goes_on_all_the_same_is_named(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "marked", lambda _: [2_000_000_000])
    with pytest.raises(LabError, match=r"processes \[2000000000\] of the lab go on after SIGKILL"):
        end_marked(mark, patience=0.0, seconds=0.1)


def test_a_program_that_is_just_beginning_is_not_missed(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment it has no environment."""
    looks, killed = iter([[], [7_000_000], [], []]), list[int]()
    monkeypatch.setattr(module, "marked", lambda _: next(looks))
    monkeypatch.setattr(module.os, "kill", lambda process, _: killed.append(process))
    assert end_marked(mark) == killed == [7_000_000]


def test_nothing_to_end_takes_no_time(mark: str) -> None:
    assert end_marked(mark) == []
