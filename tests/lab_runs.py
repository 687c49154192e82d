"""The lab as a program, with a home folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_lab(home: Path, *words: str, seconds: float = 800) -> subprocess.CompletedProcess[str]:
    """Run `python -m deployers.lab` to its end.

    Args:
        home: what EDGELOOP_HOME is.
        words: its arguments.
        seconds: after which it is killed, and the test fails.
    """
    return _run("deployers.lab", home, words, seconds)


def run_deployers(home: Path, *words: str, seconds: float = 800) -> subprocess.CompletedProcess[str]:
    """Run `python -m deployers` for the lab of a home; as `run_lab`."""
    return _run("deployers", home, words, seconds)


def _run(module: str, home: Path, words: tuple[str, ...], seconds: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *words]
    environment = {**os.environ, "EDGELOOP_HOME": str(home)}
    environment.pop("MLFLOW_TRACKING_URI", None)  # MLflow writes it where the champion is registered
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
