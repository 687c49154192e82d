"""`run.py schedule`: its options, and how those of the scheduled command are passed on."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import run
from pipelines.schedule_commands import words

SCHEDULED = ("data", "train", "all")
SCHEDULE = run.cli.commands["schedule"]
assert isinstance(SCHEDULE, click.Group)


def test_the_commands_are_those_that_run_pipelines_and_those_that_look_after_schedules() -> None:
    assert set(SCHEDULE.commands) == {*SCHEDULED, "list", "remove"}


@pytest.mark.parametrize("name", SCHEDULED)
def test_a_scheduled_command_takes_what_the_command_takes(name: str) -> None:
    ours = {option for parameter in SCHEDULE.commands[name].params for option in parameter.opts}
    theirs = {option for parameter in run.cli.commands[name].params for option in parameter.opts}
    assert ours == theirs | {"--cron", "--name", "--format", "--output"}


@pytest.mark.parametrize("name", SCHEDULED)
def test_help_has_examples_of_this_command(name: str) -> None:
    answer = CliRunner().invoke(run.cli, ["schedule", name, "--help"])
    assert answer.exit_code == 0
    examples = [line.strip() for line in answer.output.partition("Examples:")[2].splitlines() if line.strip()]
    assert len(examples) >= 2
    assert all(example.startswith(f"python run.py schedule {name} --cron ") for example in examples)


@pytest.mark.parametrize(
    "arguments",
    [
        ["all"],
        ["all", "--cron"],
        ["all", "--cron", "@daily", "--format", "at"],
        ["remove"],
        ["promote"],
        ["list", "all"],
    ],
)
def test_a_wrong_option_ends_with_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(run.cli, ["schedule", *arguments]).exit_code == 2


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("all", [], ["--stack=local"]),
        ("data", ["--source", "-x.csv", "--user", "a b"], ["--source=-x.csv", "--user=a b", "--stack=local"]),
        (
            "train",
            ["--dataset", "room:3", "--workers", "4", "--stack", "docker", "--seed", "0"],
            ["--dataset=room:3", "--workers=4", "--stack=docker", "--seed=0"],
        ),
        (
            "all",
            ["--set", "refit=false", "--set", "search.mode=steady", "--json", "--debug"],
            ["--stack=local", "--set=refit=false", "--set=search.mode=steady"],
        ),
    ],
)
def test_options_are_passed_on_as_they_are_written(name: str, given: list[str], expected: list[str]) -> None:
    command = run.cli.commands[name]
    options = command.make_context(name, list(given)).params
    passed = words(command, options)
    assert passed == expected
    again = command.make_context(name, list(passed)).params
    dropped = {"as_json": False, "debug": False}
    assert again == {**options, **dropped}


def test_files_are_passed_on_by_their_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    options = run.cli.commands["all"].make_context("all", ["--config", "a.yaml", "--config", "link/../b.yaml"]).params
    assert words(run.cli.commands["all"], options) == [
        "--stack=local",
        f"--config={tmp_path}/a.yaml",
        f"--config={tmp_path}/b.yaml",
    ]


def test_options_of_the_schedule_do_not_go_to_the_command() -> None:
    given = ["--cron", "@daily", "--name", "n", "--format", "cron", "--output", "out", "--tag", "t"]
    options = SCHEDULE.commands["data"].make_context("data", given).params
    assert (options["cron"], options["name"], options["kind"], options["output"]) == (
        "@daily",
        "n",
        "cron",
        Path("out"),
    )
    assert words(run.cli.commands["data"], options) == ["--tag=t", "--stack=local"]
