"""Where no systemd runs: keeps `serve` running, with a log that does not grow without end. One a root folder.

R/run/supervisor.pid    locked by the supervisor as long as it lives; holds its process id
R/run/hub.pid           the process id of the hub
R/run/hub.log, .log.1   what the hub writes
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Any

from deployers.exceptions import DeploymentRunning, InputError
from deployers.hub.private import read_variables
from deployers.processes import bound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deployers.hub.settings import Settings

_log = logging.getLogger(__name__)

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 1.0, 60.0
# A hub that ran so long did not fail in starting: the next pause is short again.
SETTLED_SECONDS = 60.0
END_SECONDS = 12.0
LOG_BYTES, LOGS_KEPT = 4 * 1024 * 1024, 3
# Exit codes that another start does not change: bad input, and a tool that is missing.
FINAL = frozenset({InputError.exit_code, 4})


class RotatingLog:
    """A file that begins anew when it is full; a few earlier ones stay.

    Args:
        path: the newest.
        bytes_max: of each.
        kept: earlier ones.
    """

    def __init__(self, path: Path, bytes_max: int = LOG_BYTES, kept: int = LOGS_KEPT) -> None:
        self._path, self._bytes_max, self._kept = path, bytes_max, kept
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Write a line; a full disk loses it, and the hub goes on."""
        try:
            if self._file.tell() + len(data) > self._bytes_max and self._file.tell():
                self._rotate()
            self._file.write(data)
        except OSError as error:
            _log.debug("a line of the hub's log is lost: %s", error)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._kept, 0, -1):
            older = self._name(number - 1)
            if older.exists():
                older.replace(self._name(number))
        self._file = self._path.open("ab", buffering=0)

    def _name(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


class Supervisor:
    """Starts a command again whenever it ends.

    Args:
        command: what to keep running.
        folder: for pid files and log.
        pause: sleeps so many seconds, or less if it is told to end meanwhile; returns whether it was.
        clock: seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        pause: Callable[[float], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command, self._folder, self._clock = list(command), folder, clock
        self._ending = threading.Event()
        self._pause = pause or self._ending.wait
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Keep it running until SIGTERM.

        Returns:
            0 when told to end; the command's exit code if another start would not change it.

        Raises:
            DeploymentRunning: another supervisor runs for this folder.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with _only_one(self._folder / "supervisor.pid"):
            log = RotatingLog(self._folder / "hub.log")
            handled = {each: signal.signal(each, self._end) for each in (signal.SIGTERM, signal.SIGINT)}
            try:
                return self._keep_running(log)
            finally:
                for number, before in handled.items():
                    signal.signal(number, before)
                log.close()

    def _keep_running(self, log: RotatingLog) -> int:
        wait = PAUSE_SECONDS
        while not self._ending.is_set():
            began = self._clock()
            code = self._run_once(log)
            if self._ending.is_set():
                return 0
            if code in FINAL:
                _say(log, f"the hub ended with exit code {code}, which another start does not change")
                return code
            wait = PAUSE_SECONDS if self._clock() - began >= SETTLED_SECONDS else wait
            _say(log, f"the hub ended with exit code {code}, again in {wait:g} s")
            if self._pause(wait):
                break
            wait = min(2 * wait, PAUSE_SECONDS_MAX)
        return 0

    def _run_once(self, log: RotatingLog) -> int:
        """Start it and copy what it writes to the log until it ends."""
        self._child = child = subprocess.Popen(  # noqa: S603 - the command is ours
            bound(self._command, os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, pid = child.stdout, self._folder / "hub.pid"
        assert output is not None  # noqa: S101 - it was asked for
        pid.write_text(f"{child.pid}\n", encoding="ascii")
        if self._ending.is_set():  # told between the start and here
            child.terminate()
        try:
            _copy(output, log)
            return child.wait()
        finally:
            pid.unlink(missing_ok=True)
            output.close()

    def _end(self, _number: int, _frame: Any) -> None:
        self._ending.set()
        child = self._child
        if child is not None and child.poll() is None:
            child.terminate()
            last = threading.Timer(END_SECONDS, child.kill)
            last.daemon = True
            last.start()


def supervise(settings: Settings, config: Path) -> int:
    """Keep the hub of these settings running, with the variables of hub.env beside them.

    Raises:
        InputError: hub.env cannot be used.
        DeploymentRunning: another supervisor runs for this folder.
    """
    os.environ.update(read_variables(config.with_name("hub.env")))
    command = [sys.executable, "-m", "deployers.hub", "serve", "--config", str(config.resolve())]
    return Supervisor(command, settings.root / "run").run()


def _copy(output: IO[bytes], log: RotatingLog) -> None:
    for line in output:
        log.write(line)


def _say(log: RotatingLog, text: str) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    log.write(f'{{"time": "{stamp}", "part": "supervise", "message": "{text}"}}\n'.encode())


class _only_one:  # noqa: N801 - reads as the statement it is used in
    """Holds a lock file as long as it is entered."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = self._path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            other = self._path.read_text(encoding="ascii").strip()
            msg = f"process {other!r} supervises {str(self._path.parent)!r} already, expected none: stop it first"
            raise DeploymentRunning(msg) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        self._file.truncate(0)
        self._file.close()
