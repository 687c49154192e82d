"""`python -m deployers convert`: a registered version becomes a folder that can be deployed."""

from __future__ import annotations

import json
import math
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployers.conversion.cost import TYPES
from deployers.exceptions import InputError

if TYPE_CHECKING:
    from deployers.conversion.budget import ConversionConfig
    from deployers.conversion.proof import Proof
    from deployers.registry import FetchedRelease

# TensorFlow, the float cell, Keras' forecasts; each type is made and measured.
STAGES = 3
TIMEOUT = 600.0  # seconds
BUDGET = click.option(
    "--budget", type=click.FloatRange(-1, 1), default=0.01, show_default=True,
    help="Largest share by which the test MAE may grow against float Keras.",
)  # fmt: skip


@click.command(
    epilog="""\b
Examples:
  python -m deployers convert --version champion --out out/
  python -m deployers convert --version 3 --out out/ --budget 0.005 --type int16x8 --force
  python -m deployers convert --release releases/kitchen --out out/ --json
"""
)
@click.option("--version", "reference", metavar="N|ALIAS", help="Registered version, or champion or challenger.")
@click.option("--release", type=click.Path(path_type=Path), help="A release folder instead of a registered version.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write; new or empty.")
@click.option("--model", default="temperature-forecaster", show_default=True, help="Registered model's name.")
@click.option("--tracking-uri", help="MLflow; MLFLOW_TRACKING_URI or the home folder's database if not given.")
@BUDGET
@click.option("--type", "types", multiple=True, type=click.Choice(TYPES), help="Only this type; may be repeated.")
@click.option("--timeout", type=click.FloatRange(min=1), default=TIMEOUT, show_default=True, help="Seconds to convert.")
@click.option("--force", is_flag=True, help="Replace a conversion that is in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def convert(  # noqa: PLR0913 - a command's options
    *,
    reference: str | None,
    release: Path | None,
    out: Path,
    model: str,
    tracking_uri: str | None,
    budget: float,
    types: tuple[str, ...],
    timeout: float,
    force: bool,
    as_json: bool,
) -> None:
    """Convert a release to cells for a microcontroller, prove them, and choose the cheapest type within budget."""
    from deployers.conversion.folder import require_free  # noqa: PLC0415 - --help must not wait
    from deployers.registry import fetch_release, open_release  # noqa: PLC0415

    require_one_source(reference, release)
    require_free(out, force=force)
    config = settings(types, budget, timeout)
    with tempfile.TemporaryDirectory(prefix="edgeloop-release-") as scratch:
        found = (
            open_release(release)
            if release is not None
            else fetch_release(str(reference), Path(scratch), model, tracking_uri)
        )
        result = _converted(found, config, out, force=force, quiet=as_json)
    if as_json:
        click.echo(json.dumps(result))


def require_one_source(reference: str | None, release: Path | None) -> None:
    """Refuse both of --version and --release, and neither.

    Raises:
        InputError: not exactly one is given.
    """
    if (reference is None) == (release is None):
        both = f"--version {reference!r} and --release {str(release)!r} are both given"
        given = "neither --version nor --release is given" if reference is None else both
        msg = f"{given}, expected exactly one of them: say which release to convert"
        raise InputError(msg)


def settings(types: tuple[str, ...], budget: float, timeout: float = TIMEOUT) -> ConversionConfig:
    """The settings; click lets through nan, which is in no range.

    Raises:
        InputError: one is out of its range.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from deployers.conversion.budget import ConversionConfig  # noqa: PLC0415

    try:
        return ConversionConfig(types=types or TYPES, mae_growth=budget, timeout_seconds=timeout)
    except ValidationError as error:
        wrong = error.errors()[0]
        option = {"mae_growth": "--budget", "timeout_seconds": "--timeout"}.get(str(wrong["loc"][0]), "--type")
        msg = f"{option} {wrong['input']!r}: {wrong['msg']}, give another"
        raise InputError(msg) from None


def _converted(
    release: FetchedRelease, config: ConversionConfig, out: Path, *, force: bool, quiet: bool
) -> dict[str, Any]:
    """Prove, show, and write; the table comes also where nothing is within budget."""
    from deployers.commands.progress import Stages  # noqa: PLC0415
    from deployers.conversion.conditions import finite  # noqa: PLC0415
    from deployers.conversion.folder import write_conversion  # noqa: PLC0415
    from deployers.conversion.proof import prove  # noqa: PLC0415

    with Stages(STAGES + 2 * len(config.types), f"release {release.name}", shown=not quiet) as stages:
        proof = prove(release.path, config, stages.begin)
    if not quiet:
        _show(proof)
    chosen = write_conversion(release.path, proof, out, release.facts, force=force)
    if not quiet:
        click.echo(f"{chosen} is chosen; written to {out}, the report is {out / 'fidelity.html'}")
        click.echo(f"next: python -m deployers check {shlex.quote(str(out))}")
    figures: dict[str, Any] = finite(proof.figures)
    return {"out": str(out), "chosen": chosen, **release.facts, "fidelity": figures}


def _show(proof: Proof) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    from deployers.conversion.conditions import number  # noqa: PLC0415

    table = Table(title=f"float Keras: MAE {number(proof.figures['keras']['mae'] or float('nan'))} °C")
    for column in ("type", "MAE °C", "MAE growth %", "bytes", "arena", "about instructions", ""):
        table.add_column(column, justify="left" if column == "type" else "right")
    for kind, found in proof.figures["types"].items():
        mae, growth, arena = found["metrics"]["mae"], found["mae_growth"], found["arena_bytes"]
        verdict = "chosen" if kind == proof.chosen else "" if proof.conditions[kind].passed else "over budget"
        table.add_row(
            kind,
            "not measured" if mae is None else f"{mae:.5f}",
            "not measured" if math.isnan(growth) else f"{round(100 * growth, 3) + 0.0:+.3f}",
            f"{found['file_bytes']:,}",
            "not built" if arena is None else f"{arena:,}",
            f"{found['instructions']:,}",
            verdict,
        )
    Console(file=sys.stdout, width=100).print(table)
