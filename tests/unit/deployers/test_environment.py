"""A Python without the project's packages goes on in the one that has them, or says in one line how to make it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployers import environment
from deployers.environment import INTERPRETER, MARK, enter
from deployers.exceptions import MissingTool

ROOT = Path(__file__).resolve().parents[3]
MAKE = "error: the project's environment is not there or not whole, run: make setup"


def bare(module: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The Python of the tests without its packages, as a system's is."""
    environ = {name: value for name, value in os.environ.items() if name != MARK}
    code = f"import runpy, sys; sys.argv[1:] = ['--help']; runpy.run_module({module!r}, run_name='__main__')"
    command = [sys.executable, "-S", "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env=environ | variables, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(not INTERPRETER.exists(), reason="the project's environment is elsewhere")
@pytest.mark.parametrize("module", ["deployers", "deployers.lab"])
def test_another_python_goes_on_in_the_projects_environment(module: str) -> None:
    done = bare(module)
    assert done.returncode == 0, done.stderr
    assert f"python -m {module} [OPTIONS]" in done.stdout


@pytest.mark.parametrize("module", ["deployers", "deployers.lab"])
def test_an_environment_that_is_not_whole_is_one_line(module: str) -> None:
    done = bare(module, **{MARK: "1"})
    assert (done.returncode, done.stdout, done.stderr.strip()) == (MissingTool.exit_code, "", MAKE)


def test_an_environment_that_is_not_there_is_one_line(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setattr(environment, "find_spec", lambda _: None)
    monkeypatch.setattr(environment, "INTERPRETER", tmp_path / "python")
    monkeypatch.delenv(MARK, raising=False)
    with pytest.raises(SystemExit, match="4"):
        enter("deployers")
    assert capsys.readouterr().err.strip() == MAKE


def test_a_whole_environment_stays(monkeypatch) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("started anew"))
    enter("deployers")
