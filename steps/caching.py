"""When a step's result may be taken from an earlier run."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from zenml.config.cache_policy import CachePolicy

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("forecaster", "steps", "deployers")
SUFFIXES = (".py", ".json")  # also the tables that code reads, such as the engine's costs


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 over the sources a step may call: ZenML itself looks only at the step's own body."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        found = (path for path in (ROOT / package).rglob("*") if path.suffix in SUFFIXES)
        for path in sorted(found):
            digest.update(path.relative_to(ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


# By name: given the function, ZenML would look for code repositories in its database on import.
PURE = CachePolicy(cache_func=f"{__name__}.{code_digest.__name__}")
"""For steps whose result follows from their inputs and the code alone."""
