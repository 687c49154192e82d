"""The machine that the deployer runs on: the steps of a plan that run here, and Jetsons that are this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from deployers.connectors.base import Completed, Transferred, refused, unseen
from deployers.exceptions import NotFound, Unreachable
from deployers.processes import bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.connectors.base import Source
    from deployers.connectors.command import Command

BLOCK = 1 << 20
NOT_FOUND = 127  # as a shell has it


class LocalConnector:
    """Runs commands as child processes and copies files."""

    name = "here"

    def run(self, command: Command) -> Completed:
        """Run a command to its end; see `Connector.run`."""
        words = command.plain()
        program = shutil.which(words[0])
        if program is None:
            return Completed(NOT_FOUND, b"", f"no such program: {words[0]}".encode())
        try:
            process = subprocess.Popen(  # noqa: S603 - words, no shell
                bound([program, *words[1:]], os.getpid()),  # a conversion does not outlive a deployer that is killed
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # so that its children end with it
            )
        except OSError as error:
            return Completed(NOT_FOUND, b"", f"{error.strerror}: {words[0]}".encode())
        with process:
            try:
                stdout, stderr = process.communicate(command.input, command.timeout)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    msg = f"{self.name}: {command.shown()!r} did not end within {command.timeout:g} s: run it by hand"
                    raise Unreachable(msg) from None
                raise
        return Completed(process.returncode, stdout, stderr)

    def upload(
        self,
        source: Source,
        remote: PurePosixPath,
        mode: int = 0o644,
        progress: Callable[[int, int], None] = unseen,
    ) -> Transferred:
        """Copy a file so that it appears whole; see `Connector.upload`."""
        data = source if isinstance(source, bytes) else source.read_bytes()
        target, digest = Path(remote), hashlib.sha256(data).hexdigest()
        try:
            if self.sha256(remote) == digest and target.stat().st_mode & 0o7777 == mode:
                progress(len(data), len(data))
                return Transferred(len(data), 0, digest)
            _write(target.with_name(target.name + ".part"), data, mode)
            target.with_name(target.name + ".part").replace(target)
        except OSError as error:
            raise refused(self.name, remote, error) from error
        progress(len(data), len(data))
        return Transferred(len(data), len(data), digest)

    def download(
        self, remote: PurePosixPath, local: Path, progress: Callable[[int, int], None] = unseen
    ) -> Transferred:
        """Copy a file; see `Connector.download`."""
        try:
            data = Path(remote).read_bytes()
        except FileNotFoundError:
            msg = f"{self.name}: no file {str(remote)!r}, expected it there: check the path"
            raise NotFound(msg) from None
        except OSError as error:
            raise refused(self.name, remote, error) from error
        return self.upload(data, PurePosixPath(local), 0o644, progress)

    def sha256(self, remote: PurePosixPath) -> str | None:
        """Hash of a file; see `Connector.sha256`."""
        try:
            with Path(remote).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused(self.name, remote, error) from error

    def close(self) -> None:
        """Nothing is open."""


def _write(part: Path, data: bytes, mode: int) -> None:
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
