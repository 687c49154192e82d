"""Files of keys and images: read with a plain message, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployers.protocol.tlv import ImageError

if TYPE_CHECKING:
    from pathlib import Path

# The path is wrong, not the disk.
WRONG_PATH = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class DiskError(ImageError):
    """The disk is full, read-only, or not ours to write to."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be written: all its bytes, and its permissions from the first byte on."""

    path: Path
    data: bytes
    mode: int


def read_file(path: Path, what: str) -> bytes:
    """The bytes of a file.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{what} {str(path)!r} cannot be read ({error.strerror}): check the path and its permissions"
        raise ImageError(msg) from None


def require_other(path: Path, what: str, taken: Path, other: str) -> None:
    """Refuse to write one file where another one is, by whatever path, link or second name.

    Raises:
        ImageError: both are the same file.
    """
    same = os.path.realpath(path) == os.path.realpath(taken)
    with contextlib.suppress(OSError):  # one that is not there yet has no second name
        same = same or path.samefile(taken)
    if same:
        msg = f"{what} {str(path)!r} is the {other} {str(taken)!r}, expected two files: give another name"
        raise ImageError(msg)


def require_absent(path: Path, what: str, *, force: bool) -> None:
    """Refuse to write over a file.

    Raises:
        ImageError: it is there, and `force` is not given; or it is no file.
    """
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_file():
        msg = f"{what} {str(path)!r} is no file, expected a new one: give another name"
        raise ImageError(msg)
    if not force:
        msg = f"{what} {str(path)!r} exists, expected a new file: give another name, or --force to replace it"
        raise ImageError(msg)


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Write a file that appears when it is complete, in place of one that is there.

    Args:
        path: the file; its folder exists.
        data: all of it.
        mode: permissions, from the first byte on.

    Raises:
        DiskError: the disk does not take it; the file is as it was before.
        ImageError: there is no such folder.
    """
    write_together(NewFile(path, data, mode))


def write_together(*files: NewFile) -> None:
    """Write files that appear when all of them are complete, in place of those that are there.

    Raises:
        DiskError: the disk does not take one of them; all are as they were before.
        ImageError: there is no such folder.
    """
    mark = secrets.token_hex(4)
    undo = contextlib.ExitStack()  # renames only: a full disk has room for them
    at = files[0].path
    with contextlib.ExitStack() as parts:
        try:
            for file in files:
                at = file.path
                parts.callback(_remove, _beside(at, mark, "new"))
                _write(_beside(at, mark, "new"), file)
            for file in files[:-1]:
                at = file.path
                _place(at, mark, undo)
            at = files[-1].path
            _beside(at, mark, "new").replace(at)
        except BaseException as error:
            undo.close()
            if not isinstance(error, OSError):
                raise
            raise _unwritten(at, error) from None
    for file in files[:-1]:
        _remove(_beside(file.path, mark, "old"))


def _write(part: Path, file: NewFile) -> None:
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode), "wb") as stream:
        stream.write(file.data)
        stream.flush()
        os.fsync(stream.fileno())


def _place(path: Path, mark: str, undo: contextlib.ExitStack) -> None:
    """Put a complete file into its place, so that `undo` takes it back."""
    old = _beside(path, mark, "old")
    if path.exists() or path.is_symlink():
        path.replace(old)
        undo.callback(old.replace, path)
    else:
        undo.callback(_remove, path)
    _beside(path, mark, "new").replace(path)


def _beside(path: Path, mark: str, what: str) -> Path:
    return path.with_name(f".{path.name}.{mark}.{what}")


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # what could not be made cannot be removed, on a read-only disk for one
        path.unlink()


def _unwritten(path: Path, error: OSError) -> ImageError:
    if error.errno in WRONG_PATH:
        return ImageError(f"{str(path)!r} cannot be written ({error.strerror}): give a file in a folder that exists")
    advice = "check the folder, its permissions and free space"
    return DiskError(f"{str(path)!r} cannot be written ({error.strerror}): {advice}")
