"""`python -m deployers status`: what runs where since when, and whether that is what should run."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import click

from deployers.commands.deploying import AS_JSON, INVENTORY, LIMIT, MODEL, TRACKING, inventory_of, reach, told
from deployers.exceptions import DeployerError

if TYPE_CHECKING:
    from pathlib import Path

    from deployers.deployment.looking import Seen


@click.command(
    epilog="""\b
Examples:
  python -m deployers status
  python -m deployers status --limit kitchen --alias challenger --json
\b
--json, schema 1 (fields are only ever added): schema, registry {model, alias, version, error}, jetsons [{jetson, state,
error, revision, started, runs, way_back, models, boards [{board, online, last_seen, state, runs, version, test,
firmware, since}]}] where runs and way_back are {version, name, model, model_version, image_sha256, since} or null,
drift [lines], unfinished, untold, running (who deploys from this home now, or null).
"""
)
@INVENTORY
@LIMIT
@TRACKING
@click.option("--model", default=MODEL, show_default=True, help="Registered model's name.")
@click.option("--alias", default="champion", show_default=True, help="What should run.")
@AS_JSON
def status(  # noqa: PLR0913 - a command's options
    *,
    inventory: Path | None,
    limit: tuple[str, ...],
    tracking_uri: str | None,
    model: str,
    alias: str,
    as_json: bool,
) -> None:
    """Show hubs, models and boards, beside what the registry says should run.

    Tells MLflow of deployments that it was not told of yet. Exit code 8 if a host key is not the one pinned, else 5 if
    a Jetson or MLflow does not answer; all that is known is shown before.
    """
    from deployers.commands.image import plain_errors  # noqa: PLC0415 - --help must not wait
    from deployers.deployment.looking import look  # noqa: PLC0415
    from deployers.deployment.rollout import gravest_error  # noqa: PLC0415

    with plain_errors():
        _, chosen = inventory_of(inventory, limit)
        with ThreadPoolExecutor(1, "registry") as pool:
            asking = pool.submit(_registry, model, alias, tracking_uri)
            seen = look(chosen, reach())
            registry, away = asking.result()
    for each in seen:
        each.connector.close()
    found = {"schema": 1, "registry": registry, **_standing(seen, model, alias, registry["version"])}
    if as_json:
        click.echo(json.dumps(found))
    else:
        _show(found)
    error = gravest_error([each.error for each in seen if each.error is not None]) or away
    if error is not None:
        raise error


def _standing(seen: list[Seen], model: str, alias: str, version: str | None) -> dict[str, Any]:
    from deployers import tags  # noqa: PLC0415
    from deployers.deployment import standing  # noqa: PLC0415
    from deployers.deployment.preparing import JOURNAL, KIND  # noqa: PLC0415
    from deployers.journal import SUFFIX, deploy_home, running, unfinished  # noqa: PLC0415

    home, jetsons = deploy_home(), [standing.jetson(each) for each in seen]
    busy = running(home)  # before the journal is read: one that ends in between has ended there as well
    left = unfinished(home / JOURNAL, KIND) if busy is None else None
    return {
        "jetsons": jetsons,
        "drift": standing.drift(jetsons, model, alias, version),
        "unfinished": left.name.removesuffix(SUFFIX) if left else None,
        "untold": len(tags.pending(home)),
        "running": busy,
    }


def _registry(model: str, alias: str, uri: str | None) -> tuple[dict[str, Any], DeployerError | None]:
    """What the alias means; and why it is not known, unless that is no outage."""
    from deployers.journal import deploy_home  # noqa: PLC0415
    from deployers.registry import resolve  # noqa: PLC0415
    from deployers.tags import pending  # noqa: PLC0415

    found: dict[str, Any] = {"model": model, "alias": alias, "version": None, "error": None}
    try:
        found["version"] = resolve(alias, model, uri)
        if pending(deploy_home()):
            told(deploy_home(), uri)
    except DeployerError as error:
        return {**found, "error": str(error)}, error
    return found, None


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    registry, console = found["registry"], Console(file=sys.stdout, width=120)
    table = Table(title=f"{registry['alias']} is {registry['model']} {registry['version'] or '(not known)'}")
    for column in ("where", "state", "runs", "image", "since", "last seen"):
        table.add_column(column, justify="right" if column == "image" else "left")
    for each in found["jetsons"]:
        runs = _runs(each["runs"]) if each["state"] == "up" else ("", "", "")  # of one that is away nobody knows
        table.add_row(each["jetson"], each["state"], *runs, "")
        for board in each["boards"]:
            state = board["state"] if board["online"] else f"{board['state']}, away"
            table.add_row(f"  {board['board']}", state, *_board_runs(board), board["last_seen"] or "never")
        table.add_section()
    console.print(table)
    for each in found["jetsons"]:
        if each["way_back"]:
            back = each["way_back"]
            click.echo(f"{each['jetson']}: rollback leads to {back['name']}, image {back['version']}")
    for line in found["drift"]:
        click.echo(f"drift: {line}")
    if found["running"]:
        click.echo(f"a deployment runs now: {found['running']}")
    if found["unfinished"]:
        click.echo(f"deployment {found['unfinished']} was cut off: the same deploy command goes on with it")
    if found["untold"]:
        click.echo(f"MLflow was not told of {found['untold']} deployments yet: the next command tries again")


def _board_runs(board: dict[str, Any]) -> tuple[str, str, str]:
    if board["version"] and not board["runs"]:  # the hub keeps the newest models only
        return "a model that the hub no longer has", str(board["version"]), board["since"] or ""
    return _runs(board["runs"])


def _runs(model: dict[str, Any] | None) -> tuple[str, str, str]:
    return (model["name"], str(model["version"]), model["since"] or "") if model else ("nothing", "", "")
