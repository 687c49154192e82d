"""`python -m deployers setup`: bare Jetsons get a hub; those that have one get what is missing."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deployers.exceptions import DeployerError
    from deployers.inventory import Jetson
    from deployers.site_setup import Outcome

FILE = click.Path(path_type=Path)
INVENTORY = click.option(
    "--inventory", type=FILE, help="File of Jetsons; EDGELOOP_INVENTORY, ./inventory.toml or the lab's if not given."
)
LIMIT = click.option("--limit", multiple=True, metavar="NAME|GROUP", help="Only these Jetsons; may be repeated.")


@click.command(
    epilog="""\b
Examples:
  python -m deployers setup
  python -m deployers setup --limit kitchen --dry-run
  python -m deployers setup --inventory site/inventory.toml --limit canary --json
"""
)
@INVENTORY
@LIMIT
@click.option("--wheelhouse", type=FILE, help="Folder of wheels for Jetsons without an index; fetched if not given.")
@click.option("--dry-run", "dry", is_flag=True, help="Gather facts and print the plan; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def setup(*, inventory: Path | None, limit: tuple[str, ...], wheelhouse: Path | None, dry: bool, as_json: bool) -> None:
    """Prepare Jetsons: account, folders, code, Python packages, keys, and a service that keeps the hub running.

    Run it again at any time: it does what is missing, and says so where nothing is. A run that was killed is finished
    by the next one.
    """
    from deployers.bundle import make_bundle  # noqa: PLC0415 - --help must not wait
    from deployers.inventory import Inventory, find_inventory  # noqa: PLC0415
    from deployers.journal import Journal, deploy_home, deployment_lock  # noqa: PLC0415
    from deployers.site_setup import Workshop, prepare_all, signer_of  # noqa: PLC0415

    listed = Inventory.load(find_inventory(inventory))
    jetsons, signer = listed.chosen(limit), signer_of(listed)
    home = deploy_home()
    with nullcontext() if dry else deployment_lock(home):
        journal = None if dry else Journal.create(home / "journal", "setup")
        with _Bars(jetsons, shown=not as_json) as bars:
            shop = Workshop(make_bundle(), signer, journal, bars, home / "wheels", wheelhouse=wheelhouse)
            outcomes = prepare_all(jetsons, shop)
        worst = _worst(outcomes)
        if journal is not None:
            journal.close("failed" if worst else "done", outcomes=[_short(outcome) for outcome in outcomes])
    if as_json:
        where = None if journal is None else str(journal.path)
        click.echo(json.dumps({"jetsons": [outcome.as_dict() for outcome in outcomes], "journal": where}))
    else:
        _show(outcomes, dry=dry)
    if worst:
        raise worst


def _short(outcome: Outcome) -> dict[str, Any]:
    return {name: value for name, value in outcome.as_dict().items() if name != "steps"}


def _worst(outcomes: Sequence[Outcome]) -> DeployerError | None:
    """The error to end with: that of the only Jetson that failed, or the gravest one with how many there are."""
    from deployers.deployment.rollout import gravest_error  # noqa: PLC0415 - --help must not wait

    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    worst = gravest_error(failed)
    if worst is None or len(failed) == 1:
        return worst
    msg = f"{len(failed)} of {len(outcomes)} Jetsons failed, the gravest: {worst}"
    return type(worst)(msg)


def _show(outcomes: Sequence[Outcome], *, dry: bool) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    if dry:
        for outcome in outcomes:
            _show_plan(outcome)
    table = Table(title="Setup")
    for column in ("Jetson", "state", "steps", "MB sent", "seconds"):
        table.add_column(column, justify="right" if column in {"MB sent", "seconds"} else "left")
    for outcome in outcomes:
        steps = ", ".join(step.name for step in outcome.plan.steps)
        table.add_row(outcome.jetson, outcome.state, steps, f"{outcome.sent / 1e6:.1f}", f"{outcome.seconds:.1f}")
    Console(file=sys.stdout, width=100).print(table)


def _show_plan(outcome: Outcome) -> None:
    click.echo(f"{outcome.jetson}:" + ("" if outcome.plan else " nothing to change"))
    for step in outcome.plan.steps:
        click.echo(f"  {step.name}")
        for file in step.as_dict().get("files", ()):
            size = f"  {file['bytes']} bytes, SHA-256 {file['sha256']}" if "sha256" in file else "  (secret)"
            click.echo(f"    put {file['path']}  {file['mode']}{size}")
        for command in step.commands:
            click.echo(f"    run {command.shown()}")


class _Bars:
    """One bar a Jetson, with the name of its step and the bytes of its files; nothing where nobody looks."""

    def __init__(self, jetsons: Sequence[Jetson], *, shown: bool) -> None:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        console = Console(file=sys.stderr)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not (shown and console.is_terminal)
        )
        self._tasks = {j.name: self._progress.add_task(f"{j.name}: facts", total=None) for j in jetsons}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, plan: Any, step: Any, number: int) -> None:
        """A step begins."""
        told = f"{plan.jetson}: {step.name} ({number + 1} of {len(plan.steps)})"
        self._progress.reset(self._tasks[plan.jetson], description=told, total=step.bytes or None)

    def bytes_done(self, plan: Any, done: int, total: int) -> None:
        """So much of the step's files is there."""
        self._progress.update(self._tasks[plan.jetson], completed=done, total=total)
