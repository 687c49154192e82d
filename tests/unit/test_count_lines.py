"""The counting script: what is code and what is not."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "count_lines.py"
code_lines = runpy.run_path(str(SCRIPT))["code_lines"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", 0),
        ("\n\n# a comment\n", 0),
        ('"""A module."""\n', 0),
        ("x = 1  # with a comment\n", 1),
        ("x = (\n    1,\n    2,\n)\n", 4),
        ('def f():\n    """Says."""\n    return 1\n', 2),
        ('class A:\n    """Is.\n\n    Much.\n    """\n\n    b = 1\n', 2),
        ('text = """two\nlines"""\n', 2),
        ("async def f():\n    '''Says.'''\n", 1),
    ],
)
def test_lines_that_hold_code(source: str, expected: int) -> None:
    assert code_lines(source) == expected


def test_it_counts_the_project() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["code"] > 1000
    assert found["ratio"] == pytest.approx(found["tests"] / found["code"], abs=1e-3)
