"""The engine as a library of this machine, and the makers of small .tflite files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
VECTORS = ROOT / "firmware" / "tests" / "vectors"
# Scripts beside the vectors that they write, not a package.
sys.path.insert(0, str(VECTORS))


@pytest.fixture(scope="session")
def engine_library() -> Path:
    command = ["make", "-C", str(ROOT / "firmware"), "host"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "firmware" / "host" / "libedgeloop.so"
