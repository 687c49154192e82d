"""The faults that the power-cut simulator is tried on: each still finds its place in the code of the slots."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "firmware" / "tests" / "sim" / "mutations.py"
SPACE = runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize("mutant", SPACE["MUTANTS"], ids=lambda mutant: str(mutant.name))
def test_the_fault_still_finds_its_place(mutant: object) -> None:
    changed = SPACE["source"](mutant)
    assert mutant.new in changed  # type: ignore[attr-defined]
    assert changed != (SCRIPT.parents[2] / "core" / "slot" / mutant.file).read_text(encoding="utf-8")  # type: ignore[attr-defined]
