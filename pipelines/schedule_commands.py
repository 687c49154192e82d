"""`run.py schedule`: data, train, all, list, remove."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stacks.commands import common

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Answer = dict[str, Any]
SECTIONS = {"data": "data", "train": "training"}
NOT_PASSED_ON = ("as_json", "debug")
EXAMPLES = """\b
Examples:
  python run.py schedule {name} --cron '0 3 * * *'
  python run.py schedule {name} --cron '30 2 * * mon-fri' --format cron
  python run.py schedule {name} --cron @weekly --output ~/.config/systemd/user --seed 2
  python run.py schedule {name} --cron '0 3 * * *' --stack kubernetes --json"""


def schedule_group(
    commands: Mapping[str, click.Command], overrides: Callable[[dict[str, Any]], list[str]]
) -> click.Group:
    """The group of commands.

    Args:
        commands: those that can be scheduled.
        overrides: what the options of one of them come to, as `--set` would take it.
    """
    group = click.Group("schedule", help="Pipelines at set times: by the stack's orchestrator, or by systemd or cron.")
    for command in (*(_scheduled(command, overrides) for command in commands.values()), list_, remove):
        group.add_command(command)
    return group


def words(command: click.Command, options: Mapping[str, Any]) -> list[str]:
    """The options as they are written behind the command; files by their absolute path."""
    found = []
    for parameter in command.params:
        value = options.get(parameter.name or "")
        given = value is not None and value is not False
        if isinstance(parameter, click.Option) and parameter.name not in NOT_PASSED_ON and given:
            values: list[Any] = list(value or ()) if parameter.multiple else [value]
            found += [parameter.opts[0] if item is True else f"{parameter.opts[0]}={_plain(item)}" for item in values]
    return found


def _scheduled(command: click.Command, overrides: Callable[[dict[str, Any]], list[str]]) -> click.Command:
    """A command of the same name and options that says when the other one is to run."""
    name = command.name or ""

    @click.pass_obj
    def put(on_home: Callable[..., None], /, **options: Any) -> None:
        def work(root: Path, _tell: Callable[[str], None]) -> Answer:
            from pipelines.config import load_config  # noqa: PLC0415 - imports what reads the environment
            from pipelines.scheduling import schedule  # noqa: PLC0415

            config = load_config(options["configs"], overrides(options), SECTIONS.get(name))
            return schedule(name, words(command, options), options, config, root)

        on_home(options, work, _show, writes=True)

    return click.Command(
        name,
        params=[*_times(), *command.params],
        callback=put,
        help=f"When `{name}` is to run. {command.help}",
        epilog=EXAMPLES.format(name=name),
    )


def _times() -> list[click.Parameter]:
    kinds = "Run it from this machine. Not given: on a stack with schedules by these, else systemd where it runs."
    folder = click.Path(path_type=Path, file_okay=False)
    return [
        click.Option(["--cron"], required=True, help="When: minute, hour, day, month, weekday; or @daily."),
        click.Option(["--name"], help="Of the schedule; edgeloop-COMMAND-STACK if not given."),
        click.Option(["--format", "kind"], type=click.Choice(["systemd", "cron"]), help=kinds),
        click.Option(["--output"], type=folder, help="Write units or line into this folder; else they are printed."),
    ]


def _plain(value: Any) -> str:
    return os.path.abspath(value) if isinstance(value, Path) else str(value)  # noqa: PTH100 - keeps symbolic links


@click.command(
    name="list",
    epilog="""\b
Examples:
  python run.py schedule list
  python run.py schedule list --json
""",
)
@common
@click.pass_obj
def list_(on_home: Callable[..., None], /, **options: Any) -> None:
    """The schedules that ZenML keeps. Those of this machine: systemctl --user list-timers, crontab -l."""

    def work(_root: Path, _tell: Callable[[str], None]) -> Answer:
        from pipelines.zenml_schedules import listed  # noqa: PLC0415

        return listed()

    on_home(options, work, _show, writes=False)


@click.command(
    epilog="""\b
Examples:
  python run.py schedule remove edgeloop-all-airflow
  python run.py schedule remove nightly --json
"""
)
@click.argument("name")
@common
@click.pass_obj
def remove(on_home: Callable[..., None], /, name: str, **options: Any) -> None:
    """Remove a schedule from ZenML, and from its platform where ZenML can; else it says what is left to do."""

    def work(_root: Path, _tell: Callable[[str], None]) -> Answer:
        from pipelines.zenml_schedules import remove as forget  # noqa: PLC0415

        return forget(name)

    on_home(options, work, _show, writes=True)


def _show(result: Answer, output: Any) -> None:
    from pipelines.summary import print_summary  # noqa: PLC0415 - rich and nothing before it is wanted

    print_summary("schedule", result, output)
