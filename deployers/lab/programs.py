"""Programs of this machine that the lab runs: found, waited for, and one line when they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from deployers.exceptions import MissingTool, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import IO

FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin"  # not on the path of everyone
SAID_CHARACTERS = 500
# A sign takes at most so many bytes in UTF-8.
_SIGN_BYTES = 4


class LabError(ServiceUnavailable):
    """The virtual board could not be built, started or spoken to."""


def find_program(name: str, need: str) -> str:
    """The path of a program.

    Args:
        name: its own.
        need: what it is for and how it is installed, for the message.

    Raises:
        MissingTool: it is not on this machine.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{FOLDERS}")
    if found is None:
        msg = f"{name!r} is missing, {need}"
        raise MissingTool(msg)
    return found


def run_program(  # noqa: PLR0913 - what is run, and what is said when it fails
    command: Sequence[str],
    seconds: float,
    failure: str,
    advice: str,
    *,
    accepted: tuple[int, ...] = (0,),
    stdin: IO[bytes] | None = None,
) -> None:
    """Run a program to its end; what it prints is shown only when it fails.

    Args:
        command: program and arguments.
        seconds: after which it is killed.
        failure: what the message begins with, such as "unpacking failed".
        advice: what the message ends with.
        accepted: exit codes that are no failure.
        stdin: what it reads; nothing if not given.

    Raises:
        LabError: another exit code, or no end in time.
        MissingTool: there is no such program.
    """
    source = subprocess.DEVNULL if stdin is None else stdin
    try:
        done = subprocess.run(command, stdin=source, capture_output=True, timeout=seconds, check=False)  # noqa: S603 - callers give fixed commands
    except FileNotFoundError:
        msg = f"{command[0]!r} is missing, {failure}: install it"
        raise MissingTool(msg) from None
    except subprocess.TimeoutExpired:
        msg = f"{failure} (it did not end within {seconds:g} s): {advice}"
        raise LabError(msg) from None
    if done.returncode not in accepted:
        said = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace")[-SAID_CHARACTERS:]
        msg = f"{failure} (code {done.returncode}, {said!r}): {advice}"
        raise LabError(msg)


def end_of(file: Path, characters: int = SAID_CHARACTERS) -> str:
    """The last that a program printed to its log; nothing if there is none. A log of any length takes no time."""
    try:
        with file.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _SIGN_BYTES * characters))
            return log.read().decode(errors="replace").strip()[-characters:]
    except OSError:
        return ""
