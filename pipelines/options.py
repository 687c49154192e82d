"""Options of the command line that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stacks.commands import common as answer

if TYPE_CHECKING:
    from collections.abc import Callable


def _help_config(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    if not wanted or context.resilient_parsing:
        return
    from pipelines.config import describe  # noqa: PLC0415

    section = {"data": "data", "train": "training", "promote": "training", "show": "training"}.get(
        context.command.name or ""
    )
    click.echo("\n".join(describe(section)))
    context.exit()


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that every command has."""
    options: list[Callable[..., Any]] = [
        click.option("--stack", default="local", show_default=True, help="File in stacks/, or a stack ZenML knows."),
        click.option(
            "--config", "configs", multiple=True, type=click.Path(path_type=Path),
            help="YAML file, may be repeated; replaces the defaults in pipelines/configs/.",
        ),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting, may be repeated."),
        click.option("--seed", type=click.IntRange(min=0), help="Seed of search, training and bootstrap."),
        answer,
        click.option(
            "--help-config", is_flag=True, is_eager=True, expose_value=False, callback=_help_config,
            help="List every setting with its default.",
        ),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def sources(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose the readings."""
    options = [
        click.option(
            "--source",
            help="CSV or CSV.gz file, SQLAlchemy URL, hub://host:port/series, or simulated://lab?days=120&seed=1.",
        ),
        click.option("--user", help="Only this user's readings."),
        click.option("--tag", help="Only readings with this tag."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def workers(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option that says who trains."""
    return click.option(
        "--workers",
        metavar="N|tcp://HOST:PORT",
        help="Train in up to N processes, one a core, or on the workers of a Dask scheduler (docs/cluster.md).",
    )(function)
