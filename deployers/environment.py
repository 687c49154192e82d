"""The Python that the command lines need; standard library only, for it is read before anything else is there."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

INTERPRETER = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"
# What is imported before any option is read; a missing runtime has its own message.
NEEDED = ("click", "rich", "pydantic", "numpy", "cryptography")
MARK = "EDGELOOP_REENTERED"
MISSING_TOOL = 4  # the exit code of deployers.exceptions.MissingTool


def enter(module: str) -> None:
    """Go on in the project's environment if this Python is another, or end with one line that says how to make it.

    Args:
        module: what was started with `python -m`.
    """
    if all(find_spec(name) for name in NEEDED):
        return
    if os.environ.get(MARK) or not INTERPRETER.exists():
        print("error: the project's environment is not there or not whole, run: make setup", file=sys.stderr)  # noqa: T201
        sys.exit(MISSING_TOOL)
    os.environ[MARK] = "1"
    os.execv(INTERPRETER, [str(INTERPRETER), "-m", module, *sys.argv[1:]])  # noqa: S606 - no shell is wanted
