"""What the outcome of a task depends on beside the task and the data: versions, code, and how the machine rounds."""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from forecaster.gru.architecture import FORMS, Architecture, Recipe
from forecaster.gru.trainer import fit
from forecaster.sequences import Sequences

LIBRARIES = ("numpy", "numba", "llvmlite")
PACKAGE = Path(__file__).resolve().parents[1]


def _code() -> str:
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


# Read with the code itself: a worker that was started before a change still runs what it read then.
CODE = _code()


@lru_cache(maxsize=1)
def arithmetic() -> str:
    """Digest of the weights of a short training of each form.

    The kernels are compiled for the processor they run on: one with wider vectors adds in another order, and its
    trainings come to other weights. Two processors that agree here may still differ where these trainings do not look.
    """
    rng = np.random.default_rng(0)
    shapes = ((8, 40, 5), (8, 40, 3), (48, 5, 20), (48, 3, 20))
    data = Sequences(*(rng.standard_normal(shape, dtype=np.float32) for shape in shapes))
    recipe = Recipe(updates=8, batch=20, steps=32, burn_in=4, check_every=4)
    digest = hashlib.sha256()
    for form in FORMS:
        digest.update(fit(data, np.arange(5), Architecture(5, 3, 10, form), recipe, seed=0).weights.tobytes())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def environment() -> dict[str, str]:
    """All of it, by name; each value is what it must equal elsewhere."""
    libraries = {name: version(name) for name in LIBRARIES}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"Python": python, **libraries, "edgeloop code": CODE, "arithmetic": arithmetic()}


def differences(there: dict[str, str], here: dict[str, str]) -> str:
    """What differs, and what to do about it; empty if nothing does."""
    names = [name for name in here if there.get(name) != here[name]]
    if not names:
        return ""
    listed = ", ".join(f"{name} {there.get(name)!r} (here {here[name]!r})" for name in names)
    if names == ["arithmetic"]:
        return (
            f"{listed}: its processor rounds otherwise, set the same NUMBA_CPU_NAME and NUMBA_CPU_FEATURES there and "
            "here, see docs/cluster.md"
        )
    return f"{listed}: install the same checkout and locks/pipelines.txt there, and restart it"
