"""Files that one process holds at a time: the kernel lets go of them however that process ends."""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_SECONDS = 0.05


@contextmanager
def locked(file: Path, seconds: float, busy: Exception) -> Iterator[None]:
    """Hold a file, which a process that is started inside does not inherit.

    Args:
        file: made if missing; its folder exists.
        seconds: how long to wait for who holds it now.
        busy: raised if that is not enough.
    """
    with file.open("a") as lock:
        if not take(lock.fileno(), seconds):
            raise busy
        yield


def is_locked(file: Path) -> bool:
    """Whether a process holds it. Those who ask do not take one another for a holder."""
    if not file.parent.exists():
        return False
    with file.open("a") as lock:
        return is_taken(lock.fileno())


def take(lock: int, seconds: float) -> bool:
    """Hold an open file until it is closed; False if another process has it for all these seconds."""
    end = time.monotonic() + seconds
    while not _flocked(lock, fcntl.LOCK_EX):
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def is_taken(lock: int) -> bool:
    """Whether another process holds an open file, which is left as it is once it is closed."""
    return not _flocked(lock, fcntl.LOCK_SH)


def _flocked(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
