"""Files that only their owner may read."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

from deployers.exceptions import InputError

if TYPE_CHECKING:
    from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def require_private(path: Path) -> os.stat_result:
    """Refuse a secret that others on this machine may read.

    Raises:
        InputError: it is not there, is no file, or its permissions are wider than 0600.
    """
    try:
        found = path.stat()
    except OSError as error:
        msg = f"{str(path)!r} cannot be read ({error.strerror}), expected a file with permissions 0600: make it"
        raise InputError(msg) from None
    if not stat.S_ISREG(found.st_mode) or found.st_mode & OTHERS:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        msg = f"{str(path)!r} has permissions {mode}, expected a file that is 0600: run chmod 600 {str(path)!r}"
        raise InputError(msg)
    return found


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, with permissions 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
