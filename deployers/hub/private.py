"""Files that only their owner may read."""

from __future__ import annotations

import os
import re
import secrets
import stat
from typing import TYPE_CHECKING

from deployers.exceptions import InputError

if TYPE_CHECKING:
    from pathlib import Path

# What systemd and a shell would read as something else than it says is left out.
VARIABLE = re.compile(r"""\s*([A-Za-z_][A-Za-z0-9_]*)=([^"'\\]*)""")
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


def read_variables(path: Path) -> dict[str, str]:
    """The variables in a file of NAME=value lines, as systemd reads it; none where there is no file.

    Raises:
        InputError: others may read it, or a line is something else; its text is not shown.
    """
    if not path.exists():
        return {}
    require_private(path)
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        said = VARIABLE.fullmatch(line)
        if said is None:
            msg = f"{str(path)!r} line {number}: expected NAME=value, without quotes and backslashes: mend it there"
            raise InputError(msg)
        found[said[1]] = said[2].strip()
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
