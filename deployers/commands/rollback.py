"""`python -m deployers rollback`: hub and boards run again what ran before."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from deployers.commands.deploying import AS_JSON, INVENTORY, LIMIT, TRACKING, inventory_of, json_on_failure, reach, told

if TYPE_CHECKING:
    from pathlib import Path

    from deployers.deployment.going_back import WentBack

FIELDS = ("rollback", "jetsons", "devices", "seconds", "mlflow", "journal")


@click.command(
    epilog="""\b
Examples:
  python -m deployers rollback
  python -m deployers rollback --limit kitchen --json
\b
--json, schema 1 (fields are only ever added): schema, rollback, result (rolled back, nothing to do, failed), exit_code,
jetsons [{jetson, version, before, model}], devices [{jetson, board, state, version, seconds, error}], seconds, mlflow,
error, journal.
"""
)
@INVENTORY
@LIMIT
@TRACKING
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True, help="Devices at a time.")
@click.option("--seconds", type=click.FloatRange(1, 86400), default=900.0, show_default=True,
              help="How long to wait for a board's first forecast, which comes with its next reading.")  # fmt: skip
@AS_JSON
def rollback(  # noqa: PLR0913 - a command's options
    *,
    inventory: Path | None,
    limit: tuple[str, ...],
    tracking_uri: str | None,
    parallel: int,
    seconds: float,
    as_json: bool,
) -> None:
    """Go back to the model before the one that runs, and wait until every board runs it.

    The image for it was signed and installed by the deployment that replaced it. What runs a way back already is left
    as it is. Exit code 0 when everything runs as before.
    """
    from deployers.commands.deploy import raise_failed  # noqa: PLC0415 - --help must not wait
    from deployers.commands.image import plain_errors  # noqa: PLC0415
    from deployers.deployment.going_back import EVERYTHING, Back, roll_back  # noqa: PLC0415
    from deployers.deployment.plan import Patience  # noqa: PLC0415
    from deployers.deployment.rollout import Limits  # noqa: PLC0415
    from deployers.deployment.watching import Bars, Nobody  # noqa: PLC0415
    from deployers.journal import deploy_home  # noqa: PLC0415

    with json_on_failure(FIELDS, as_json=as_json), plain_errors():
        _, chosen = inventory_of(inventory, limit)
        limits, patience = Limits(EVERYTHING, parallel), Patience(confirm=seconds)
        home = deploy_home()
        back = Back(home, chosen, reach(), lambda path: told(path, tracking_uri), limits=limits, patience=patience)
        if as_json:
            found = roll_back(back, Nobody())
            click.echo(json.dumps(found.as_dict()))
        else:
            with Bars() as bars:
                found = roll_back(back, bars)
            _show(found)
    raise_failed(found)


def _show(found: WentBack) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"Rollback: {found.result}, {found.seconds:.1f} s")
    for column in ("device", "state", "version", "seconds"):
        table.add_column(column, justify="right" if column in {"version", "seconds"} else "left")
    if any(each.error for each in found.devices):
        table.add_column("error")
    for each in found.devices:
        cells = (each.device.name, each.state, str(each.version), f"{each.seconds:.1f}", each.error)
        table.add_row(*cells[: len(table.columns)])
    Console(file=sys.stdout, width=120).print(table)
    for row in found.jetsons:
        before = "as before" if row["before"] == row["version"] else f"before: {row['before']}"
        click.echo(f"{row['jetson']}: {row['model']} runs as version {row['version']}, {before}")
    click.echo(f"journal: {found.journal}")
