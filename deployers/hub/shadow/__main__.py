"""How often the test of challengers errs and how long it takes: `python -m deployers.hub.shadow`."""

from __future__ import annotations

import click

from deployers.hub.settings import ShadowSection
from deployers.hub.shadow.simulation import Differences, simulated

ADVANTAGES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.10)


@click.command()
@click.option(
    "--spread",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.02,
    show_default=True,
    help="Standard deviation of the difference of two models' skill from day to day.",
)
@click.option(
    "--correlation",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.15,
    show_default=True,
    help="Of that difference with the day before's.",
)
@click.option("--most-days", type=click.IntRange(5, 365), default=28, show_default=True)
@click.option("--runs", type=click.IntRange(100, 1_000_000), default=20_000, show_default=True)
@click.option("--seed", default=1, show_default=True, help="Of the random numbers.")
def main(*, spread: float, correlation: float, most_days: int, runs: int, seed: int) -> None:
    """Print what becomes of challengers that are better in daily skill by so much, looked at every day."""
    rules = ShadowSection(most_days=most_days)
    click.echo(f"{'advantage':>10}{'better':>10}{'worse':>10}{'undecided':>11}   days until better: 10 %, median, 90 %")
    for advantage in ADVANTAGES:
        found = simulated(rules, Differences(advantage, spread, correlation), runs, seed)
        days = "".join(f"{day:>8.0f}" for day in found.days) if found.days is not None else "    none"
        shares = f"{found.better:>10.2%}{found.worse:>10.2%}{found.undecided:>11.2%}"
        click.echo(f"{advantage:>+10.3f}{shares}   {'':>17}{days}")


if __name__ == "__main__":
    main()
