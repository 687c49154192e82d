"""Files of keys and images: read with a plain message, written whole or not at all."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from deployers.protocol.tlv import ImageError

if TYPE_CHECKING:
    from pathlib import Path


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
        ImageError: it cannot be written; the file is as it was before.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        msg = f"{str(path)!r} cannot be written ({error.strerror}): check the folder, its permissions and free space"
        raise ImageError(msg) from None
