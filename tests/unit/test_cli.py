"""The command line before any work: help, and what it costs to ask."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import run
from pipelines.config import known_keys

CHECKOUT = Path(__file__).resolve().parents[2]
COMMANDS = ["data", "train", "all", "promote", "show"]
HEAVY = ["zenml", "mlflow", "tensorflow", "keras", "pandas", "numpy", "deepchecks", "sqlalchemy"]
IMPORTED = """
import json, sys
import run
for command in sys.argv[1:]:
    try:
        run.cli.main([command, "--help"], standalone_mode=False)
    except SystemExit:
        pass
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def test_the_commands_are_those_of_the_contract() -> None:
    assert sorted(run.cli.commands) == sorted([*COMMANDS, "schedule", "stacks"])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_that_begin_with_the_command(command: str) -> None:
    answer = CliRunner().invoke(run.cli, [command, "--help"])
    assert answer.exit_code == 0
    assert "Examples:" in answer.output
    examples = [line.strip() for line in answer.output.partition("Examples:")[2].splitlines() if line.strip()]
    assert len(examples) >= 2
    assert all(example.startswith(f"python run.py {command}") for example in examples)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_common_options(command: str) -> None:
    names = {option for parameter in run.cli.commands[command].params for option in parameter.opts}
    assert {"--stack", "--config", "--set", "--seed", "--json", "--debug", "--help-config"} <= names


def test_the_exit_codes_are_told_with_the_help_of_the_whole() -> None:
    answer = CliRunner().invoke(run.cli, ["--help"])
    assert answer.exit_code == 0
    for told in (
        "0 done",
        "1 internal error",
        "2 bad input",
        "3 failed gate",
        "4 stack",
        "5 a database",
        "6 another run",
        "7 the model cannot be converted",
    ):
        assert told in answer.output


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *COMMANDS],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    imported = json.loads(done.stdout.splitlines()[-1])
    assert "click" in imported
    assert [name for name in HEAVY if name in imported] == []


@pytest.mark.parametrize(
    ("command", "section"),
    [("data", "data."), ("train", "training."), ("promote", "training."), ("all", ""), ("show", "training.")],
)
def test_help_config_lists_every_setting_with_default_and_meaning(command: str, section: str) -> None:
    answer = CliRunner().invoke(run.cli, [command, "--help-config"])
    assert answer.exit_code == 0
    lines = answer.output.splitlines()
    keys = {line.partition(" = ")[0] for line in lines}
    sections = {key.rpartition(".")[0] for key in known_keys()}
    assert keys == {key for key in known_keys() if key.startswith(section) and key not in sections}
    assert all(" = " in line and "  # " in line and line.rpartition("# ")[2] for line in lines)


@pytest.mark.parametrize("arguments", [["data", "--seed", "-1"], ["promote"], ["fly"], ["data", "--colour"]])
def test_a_wrong_option_ends_with_code_2(arguments: list[str]) -> None:
    answer = CliRunner().invoke(run.cli, arguments)
    assert answer.exit_code == 2
    assert "Usage:" in answer.output


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"source": "a.csv", "user": "1", "tag": None}, ['data.source="a.csv"', 'data.user="1"']),
        ({"seed": 0}, ["training.seed=0"]),
        ({"workers": "4"}, ['training.search.workers="4"']),
        ({"workers": "tcp://dask:8786"}, ['training.search.workers="tcp://dask:8786"']),
        ({"dataset": "room:3"}, ['training.dataset="room"', 'training.dataset_version="3"']),
        ({"dataset": "room"}, ['training.dataset="room"']),
    ],
)
def test_options_of_a_command_go_behind_set(options: dict[str, object], expected: list[str]) -> None:
    given = run._overrides({**options, "overrides": ("seed=7",)})  # noqa: SLF001 - any other way in runs a pipeline
    assert given == ["seed=7", *expected]
