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
    end = time.monotonic() + seconds
    with file.open("a") as lock:
        while not _taken(lock.fileno(), fcntl.LOCK_EX):
            if time.monotonic() >= end:
                raise busy
            time.sleep(_POLL_SECONDS)
        yield


def is_locked(file: Path) -> bool:
    """Whether a process holds it. Those who ask do not take one another for a holder."""
    if not file.parent.exists():
        return False
    with file.open("a") as lock:
        return not _taken(lock.fileno(), fcntl.LOCK_SH)


def _taken(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
