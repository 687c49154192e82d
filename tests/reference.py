"""The measured reference series; it lies beside the checkout and is not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

NAME = "house_temperatures_10min.csv.gz"


def reference_csv() -> Path:
    """Path of the measured temperatures; the test that asks is skipped where they are not."""
    folder = Path(os.environ.get("EDGELOOP_REFERENCE") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not (folder / NAME).is_file():
        pytest.skip(f"{NAME} is not in {folder}; set EDGELOOP_REFERENCE to the folder that holds it")
    return folder / NAME
