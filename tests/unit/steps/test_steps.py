"""The shape of steps and of the code around them: what a reader may rely on."""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
STAGES = ("data", "training", "promotion")
CODE = ("run.py", "pipelines", "steps", "stacks", "forecaster", "deployers")
LONGEST_BODY, LONGEST_FILE, TYPICAL_FUNCTION, LONG_FUNCTION = 15, 400, 10, 45
IMPORT_ALL = """
import __main__, importlib, os, sys
__main__.__file__ = os.path.abspath("run.py")  # where ZenML looks for our classes
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def modules(*names: str) -> list[Path]:
    found = [CHECKOUT / name for name in names]
    return sorted(path for each in found for path in ([each] if each.is_file() else each.rglob("*.py")))


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def is_step(function: ast.FunctionDef) -> bool:
    called = [node.func if isinstance(node, ast.Call) else node for node in function.decorator_list]
    return any(isinstance(node, ast.Name) and node.id == "step" for node in called)


def body_lines(function: ast.FunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


STEPS = [
    pytest.param(path, function, id=f"{path.parent.name}/{function.name}")
    for path in modules("steps")
    for function in functions(path)
    if is_step(function)
]


def test_every_stage_has_its_steps() -> None:
    names = {step.values[1].name for step in STEPS}
    assert {"collect", "clean", "validate", "accept", "split", "scale", "store"} <= names
    assert {"load", "search", "train", "evaluate", "package", "convert", "gate", "register", "promote"} <= names


@pytest.mark.parametrize(("path", "function"), STEPS)
def test_a_step_is_alone_in_a_file_of_its_name(path: Path, function: ast.FunctionDef) -> None:
    assert path.stem == function.name
    assert path.parent.name in STAGES
    assert [each.name for each in functions(path) if is_step(each)] == [function.name]


@pytest.mark.parametrize(("path", "function"), STEPS)
def test_a_step_is_short_and_documented(path: Path, function: ast.FunctionDef) -> None:
    assert body_lines(function) <= LONGEST_BODY
    assert ast.get_docstring(function)


def test_the_measure_of_a_body_counts_what_it_should() -> None:
    source = 'def f():\n    """One.\n\n    Two.\n    """\n    a = (\n        1\n    )\n    return a\n'
    (function,) = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    assert body_lines(function) == 4


def test_importing_steps_and_pipelines_touches_no_database_and_no_stack(tmp_path: Path) -> None:
    names = [".".join(path.relative_to(CHECKOUT).with_suffix("").parts) for path in modules("steps", "pipelines")]
    names = [name.removesuffix(".__init__") for name in names]
    assert "steps.promotion.promote" in names
    config, environment = tmp_path / "zenml", {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    config.mkdir()
    environment |= {"ZENML_CONFIG_PATH": str(config), "ZENML_ANALYTICS_OPT_IN": "false", "MPLCONFIGDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert list(config.rglob("*.db")) == []
    assert not (config / "local_stores").exists()


def test_run_imports_of_ours_only_pipelines_stacks_and_the_errors() -> None:
    ours = {path.stem for path in CHECKOUT.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    imported: set[str] = set()
    for node in ast.walk(ast.parse((CHECKOUT / "run.py").read_text())):
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    of_ours = {name for name in imported if name.partition(".")[0] in ours}
    assert {name for name in of_ours if name.partition(".")[0] not in {"pipelines", "stacks"}} == {"forecaster.errors"}


def test_functions_are_short() -> None:
    sizes = [(f.end_lineno or 0) - f.lineno + 1 for path in modules(*CODE) for f in functions(path)]
    assert statistics.median(sizes) <= TYPICAL_FUNCTION
    assert statistics.quantiles(sizes, n=20)[-1] <= LONG_FUNCTION


@pytest.mark.parametrize("path", modules(*CODE), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE
