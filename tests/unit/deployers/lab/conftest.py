"""A lab's folder, for those that need no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployers.lab.folder import LabFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> LabFolder:
    made = LabFolder(tmp_path / "lab")
    made.make()
    return made
