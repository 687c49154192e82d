"""The core as a library of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def engine_library() -> Path:
    command = ["make", "-C", str(ROOT / "firmware"), "host"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "firmware" / "host" / "libedgeloop.so"
