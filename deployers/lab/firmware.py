"""The firmware of the virtual boards: built when it is missing or older than its sources."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deployers.exceptions import ServiceUnavailable

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "firmware"
PROGRAMS = {"native": BUILD / "edgeloop-native", "mps2_an500": BUILD / "edgeloop-mps2_an500.elf"}
BUILD_SECONDS = 300


class LabError(ServiceUnavailable):
    """The virtual board could not be built, started or spoken to."""


def build(kind: str) -> Path:
    """The program of a kind of board, by the firmware's Makefile, which does nothing when it is up to date.

    Raises:
        LabError: no such kind, or the build failed; with the last lines of its output.
    """
    if kind not in PROGRAMS:
        msg = f"kind of board {kind!r}: expected one of {sorted(PROGRAMS)}"
        raise LabError(msg)
    command = ["make", "-C", str(ROOT / "firmware"), kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)  # noqa: S603 - a fixed command
    if done.returncode != 0:
        msg = f"make -C firmware {kind} failed: {(done.stderr or done.stdout).strip()[-500:]!r}: install what it names"
        raise LabError(msg)
    return PROGRAMS[kind]
