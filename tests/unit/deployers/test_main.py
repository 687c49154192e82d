"""The command line: its help, and what every kind of error becomes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from deployers import __main__ as command_line
from deployers import exceptions
from deployers.__main__ import cli, main, run

ROOT = Path(__file__).resolve().parents[3]


def test_the_help_names_every_command_and_exit_code(capsys) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    for word in ("convert", "check", "Exit codes:", "failed gate", "130 interrupted"):
        assert word in told


def test_the_help_of_each_command_has_examples(capsys) -> None:
    for name in cli.list_commands(click.Context(cli)):
        assert main([name, "--help"]) == 0
        assert name in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from deployers.__main__ import main; main(['convert', '--help']); main(['check', '--help']);"
        "heavy = ('tensorflow', 'keras', 'mlflow', 'matplotlib', 'numpy');"
        "sys.exit(','.join(name for name in heavy if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_command_is_explained(capsys) -> None:
    assert main(["covnert"]) == 2
    assert "No such command 'covnert'" in capsys.readouterr().err


def test_a_command_whose_file_is_not_there_is_not_listed(monkeypatch) -> None:
    monkeypatch.setattr(command_line, "COMMANDS", ("check", "launch"))
    assert cli.list_commands(click.Context(cli)) == ["check"]
    assert cli.get_command(click.Context(cli), "launch") is None


def failing(error: BaseException) -> click.Group:
    @click.group()
    def group() -> None:
        pass

    @group.command()
    @click.option("--debug", is_flag=True)
    def work(*, debug: bool) -> None:
        raise error

    return group


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (exceptions.DeployerError, 1),
        (exceptions.InputError, 2),
        (exceptions.ReleaseError, 2),
        (exceptions.GateFailed, 3),
        (exceptions.MissingTool, 4),
        (exceptions.ServiceUnavailable, 5),
        (exceptions.NotFound, 2),
        (exceptions.Conflict, 2),
        (exceptions.Unreachable, 5),
        (exceptions.RemoteFailed, 5),
        (exceptions.ConversionError, 7),
        (exceptions.HostKeyError, 8),
        (exceptions.BoardRefused, 9),
        (exceptions.RolledBack, 10),
        (exceptions.DeploymentRunning, 11),
    ],
)
def test_each_error_is_one_line_with_its_code(kind: type[exceptions.DeployerError], code: int, capsys) -> None:
    assert run(failing(kind("what\nwas wrong:  do this")), "x", ["work"]) == code
    assert capsys.readouterr().err == "error: what was wrong: do this\n"


def test_what_nobody_expected_says_how_to_see_more(capsys) -> None:
    assert run(failing(KeyError("surprise")), "x", ["work"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: internal error, KeyError: 'surprise' (run with --debug")
    assert "Traceback" not in told


def test_debug_shows_the_traceback(capsys) -> None:
    assert run(failing(exceptions.InputError("wrong")), "x", ["work", "--debug"]) == 2
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.endswith("error: wrong\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_no_failure_of_ours(error: BaseException, capsys) -> None:
    assert run(failing(error), "x", ["work"]) == 130
    assert capsys.readouterr().err.strip().endswith("error: interrupted")


def test_what_a_command_returns_is_its_exit_code() -> None:
    @click.group()
    def group() -> None:
        pass

    @group.command()
    def one() -> int:
        return 1

    @group.command()
    def none() -> None:
        pass

    assert run(group, "x", ["one"]) == 1
    assert run(group, "x", ["none"]) == 0
