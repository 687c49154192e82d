"""CPU seconds of compiling the trainer where nothing is cached: what the first search of a new checkout pays once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.search_judge import Meter
from forecaster.gru.architecture import FORMS, Architecture, Recipe
from forecaster.gru.trainer import fit
from forecaster.sequences import Sequences

ROOT = Path(__file__).resolve().parents[1]


def compilation_seconds() -> float:
    """A process with an empty cache of kernels beside one with the kernels that the first one left."""
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (_seconds(folder) for _ in range(2))
    return max(0.0, cold - warm)


def _seconds(cache: str) -> float:
    meter = Meter()
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    subprocess.run([sys.executable, "-m", "benchmarks.search_compile"], cwd=ROOT, env=environment, check=True)
    return meter.seconds


def train_each_form() -> None:
    """Two updates of the smallest network of each form: every kernel runs."""
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return rng.normal(size=shape).astype(np.float32)

    sequences = Sequences(drawn(4, 32, 2), drawn(4, 32, 3), drawn(32, 2, 4), drawn(32, 3, 4))
    for form in FORMS:
        recipe = Recipe(updates=2, batch=4, steps=16, burn_in=4)
        fit(sequences, np.array([0, 1]), Architecture(2, 3, 4, form), recipe, seed=0)


if __name__ == "__main__":
    train_each_form()
