"""`python -m deployers monitor`: whether what runs in the field still forecasts well, and what comes of it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from deployers.commands.deploying import AS_JSON, INVENTORY, inventory_of, reach
from deployers.exceptions import DeployerError, InputError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

SECONDS = 90.0  # a message over a channel that hangs takes the half of it


class View(NamedTuple):
    """What is asked of each hub, and what becomes of its answer.

    Attributes:
        words: of `ctl`.
        fields: what a hub's row has of its answer, or of None if there is none.
        show: prints all rows.
        accepted: exit codes of `ctl` with an answer; `error` in it says what went wrong.
        is_request: it asks for something, of one hub.
    """

    words: tuple[str, ...]
    fields: Callable[[dict[str, Any] | None], dict[str, Any]]
    show: Callable[[list[dict[str, Any]]], None]
    accepted: tuple[int, ...] = (0,)
    is_request: bool = False


@click.command(
    epilog="""\b
Examples:
  python -m deployers monitor
  python -m deployers monitor kitchen
  python -m deployers monitor kitchen --series board-1
  python -m deployers monitor --json
  python -m deployers monitor --shadow
  python -m deployers monitor --test-alert
  python -m deployers monitor kitchen --retraining
  python -m deployers monitor kitchen --retrain board-1 --because "the window was replaced"
\b
--json, schema 1 (fields are only ever added): schema, hubs [{hub, error, devices [{series, state, part, test, reason,
since_ms, source, version, skill, skill_expected, reference, model, persistence, pairs, last_ms}]}]; with --series each
of the devices also has findings, steps and days. Instead of devices a hub has
with --shadow: challengers [{version, champion, state, reason, waits_for, is_running, since_ms, ended_ms, days_compared,
days_better, days_worse, e_better, e_worse, e_wanted, skill_champion, skill_challenger, cost, promotion,
boards [{board, state, forecasts, worst_celsius, reason}], days}];
with --test-alert: channels [{channel, server, ok, error}];
with --retraining or --retrain: retraining, what GET /retraining of the hub answers or the request that POST made.
"""
)
@click.argument("hub", required=False, metavar="[HUB]")
@INVENTORY
@click.option("--series", default="", help="This board, or user/tag, with each test and its last days.")
@click.option("--shadow", is_flag=True, help="Challengers beside the active version instead of series.")
@click.option("--test-alert", is_flag=True, help="Send a message over each channel of alerts, and show how that went.")
@click.option("--retraining", "is_history", is_flag=True, help="Show what may be retrained, and the last requests.")
@click.option("--retrain", metavar="SERIES", help="Have the model of this series trained again; needs --because.")
@click.option("--because", metavar="TEXT", help="Why, in one line; kept with the request.")
@click.option("--force", is_flag=True, help="With --retrain: although it cools down, or its sensor is at fault.")
@AS_JSON
def monitor(  # noqa: PLR0913 - the options
    *,
    hub: str | None,
    inventory: Path | None,
    series: str,
    shadow: bool,
    test_alert: bool,
    is_history: bool,
    retrain: str | None,
    because: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show the state of every series of every hub, those in trouble first; or what comes of it.

    HUB is a Jetson or a group of the inventory; all of them if not given. Exit code 0 whatever the states are, 2 if a
    retraining is refused or --test-alert finds no channel, 5 if a hub or a channel does not answer; all that is known
    is shown before.
    """
    from deployers.deployment.rollout import gravest_error  # noqa: PLC0415 - --help must not wait

    given = {
        "--series": (bool(series), _devices(series)),
        "--shadow": (shadow, CHALLENGERS),
        "--test-alert": (test_alert, CHANNELS),
        "--retraining": (is_history, HISTORY),
        "--retrain": (retrain is not None, _request(retrain or "", because, force=force)),
    }
    wanted = [name for name, (is_given, _) in given.items() if is_given]
    if len(wanted) > 1:
        msg = f"{' and '.join(wanted)} do not go together, expected one of them: leave the others out"
        raise InputError(msg)
    if (because is not None or force) and retrain is None:
        msg = "--because and --force belong to --retrain SERIES, expected it: name the series"
        raise click.UsageError(msg)
    if retrain is not None and not because:
        msg = "--retrain needs --because TEXT, expected why: it is kept with the request"
        raise click.UsageError(msg)
    view = given[wanted[0]][1] if wanted else _devices("")
    _, chosen = inventory_of(inventory, (hub,) if hub else ())
    if view.is_request and len(chosen) != 1:
        msg = f"--retrain asks one hub and {len(chosen)} are meant, expected a Jetson's name: give it as HUB"
        raise click.UsageError(msg)
    found = [_row(each.jetson, view) for each in chosen]
    if as_json:
        click.echo(json.dumps({"schema": 1, "hubs": [row for row, _ in found]}))
    else:
        view.show([row for row, _ in found])
    error = gravest_error([error for _, error in found if error is not None])
    if error is not None:
        raise error


def _devices(series: str) -> View:
    def fields(answer: dict[str, Any] | None) -> dict[str, Any]:
        return {"devices": [] if answer is None else [answer] if series else answer["devices"]}

    words = ("monitor", "--series", series) if series else ("monitor",)
    return View(words, fields, lambda hubs: _show(hubs, in_full=bool(series)))


def _request(series: str, because: str | None, *, force: bool) -> View:
    words = ("retrain", series, "--because", because or "", *(("--force",) if force else ()))
    return View(words, _retraining, _show_request, is_request=True)


def _retraining(answer: dict[str, Any] | None) -> dict[str, Any]:
    return {"retraining": answer}


def _channels(answer: dict[str, Any] | None) -> dict[str, Any]:
    return {"channels": (answer or {}).get("channels", [])}


def _challengers(answer: dict[str, Any] | None) -> dict[str, Any]:
    return {"challengers": [] if answer is None else answer["challengers"]}


def _row(jetson: Any, view: View) -> tuple[dict[str, Any], DeployerError | None]:
    """What a hub answers, and what went wrong."""
    answer, error = _asked(jetson, view)
    if error is None and answer is not None and view.accepted != (0,) and answer.get("error"):
        error = ServiceUnavailable(f"{jetson.name}: {answer['error']}")
    return {"hub": jetson.name, "error": str(error) if error else None, **view.fields(answer)}, error


def _asked(jetson: Any, view: View) -> tuple[dict[str, Any] | None, DeployerError | None]:
    from deployers.deployment.carry import answer_of  # noqa: PLC0415
    from deployers.site import Site  # noqa: PLC0415

    there = reach()
    connector = there.connect(jetson)
    try:
        site = Site.of(jetson, there.gather(connector, jetson))
        command = site.hub("ctl", *view.words, timeout=SECONDS, accepted=view.accepted)
        return answer_of(connector.name, command, connector.run(command)), None
    except DeployerError as error:
        return None, error
    finally:
        connector.close()


def _show_tried(hubs: list[dict[str, Any]]) -> None:
    for hub in hubs:
        for each in hub["channels"]:
            click.echo(f"{hub['hub']}  {each['channel']} {each['server']}: {'sent' if each['ok'] else each['error']}")


def _show_request(hubs: list[dict[str, Any]]) -> None:
    for hub in hubs:
        if (made := hub["retraining"]) is not None:
            click.echo(f"{hub['hub']}: retraining {made['id']} of {made['series']} is {made['state']}")


def _show_history(hubs: list[dict[str, Any]]) -> None:
    for hub in hubs:
        if hub["retraining"] is not None:
            _show_retraining(hub["hub"], hub["retraining"])


def _show_retraining(hub: str, found: dict[str, Any]) -> None:
    if not found["enabled"]:
        click.echo(f"{hub}: does not retrain by itself, enabled = true in [retraining] of hub.toml would have it do so")
    budget = found["budget"]
    free = f", free again {_moment(budget['free_ms'])}" if budget["free_ms"] is not None else ""
    click.echo(f"{hub}: {budget['used']} of {budget['per_week']} retrainings of the last seven days used{free}")
    for row in found["series"]:
        due = f"{row['due']}: {row['reason']}; " if row["due"] else ""
        then = f", by schedule {_moment(row['next_ms'])}" if row["next_ms"] is not None else ""
        click.echo(f"  {row['series']}: {due}{row['why_not'] or 'allowed'}{then}")
    for each in found["requests"]:
        answer = each["answer"] or {}
        made = answer.get("challenger")
        came = f"{made['model']} version {made['version']}" if made else answer.get("reason", "")
        said = f"{each['id']:>5} {_moment(each['asked_ms'])} {each['series']} {each['trigger']} {each['state']}"
        click.echo(f"{said}: {each['reason']}{f' → {came}' if came else ''}")


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _show_challengers(hubs: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="Challengers, and how they stand beside the active version")
    numbers = ("days", "better", "e-value", "skill", "champion's", "µs a reading")
    for column in ("hub", "challenger", "state", "beside", *numbers):
        table.add_column(column, justify="right" if column in numbers else "left")
    table.add_column("verdict", overflow="fold")
    for hub in hubs:
        for each in hub["challengers"]:
            days = (str(each["days_compared"]), str(each["days_better"]), _number(each["e_better"]))
            skills = (_number(each[name]) for name in ("skill_challenger", "skill_champion"))
            cost = f"{each['cost']['microseconds_per_reading']:.0f}" if each["cost"] else "none"
            waits = f"waits for: {each['waits_for']}" if each["waits_for"] else ""
            verdict = "; ".join(filter(None, (each["reason"], waits)))
            names = (hub["hub"], f"version {each['version']}", each["state"], f"version {each['champion']}")
            table.add_row(*names, *days, *skills, cost, verdict)
        if not hub["challengers"]:
            table.add_row(hub["hub"], "", "away" if hub["error"] else "no challenger yet", *[""] * 8)
    Console(file=sys.stdout, width=140).print(table)
    for hub in hubs:
        for each in hub["challengers"]:
            _show_boards(f"{hub['hub']}  version {each['version']}", each.get("boards", []))


def _show_boards(challenger: str, boards: list[dict[str, Any]]) -> None:
    """A hub that is older than this deployer tells of none."""
    for row in boards:
        worst = f", {row['worst_celsius']:.6f} °C from the hub's at most" if row["forecasts"] else ""
        compared = f"{row['forecasts']} forecasts compared{worst}"
        said = "; ".join(filter(None, (row["reason"], compared)))
        click.echo(f"{challenger} on {row['board']} {row['state']}: {said}")


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


CHALLENGERS = View(("shadow",), _challengers, _show_challengers)
CHANNELS = View(("test-alert",), _channels, _show_tried, accepted=(0, ServiceUnavailable.exit_code))
HISTORY = View(("retraining",), _retraining, _show_history)
