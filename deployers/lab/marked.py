"""Processes that carry a mark in their environment: how everything a lab started is found, whoever its parent is now.

What SSH starts on the virtual Jetson leaves its session (a service must), and is nobody's child once the lab's daemon
was killed. The environment it was started with stays readable for as long as it runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from deployers.lab.programs import LabError

VARIABLE = "EDGELOOP_LAB"
PROCESSES = Path("/proc")
_POLL_SECONDS = 0.05


def marked(mark: str) -> list[int]:
    """Ids of all processes that were started with this mark, except this one."""
    wanted = f"{VARIABLE}={mark}".encode()
    found = []
    for folder in PROCESSES.iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return sorted(found)


def end_marked(mark: str, patience: float = 8.0, seconds: float = 20.0) -> list[int]:
    """End all of them, with SIGTERM, and SIGKILL after a while; returns the ids of all that were found.

    Args:
        mark: theirs.
        patience: seconds that they have to end by themselves.
        seconds: after which it is given up.

    Raises:
        LabError: some go on all the same.
    """
    seen: set[int] = set()
    begun = time.monotonic()
    # A second look: for a moment a program that begins has no environment.
    while left := marked(mark) or _marked_later(mark):
        waited = time.monotonic() - begun
        if waited > seconds:
            msg = f"processes {left!r} of the lab go on after SIGKILL, expected none: end them as their owner"
            raise LabError(msg)
        for process in left:
            if process not in seen or waited > patience:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL if waited > patience else signal.SIGTERM)
        seen.update(left)
        time.sleep(_POLL_SECONDS)
    return sorted(seen)


def _marked_later(mark: str) -> list[int]:
    time.sleep(_POLL_SECONDS)
    return marked(mark)
