"""What was done when, and how it ended: one file of JSON lines a deployment, never changed, only longer.

    journal = Journal.create(folder, "deploy", clock)     # folder/2026-11-21T13-05-09-048210Z-deploy-4f2a.jsonl
    journal.write("begun", step="upload", jetson="kitchen", sha256="…")
    journal.entries()                                     # also those of an earlier process
    with deployment_lock(home): …                         # DeploymentRunning if another process holds it

A line is on the disk before `write` returns. A process that is killed while it writes leaves a line without an end;
readers leave it out, and the next writer cuts it off.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from deployers.exceptions import DeploymentRunning, InputError, ServiceUnavailable
from deployers.locks import is_taken, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).resolve().parents[1]
CLOSED = "closed"  # the event of a journal's last line
SUFFIX = ".jsonl"
NAMED, TICK = "%Y-%m-%dT%H-%M-%S-%fZ", timedelta(microseconds=1)
_STEM = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{6}Z-[^-]+-[0-9a-f]{4}")


def deploy_home() -> Path:
    """Where the deployer keeps its journals and its lock: `deploy/` in EDGELOOP_HOME, or in .edgeloop."""
    return Path(os.environ.get("EDGELOOP_HOME") or CHECKOUT / ".edgeloop").resolve() / "deploy"


class Journal:
    """The record of one deployment.

    Args:
        path: the file; it is made if it is not there.
        clock: seconds since 1970.

    Raises:
        ServiceUnavailable: it cannot be written.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock, self._writing = path, clock, threading.Lock()
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            whole = path.read_bytes().rfind(b"\n") + 1
            os.ftruncate(self._file, whole)

    @classmethod
    def create(cls, folder: Path, kind: str, clock: Callable[[], float] = time.time) -> Self:
        """A new one whose name sorts after every other of its folder; a kind is a word without hyphens.

        The name has the time, or what follows the newest name where the clock was set back or stood still: the newest
        by name is always the last that was made. Whoever calls keeps other processes out of the folder.
        """
        when = max([datetime.fromtimestamp(clock(), UTC), *(_named(path) + TICK for path in journals(folder)[-1:])])
        return cls(folder / f"{when.strftime(NAMED)}-{kind}-{secrets.token_hex(2)}{SUFFIX}", clock)

    @property
    def identity(self) -> str:
        """What the deployment is called: the file's name without its ending."""
        return self.path.name.removesuffix(SUFFIX)

    def write(self, event: str, **fields: Any) -> None:
        """Add a line, with the time; it is on the disk when this returns.

        Raises:
            ServiceUnavailable: the disk does not take it.
        """
        line = json.dumps({"time": _stamp(self._clock()), "event": event, **fields}, allow_nan=False) + "\n"
        with _written(self.path):
            with self._writing:  # threads of several Jetsons write to one file
                self._append(line.encode())
            os.fsync(self._file)

    def _append(self, line: bytes) -> None:
        """A whole line or nothing: a disk that gets full takes a part of one, and the next would follow in it."""
        before = os.fstat(self._file).st_size
        if os.write(self._file, line) != len(line):
            os.ftruncate(self._file, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self, result: str, **fields: Any) -> None:
        """Write the last line: nothing is left to be resumed."""
        self.write(CLOSED, result=result, **fields)
        self.release()

    def release(self) -> None:
        """Let go of the file; what is not closed can be resumed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def entries(self) -> list[dict[str, Any]]:
        """Every whole line."""
        return read_entries(self.path)


def read_entries(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; one without an end, as a killed process leaves it, is left out.

    Raises:
        InputError: there is no such file, or a line that no deployment wrote.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        msg = f"journal {str(path)!r} cannot be read ({error.strerror}): check the path and its permissions"
        raise InputError(msg) from None
    return [_entry(path, number, line) for number, line in enumerate(lines, 1)]


def _entry(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:  # also bytes that are no text
        found = None
    if not isinstance(found, dict) or not {"time", "event"} <= found.keys():
        shown = line[:60].decode(errors="replace")
        msg = f"line {number} of journal {str(path)!r} is {shown!r}, expected an entry: move the file away"
        raise InputError(msg)
    return found


def journals(folder: Path) -> list[Path]:
    """Every journal in a folder, the oldest first; other files may lie there."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if _STEM.fullmatch(path.stem))


def _named(path: Path) -> datetime:
    """The time in a journal's name."""
    return datetime.strptime(path.stem.rsplit("-", 2)[0], NAMED).replace(tzinfo=UTC)


def unfinished(folder: Path, kind: str) -> Path | None:
    """The newest journal of a kind, if its deployment did not come to an end."""
    found = [path for path in journals(folder) if path.stem.split("-")[-2] == kind]
    if not found:
        return None
    entries = read_entries(found[-1])
    return found[-1] if not entries or entries[-1]["event"] != CLOSED else None


# `running` has the lock for a moment, and is no deployment.
LOOK_SECONDS = 0.1


@contextmanager
def deployment_lock(home: Path) -> Iterator[None]:
    """Keep every other deployment from this home out; the kernel lets go when the process ends, however it does.

    Raises:
        DeploymentRunning: another process has it.
        ServiceUnavailable: the file cannot be made.
    """
    path = home / "lock"
    with _written(path):
        home.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not take(file, LOOK_SECONDS):
            who = _holder(file)
            msg = f"another deployment runs ({who}, lock {str(path)!r}), expected one at a time: wait for it, or end it"
            raise DeploymentRunning(msg)
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} since {_stamp(time.time())}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def running(home: Path) -> str | None:
    """Who has the lock of this home, as it says itself; None if nobody."""
    try:
        file = os.open(home / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _holder(file) if is_taken(file) else None
    finally:
        os.close(file)


def _holder(file: int) -> str:
    return os.read(file, 100).decode(errors="replace").strip() or "another process"


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise
        msg = f"{str(path)!r} cannot be written ({error.strerror}): check the folder, its permissions and free space"
        raise ServiceUnavailable(msg) from error
