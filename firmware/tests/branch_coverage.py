"""Every branch of some C files was taken both ways, or this fails and lists those that were not.

    python firmware/tests/branch_coverage.py FOLDER core/slot/slot.c ...

FOLDER holds what `gcc --coverage` and the programs have written (.gcno, .gcda), one NAME.gcda for each NAME.c.
"""

# ruff: noqa: INP001, T201 - a script, which prints what it finds
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def measure(folder: Path, source: str) -> tuple[int, list[str]]:
    """The number of branches of a file, and the places of lines and branches that were never taken.

    Raises:
        SystemExit: gcov says nothing about the file: it was not compiled with --coverage, or no program ran it.
    """
    found = folder / f"{Path(source).stem}.gcda"
    if not found.exists():
        sys.exit(f"{source}: no counts in {str(found)!r}, expected those of a program: run make -C firmware coverage")
    command = ["gcov", "--json-format", "--branch-probabilities", "--stdout", str(found.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - fixed
    lines = [file["lines"] for file in json.loads(done.stdout)["files"] if file["file"].endswith(source)]
    return _count(source, lines[0])


def _count(source: str, lines: list[dict[str, Any]]) -> tuple[int, list[str]]:
    total, missed = 0, []
    for line in lines:
        total += len(line["branches"])
        never = sum(branch["count"] == 0 for branch in line["branches"])
        if never or line["count"] == 0:
            missed.append(f"{source}:{line['line_number']}: {never} of {len(line['branches'])} branches never taken")
    return total, missed


def main() -> None:
    """Each file's figure, then what is missing."""
    folder, *sources = sys.argv[1:]
    everything: list[str] = []
    for source in sources:
        total, missed = measure(Path(folder), source)
        print(f"{source}: {total} branches, {len(missed)} lines with one that was never taken")
        everything += missed
    if not sources or everything:
        sys.exit("\n".join([*everything, "branch coverage is below 100 %: write the tests that take these branches"]))
    print("branch coverage: 100 %")


if __name__ == "__main__":
    main()
