"""What every connector does; ssh.py, local.py, fake.py and faults.py are four ways to do it."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from textwrap import shorten
from typing import TYPE_CHECKING, Protocol

from deployers.exceptions import DeployerError, InputError, RemoteFailed, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.connectors.command import Command

Source = Path | bytes


REASON_CHARACTERS, COMMAND_CHARACTERS = 500, 160


def unseen(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended.

    Attributes:
        code: its exit code.
        stdout: all that it printed.
        stderr: likewise.
    """

    code: int
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Transferred:
    """What a transfer did.

    Attributes:
        size: bytes of the file.
        sent: bytes that went over the line; fewer than `size` if it was resumed, none if it was there.
        sha256: of the file, as hexadecimal digits, computed on both sides.
    """

    size: int
    sent: int
    sha256: str


class Connector(Protocol):
    """A machine where commands run and files lie.

    Every method raises Unreachable where the connection does not come about or goes while it is needed.
    """

    @property
    def name(self) -> str:
        """What messages call the machine."""
        ...

    def run(self, command: Command) -> Completed:
        """Run a command to its end; any exit code is an answer.

        Raises:
            Unreachable: no connection, or no end within the command's timeout.
        """
        ...

    def upload(
        self,
        source: Source,
        remote: PurePosixPath,
        mode: int = 0o644,
        progress: Callable[[int, int], None] = unseen,
    ) -> Transferred:
        """Put a file where it appears complete or not at all; the folder exists.

        It goes to `remote` + ".part", from the byte on that is missing, is compared by its SHA-256 and renamed. A file
        that is there already with the same hash and mode is left alone.

        Raises:
            Unreachable: the connection went; what is in the part stays for the next time.
            ServiceUnavailable: the other disk is full or refuses; nothing that was there before is harmed.
        """
        ...

    def download(
        self, remote: PurePosixPath, local: Path, progress: Callable[[int, int], None] = unseen
    ) -> Transferred:
        """Fetch a file, likewise resumed, compared and renamed.

        Raises:
            NotFound: it is not there.
            Unreachable: the connection went.
        """
        ...

    def sha256(self, remote: PurePosixPath) -> str | None:
        """The hash of a file over there as hexadecimal digits; none if there is no such file."""
        ...

    def close(self) -> None:
        """End the connection; a second time does nothing."""
        ...


def require(connector: Connector, command: Command) -> Completed:
    """Run a command that has to end with one of the exit codes it accepts.

    Raises:
        RemoteFailed: it did not; the message has what it said last, without secrets.
    """
    done = connector.run(command)
    if done.code not in command.accepted:
        raise RemoteFailed(failure(connector.name, command, done))
    return done


def failure(name: str, command: Command, done: Completed) -> str:
    """One line that says which command failed, where, how, and what it said."""
    said = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()] or lines  # pip says why, and then what to read
    reason = shorten(command.masked(" | ".join(errors[-3:])), REASON_CHARACTERS, placeholder=" …") or "no output"
    expected = " or ".join(map(str, command.accepted))
    shown = shorten(command.shown(), COMMAND_CHARACTERS, placeholder=" …")
    ended = f"ended with {done.code}, expected {expected}"
    return f"{name}: {reason.removeprefix('error: ')} ({shown!r} {ended}): mend that, and run this again"


def refused(name: str, path: PurePosixPath, error: OSError) -> DeployerError:
    """What a disk's refusal means to who deploys."""
    where = f"{name}: {str(path)!r} cannot be written ({error.strerror or error})"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ServiceUnavailable(f"{where}, expected room on its disk: free some space there and run this again")
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}:
        return InputError(f"{where}, expected a folder that exists: run setup, or check the path")
    return ServiceUnavailable(f"{where}: check the permissions of its folder and the disk")
