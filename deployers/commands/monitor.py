"""`python -m deployers monitor`: whether what runs in the field still forecasts well, and its sensors still measure."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from deployers.commands.deploying import AS_JSON, INVENTORY, inventory_of, reach
from deployers.exceptions import DeployerError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

SECONDS = 30.0


@click.command(
    epilog="""\b
Examples:
  python -m deployers monitor
  python -m deployers monitor kitchen
  python -m deployers monitor kitchen --series board-1
  python -m deployers monitor --json
\b
--json, schema 1 (fields are only ever added): schema, hubs [{hub, error, devices [{series, state, part, test, reason,
since_ms, source, version, skill, skill_expected, reference, model, persistence, last_ms}]}]; with --series each of the
devices also has findings, steps and days.
"""
)
@click.argument("hub", required=False, metavar="[HUB]")
@INVENTORY
@click.option("--series", default="", help="This board, or user/tag, with each test and its last days.")
@AS_JSON
def monitor(*, hub: str | None, inventory: Path | None, series: str, as_json: bool) -> None:
    """Show the state of every series of every hub, those in trouble first.

    HUB is a Jetson or a group of the inventory; all of them if not given. Exit code 0 whatever the states are, 5 if a
    hub does not answer; all that is known is shown before.
    """
    from deployers.deployment.rollout import gravest_error  # noqa: PLC0415 - --help must not wait

    _, chosen = inventory_of(inventory, (hub,) if hub else ())
    found = [_asked(each.jetson, series) for each in chosen]
    if as_json:
        click.echo(json.dumps({"schema": 1, "hubs": [each for each, _ in found]}))
    else:
        _show([each for each, _ in found], in_full=bool(series))
    error = gravest_error([error for _, error in found if error is not None])
    if error is not None:
        raise error


def _asked(jetson: Any, series: str) -> tuple[dict[str, Any], DeployerError | None]:
    """What a hub says, or why it does not."""
    from deployers.deployment.carry import answer_of  # noqa: PLC0415
    from deployers.site import Site  # noqa: PLC0415

    there = reach()
    connector = there.connect(jetson)
    try:
        site = Site.of(jetson, there.gather(connector, jetson))
        words = ("--series", series) if series else ()
        command = site.hub("ctl", "monitor", *words, timeout=SECONDS)
        answer = answer_of(connector.name, command, connector.run(command))
    except DeployerError as error:
        return {"hub": jetson.name, "error": str(error), "devices": []}, error
    finally:
        connector.close()
    return {"hub": jetson.name, "error": None, "devices": [answer] if series else answer["devices"]}, None


def _show(hubs: list[dict[str, Any]], *, in_full: bool) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console, table = Console(file=sys.stdout, width=140), Table(title="Skill of the last 7 days, and trouble")
    for column in ("hub", "series", "state", "version", "MAE °C", "persistence", "skill", "expected"):
        table.add_column(
            column, justify="right" if column in {"MAE °C", "persistence", "skill", "expected"} else "left"
        )
    table.add_column("reason", overflow="fold")
    for hub in hubs:
        for each in hub["devices"]:
            figures = (_number(each[name]) for name in ("model", "persistence", "skill", "skill_expected"))
            version = f"{each['version']} on the {each['source']}" if each["version"] is not None else "none"
            table.add_row(hub["hub"], each["series"], each["state"], version, *figures, each["reason"])
        if not hub["devices"]:
            table.add_row(hub["hub"], "", "away" if hub["error"] else "no series yet", *[""] * 6)
    console.print(table)
    if in_full:
        for hub in hubs:
            for each in hub["devices"]:
                _show_tests(console, each)


def _show_tests(console: Console, found: dict[str, Any]) -> None:
    for each in found["findings"]:
        masked = " (a sensor is at fault)" if each["is_masked"] else ""
        console.print(f"{each['test']:<12}{each['level']}{masked}  {each['reason']}", highlight=False, markup=False)
    for row in found["days"][-14:]:
        skill = (
            f"{_number(row['model'])} °C, persistence {_number(row['persistence'])} °C, skill {_number(row['skill'])}"
        )
        note = ", a sensor was at fault" if row["is_masked"] else ""
        console.print(f"{row['day']}  {row['source']} {row['version']}: {skill}{note}", highlight=False, markup=False)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
