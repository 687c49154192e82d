"""What the thresholds of the test of skill stand for: `python -m deployers.hub.monitor`."""

from __future__ import annotations

import click

from deployers.hub.monitor import sequential

SHIFTS = (0.5, 1.0, 2.0, 3.0)


@click.command()
@click.option(
    "--days",
    multiple=True,
    type=click.FloatRange(2, 36_500),
    default=(60.0, 365.0),
    show_default=True,
    help="False alarms are so many days apart on average; repeatable.",
)
@click.option("--runs", type=click.IntRange(10, 1_000_000), default=2000, show_default=True, help="Simulated series.")
@click.option("--seed", default=1, show_default=True, help="Of the random numbers.")
def main(*, days: tuple[float, ...], runs: int, seed: int) -> None:
    """Print thresholds, and by simulation how far false alarms are apart and how soon a decay is found.

    The decay is a shift of the daily statistic in its standard deviations; see docs/monitor.md.
    """
    shifts = "".join(f"{shift:>10g} σ" for shift in SHIFTS)
    click.echo(f"{'wanted days':>12}{'threshold':>12}{'simulated days':>16}   days until found, at a shift of{shifts}")
    for wanted in days:
        limit = sequential.threshold(wanted)
        apart = sequential.simulated(limit, runs, seed)
        found = "".join(f"{sequential.simulated(limit, runs, seed, shift):>12.1f}" for shift in SHIFTS)
        click.echo(f"{wanted:>12g}{limit:>12.2f}{apart:>16.0f}   {'':>31}{found}")


if __name__ == "__main__":
    main()
