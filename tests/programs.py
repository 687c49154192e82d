"""Programs that tests start and end."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

CHECKOUT = Path(__file__).resolve().parents[1]
SECONDS_TO_START, SECONDS_TO_END = 600.0, 15
TOLD = 4000  # characters of a log


@contextmanager
def running(
    command: Sequence[str], log: Path, ready: Callable[[], bool], *,
    home: Path = CHECKOUT, environment: Mapping[str, str] | None = None, seconds: float = SECONDS_TO_START,
) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    """A program in a process group of its own, from when it is ready to the end of the block.

    Args:
        command: program and arguments.
        log: takes what it prints.
        ready: whether it serves.
        home: its working folder.
        environment: all of its variables; without it, this process' own.
        seconds: how long it may take to be ready.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        end = time.monotonic() + seconds
        while not ready():
            assert process.poll() is None, f"{command[0]} ended: {_end_of(log)}"
            assert time.monotonic() < end, f"{command[0]} did not start within {seconds:g} s: {_end_of(log)}"
            time.sleep(0.2)
        yield process
    finally:
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a server that this test started, with the workers it started."""
    for number in (15, 9):
        try:
            os.killpg(process.pid, number)
            process.wait(SECONDS_TO_END)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait(SECONDS_TO_END)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-TOLD:]
