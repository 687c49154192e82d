"""Count lines of Python that hold code: no blank lines, comments or docstrings. Prints code, tests and their ratio."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EMPTY = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(source: str) -> int:
    """Number of lines with at least one token that is neither comment nor docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in EMPTY:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            lines.difference_update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def main() -> None:
    """Count the files that git tracks."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S607
    counts = {name: code_lines((ROOT / name).read_text(encoding="utf-8")) for name in listed.stdout.split()}
    tests = sum(count for name, count in counts.items() if name.startswith("tests/"))
    code = sum(counts.values()) - tests
    print(json.dumps({"code": code, "tests": tests, "ratio": round(tests / code, 3)}))


if __name__ == "__main__":
    main()
