"""What one turn of the loop came to, in words and tables for people."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from deployers.lab.trial import RUNTIMES

if TYPE_CHECKING:
    from deployers.lab.comparison import Comparison
    from deployers.lab.loop import Turned
    from deployers.lab.trial import Trial

SHOWN = 6
TABLE_WIDTH = 100


def show_last(trial: Trial) -> None:
    """The last forecasts of all three, the first and the last value of each."""
    table = Table(title=f"The last {min(SHOWN, len(trial.times))} of {len(trial.times):,} forecasts, °C")
    table.add_column("made at")
    table.add_column("reading", justify="right")
    for step in (1, trial.horizon):
        for name in RUNTIMES:
            table.add_column(f"{trial.ahead(step)}\n{name}", justify="right")
    for row in range(len(trial.times))[-SHOWN:]:
        values = [f"{trial.forecasts[name][row, step - 1]:.4f}" for step in (1, trial.horizon) for name in RUNTIMES]
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(trial.times[row]))
        table.add_row(f"{at:%b %d, %H:%M}", f"{trial.celsius[row]:.2f}", *values)
    _print(table)


def show_turn(turned: Turned) -> None:
    """Everything about one turn."""
    for comparison in turned.comparisons:
        _show_board(comparison)
    _show_last_forecast(turned.comparisons[0])
    click.echo("\nVersions")
    click.echo(f"  hub             {_on_hub(turned)}")
    for device in turned.devices:
        click.echo(f"  {device['id']:<15} {_state(device)}")
    took = ", ".join(f"{name} {seconds:.1f}" for name, seconds in turned.seconds.items())
    click.echo(f"\nSeconds           {took}; {sum(turned.seconds.values()):.1f} in all")
    ends = datetime.fromtimestamp(turned.lab["ends"], UTC).astimezone()
    click.echo(f"Page              {turned.page}/#token={turned.token}")
    click.echo(f"The lab stays up until {ends:%H:%M}; python -m deployers.lab status | logs | down")


def _show_board(comparison: Comparison) -> None:
    trial, live, test = comparison.trial, comparison.live, comparison.test
    click.echo(f"\n{comparison.board}")
    click.echo(f"  readings        {comparison.readings:,} on the hub")
    click.echo(
        f"  forecasts       {len(trial.times):,} of image {trial.model_version}, by board and hub at the same reading"
    )
    over = f", over {live['board']['count']:,} values measured since"
    click.echo(f"  live error      {_error(live['board']['mae'], live['persistence']['mae'])}{over}")
    click.echo(f"  test error      {_error(test['model'], test['persistence'])}")
    for name in RUNTIMES[1:] if len(trial.times) else ():
        found = trial.largest_difference("Keras", name)
        click.echo(f"  {name + ' – Keras':<16}{found:.2g} °C at most, allowed are {comparison.tolerance:g}")


def _error(model: float | None, persistence: float | None) -> str:
    def said(value: float | None) -> str:
        return "not known yet" if value is None else f"{value:.4f} °C"

    return f"{said(model)} MAE of the model, {said(persistence)} of persistence"


def _show_last_forecast(comparison: Comparison) -> None:
    """One forecast, value by value, if there is one."""
    trial = comparison.trial
    if not len(trial.times):
        return
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(trial.times[-1]))
    title = f"Last forecast of {comparison.board}, made at {at:%b %d, %H:%M} from {trial.celsius[-1]:.2f} °C"
    table = Table(title=title)
    table.add_column("")
    for step in range(1, trial.horizon + 1):
        table.add_column(trial.ahead(step), justify="right")
    for name in RUNTIMES:
        shown = {"LiteRT": "LiteRT (hub)"}.get(name, name)
        table.add_row(shown, *(f"{value:.5f}" for value in trial.forecasts[name][-1]))
    _print(table)


def _on_hub(turned: Turned) -> str:
    """The version whose forecasts the hub makes itself, and what it was made from."""
    view = turned.active
    source = f" ({view['model']} version {view['model_version']}, {view['chosen']})" if view else ""
    return f"image {turned.models['active']}{source} makes the hub's own forecasts (LiteRT)"


def _state(device: dict[str, Any]) -> str:
    online = "online" if device["online"] else "offline"
    image = f"image {device['confirmed']} {device['state']}" if device["confirmed"] else "no image"
    return f"{image}, firmware {device['firmware']}, {online}"


def _print(table: Table) -> None:
    Console(file=sys.stdout, width=TABLE_WIDTH).print(table)
