"""Where a search keeps what came of its trainings."""

from __future__ import annotations

import os
from pathlib import Path

from steps.caching import code_digest


def checkpoint(dataset_digest: str, seed: int) -> Path | None:
    """A file under the project's home, another one for other data or other code; None on a machine without a home."""
    home = os.environ.get("EDGELOOP_HOME")
    if not home:
        return None
    folder = Path(home) / "cache" / "search"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{dataset_digest[:16]}-{code_digest()[:12]}-{seed}.jsonl"
