"""`python -m deployers monitor`: whether what runs in the field still forecasts well, and its sensors still measure."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from deployers.commands.deploying import AS_JSON, INVENTORY, inventory_of, reach
from deployers.exceptions import DeployerError, InputError, ServiceUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

SECONDS = 90.0  # a message over a channel that hangs takes the half of it


@click.command(
    epilog="""\b
Examples:
  python -m deployers monitor
  python -m deployers monitor kitchen
  python -m deployers monitor kitchen --series board-1
  python -m deployers monitor --json
  python -m deployers monitor --test-alert
  python -m deployers monitor kitchen --test-alert --json
\b
--json, schema 1 (fields are only ever added): schema, hubs [{hub, error, devices [{series, state, part, test, reason,
since_ms, source, version, skill, skill_expected, reference, model, persistence, last_ms}]}]; with --series each of the
devices also has findings, steps and days. With --test-alert: schema, hubs [{hub, error, channels [{channel, server, ok,
error}]}].
"""
)
@click.argument("hub", required=False, metavar="[HUB]")
@INVENTORY
@click.option("--series", default="", help="This board, or user/tag, with each test and its last days.")
@click.option("--test-alert", is_flag=True, help="Send a message over each channel of alerts, and show how that went.")
@AS_JSON
def monitor(*, hub: str | None, inventory: Path | None, series: str, test_alert: bool, as_json: bool) -> None:
    """Show the state of every series of every hub, those in trouble first.

    HUB is a Jetson or a group of the inventory; all of them if not given. Exit code 0 whatever the states are, 5 if a
    hub, or with --test-alert a channel, does not answer, 2 if a hub has no channel; all that is known is shown before.
    """
    from deployers.deployment.rollout import gravest_error  # noqa: PLC0415 - --help must not wait

    if series and test_alert:
        msg = "--series and --test-alert do not go together, expected one of them: leave one out"
        raise InputError(msg)
    _, chosen = inventory_of(inventory, (hub,) if hub else ())
    found = [_tried(each.jetson) if test_alert else _watched(each.jetson, series) for each in chosen]
    if as_json:
        click.echo(json.dumps({"schema": 1, "hubs": [each for each, _ in found]}))
    elif test_alert:
        _show_tried([each for each, _ in found])
    else:
        _show([each for each, _ in found], in_full=bool(series))
    error = gravest_error([error for _, error in found if error is not None])
    if error is not None:
        raise error


def _watched(jetson: Any, series: str) -> tuple[dict[str, Any], DeployerError | None]:
    """The series of a hub, or why it does not say."""
    answer, error = _asked(jetson, "monitor", *(("--series", series) if series else ()))
    devices = [answer] if series and answer else answer.get("devices", [])
    return {"hub": jetson.name, "error": str(error) if error else None, "devices": devices}, error


def _tried(jetson: Any) -> tuple[dict[str, Any], DeployerError | None]:
    """How a message went over each channel of a hub, or why there was none."""
    answer, error = _asked(jetson, "test-alert", accepted=(0, ServiceUnavailable.exit_code))
    if error is None and answer.get("error"):
        error = ServiceUnavailable(f"{jetson.name}: {answer['error']}")
    channels = answer.get("channels", [])
    return {"hub": jetson.name, "error": str(error) if error else None, "channels": channels}, error


def _asked(jetson: Any, *words: str, accepted: tuple[int, ...] = (0,)) -> tuple[dict[str, Any], DeployerError | None]:
    """What a hub says, or why it does not."""
    from deployers.deployment.carry import answer_of  # noqa: PLC0415
    from deployers.site import Site  # noqa: PLC0415

    there = reach()
    connector = there.connect(jetson)
    try:
        site = Site.of(jetson, there.gather(connector, jetson))
        command = site.hub("ctl", *words, timeout=SECONDS, accepted=accepted)
        return answer_of(connector.name, command, connector.run(command)), None
    except DeployerError as error:
        return {}, error
    finally:
        connector.close()


def _show_tried(hubs: list[dict[str, Any]]) -> None:
    for hub in hubs:
        for each in hub["channels"]:
            click.echo(f"{hub['hub']}  {each['channel']} {each['server']}: {'sent' if each['ok'] else each['error']}")


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
