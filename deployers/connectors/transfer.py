"""Files over SFTP: resumed from what is there, compared by SHA-256 on both sides, and renamed when they are whole."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol

from deployers.connectors.base import Transferred, refused, require
from deployers.connectors.command import script
from deployers.exceptions import InputError, NotFound, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.connectors.base import Completed, Source
    from deployers.connectors.command import Command

BLOCK = 1 << 15  # what every SFTP server takes in one request
HASH_SECONDS = 600.0  # a large file on a slow card
PREFIX_HASH = 'head -c "$2" "$1" | sha256sum'
FREE = 'df -Pk "$1" | tail -n 1'
DAMAGED = 9
# On the disk before it takes the name, or a power cut leaves a name without a content.
PLACE = """
sum=$(sha256sum < "$1") || exit 1
[ "${sum%% *}" = "$3" ] || exit 9
chmod "$4" "$1" && { sync "$1" 2>/dev/null || sync; } && mv -f "$1" "$2"
"""


class Shell(Protocol):
    """The part of a connector that a transfer needs."""

    name: str

    def run(self, command: Command) -> Completed:
        """Run a command."""
        ...


@dataclass
class Sender:
    """One upload.

    Args:
        shell: runs commands over there.
        sftp: an SFTP client of paramiko.
        source: the file.
        remote: where it goes.
        mode: permissions.
    """

    shell: Shell
    sftp: Any
    source: Source
    remote: PurePosixPath
    mode: int

    def __post_init__(self) -> None:
        self.part = part_of(self.remote)
        self.size = len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def send(self, progress: Callable[[int, int], None]) -> Transferred:
        """Send what is missing."""
        digest = self._hash(self.size)
        if self._is_there(digest):
            progress(self.size, self.size)
            return Transferred(self.size, 0, digest)
        offset = self._offset()
        try:
            self._write(offset, progress)
        except OSError as error:
            raise self._explained(error) from error
        self._place(digest)
        return Transferred(self.size, self.size - offset, digest)

    def _is_there(self, digest: str) -> bool:
        found = _stat(self.sftp, self.remote)
        if found is None:
            return False
        if not stat.S_ISREG(found.st_mode or 0):
            msg = f"{self.shell.name}: {str(self.remote)!r} is no file, expected one or nothing: remove it there"
            raise InputError(msg)
        if found.st_size != self.size or remote_hash(self.shell, self.remote, self.size) != digest:
            return False
        if stat.S_IMODE(found.st_mode or 0) != self.mode:
            self.sftp.chmod(str(self.remote), self.mode)
        return True

    def _offset(self) -> int:
        """How much of an earlier try is there, and is the beginning of this file."""
        found = _stat(self.sftp, self.part)
        size = int(found.st_size or 0) if found is not None else 0
        if not size:
            return 0
        return size if remote_hash(self.shell, self.part, size) == self._hash(size) else 0

    def _write(self, offset: int, progress: Callable[[int, int], None]) -> None:
        with self._open() as local, self.sftp.open(str(self.part), "r+b" if offset else "wb") as there:
            if not offset:
                self.sftp.chmod(str(self.part), self.mode & 0o600)  # nobody else reads a secret while it arrives
            local.seek(offset)
            there.seek(offset)
            there.set_pipelined(True)
            progress(offset, self.size)
            while block := local.read(BLOCK):
                there.write(block)
                offset += len(block)
                progress(offset, self.size)

    def _place(self, digest: str) -> None:
        command = script(
            PLACE, self.part, self.remote, digest, f"{self.mode:o}", timeout=HASH_SECONDS, accepted=(0, DAMAGED)
        )
        if require(self.shell, command).code == DAMAGED:  # type: ignore[arg-type]
            self.sftp.remove(str(self.part))
            msg = f"{self.shell.name}: {str(self.remote)!r} did not arrive as it was sent: run this again"
            raise ServiceUnavailable(msg)

    def _explained(self, error: OSError) -> Exception:
        """SFTP has no number for a full disk: the disk itself is asked."""
        if isinstance(error, ConnectionError | TimeoutError) or str(error) == "Socket is closed":
            return error
        if error.errno is None:
            folder = self.remote.parent
            answer = self.shell.run(script(FREE, folder)).text.split()
            free = int(answer[3]) * 1024 if len(answer) > 4 and answer[3].isdigit() else None
            if free is not None and free < self.size:
                self.sftp.remove(str(self.part))  # the hub that runs there needs the room
                error = OSError(errno.ENOSPC, f"no space left, {free} bytes free for {self.size}")
        return refused(self.shell.name, self.remote, error)

    def _open(self) -> IO[bytes]:
        return io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")

    def _hash(self, size: int) -> str:
        """Of the first bytes of the file."""
        with self._open() as stream:
            return _hash_of(stream, size)


@dataclass
class Receiver:
    """One download, or the hash alone.

    Args:
        shell: runs commands over there.
        sftp: an SFTP client of paramiko.
        remote: the file over there.
        local: where it goes.
    """

    shell: Shell
    sftp: Any
    remote: PurePosixPath
    local: Path = Path()

    def receive(self, progress: Callable[[int, int], None]) -> Transferred:
        """Fetch what is missing."""
        found = _stat(self.sftp, self.remote)
        if found is None:
            msg = f"{self.shell.name}: no file {str(self.remote)!r}, expected it there: check the path"
            raise NotFound(msg)
        size = int(found.st_size or 0)
        digest = remote_hash(self.shell, self.remote, size)
        part = self.local.with_name(f"{self.local.name}.part")
        try:
            offset = self._offset(part, size)
            self._read(part, offset, size, progress)
            if _file_hash(part, size) != digest:
                part.unlink()
                msg = f"{self.shell.name}: {str(self.remote)!r} did not arrive as it was sent: run this again"
                raise ServiceUnavailable(msg)
            part.replace(self.local)
        except OSError as error:
            if error.errno is None or isinstance(error, ConnectionError | TimeoutError):
                raise
            why = refused("here", PurePosixPath(self.local), error)
            raise why from error
        return Transferred(size, size - offset, digest)

    def remote_hash(self) -> str | None:
        """Of the file over there, if it is there."""
        found = _stat(self.sftp, self.remote)
        if found is None or not stat.S_ISREG(found.st_mode or 0):
            return None
        return remote_hash(self.shell, self.remote, int(found.st_size or 0))

    def _offset(self, part: Path, size: int) -> int:
        have = part.stat().st_size if part.exists() else 0
        if not 0 < have <= size:
            return 0
        return have if remote_hash(self.shell, self.remote, have) == _file_hash(part, have) else 0

    def _read(self, part: Path, offset: int, size: int, progress: Callable[[int, int], None]) -> None:
        with part.open("r+b" if offset else "wb") as stream, self.sftp.open(str(self.remote), "rb") as there:
            stream.seek(offset)
            there.seek(offset)
            there.prefetch(size)
            progress(offset, size)
            while offset < size and (block := there.read(min(BLOCK, size - offset))):
                stream.write(block)
                offset += len(block)
                progress(offset, size)
            stream.truncate()
            stream.flush()
            os.fsync(stream.fileno())


def part_of(path: PurePosixPath) -> PurePosixPath:
    """Where a file is until it is whole."""
    return path.with_name(f"{path.name}.part")


def remote_hash(shell: Shell, path: PurePosixPath, size: int) -> str:
    """SHA-256 of the first bytes of a file over there, as hexadecimal digits.

    Raises:
        RemoteFailed: it cannot be read.
    """
    done = require(shell, script(PREFIX_HASH, path, str(size), timeout=HASH_SECONDS))  # type: ignore[arg-type]
    return done.text.split()[0]


def _stat(sftp: Any, path: PurePosixPath) -> Any:
    try:
        return sftp.stat(str(path))
    except FileNotFoundError:
        return None


def _file_hash(path: Path, size: int) -> str:
    with path.open("rb") as stream:
        return _hash_of(stream, size)


def _hash_of(stream: IO[bytes], size: int) -> str:
    found = hashlib.sha256()
    while size > 0 and (block := stream.read(min(1 << 20, size))):
        found.update(block)
        size -= len(block)
    return found.hexdigest()
