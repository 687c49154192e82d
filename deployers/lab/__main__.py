"""Command line of the lab: what needs hardware, without it.

python -m deployers.lab up | status | logs | down | try | loop
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployers.environment import enter

if __name__ == "__main__":  # before the imports that another Python may not have
    enter("deployers.lab")

import click

from deployers.__main__ import EXIT_CODES, run
from deployers.commands.convert import BUDGET, require_one_source, settings
from deployers.conversion.cost import TYPES
from deployers.lab import commands
from deployers.lab.comparison import tolerance
from deployers.lab.summary import show_last
from deployers.lab.trial import RUNTIMES, last_readings, on_board

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.conversion.budget import ConversionConfig
    from deployers.conversion.proof import Proof
    from deployers.lab.trial import Trial
    from deployers.registry import FetchedRelease

# Fetch, three for the conversion, image, build and start, transfer, readings, Keras; each type is made and measured.
STAGES = 9


@dataclass(frozen=True)
class Outcome:
    """What `try` shows.

    Attributes:
        release: what was tried.
        kind: type of the cell.
        proof: of its conversion.
        image_bytes: length of the signed image.
        trial: the forecasts.
        tolerance: °C by which the board may differ from Keras.
    """

    release: str
    kind: str
    proof: Proof
    image_bytes: int
    trial: Trial
    tolerance: float


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def lab(*, debug: bool) -> None:
    """What needs hardware, without it: a virtual Jetson and virtual boards on this machine."""
    del debug  # main() looks for it


for command in (commands.up, commands.status, commands.logs, commands.down, commands.loop):
    lab.add_command(command)


@lab.command(
    "try",
    epilog="""\b
Examples:
  python -m deployers.lab try
  python -m deployers.lab try --version 3 --type int8 --readings 1000
  python -m deployers.lab try --release releases/kitchen --board native --json
""",
)
@click.option("--version", "reference", metavar="N|ALIAS", help="What to try; champion if no --release is given.")
@click.option("--release", type=click.Path(path_type=Path), help="A release folder instead of a registered version.")
@click.option("--model", default="temperature-forecaster", show_default=True, help="Registered model's name.")
@click.option("--tracking-uri", help="MLflow; MLFLOW_TRACKING_URI or the home folder's database if not given.")
@click.option(
    "--board", "board_kind", type=click.Choice(["mps2_an500", "native"]), default="mps2_an500", show_default=True,
    help="Emulated Cortex-M7, or the firmware as a program of this machine.",
)  # fmt: skip
@click.option(
    "--type", "kind", type=click.Choice(TYPES), help="Type of the cell; the cheapest within budget if not given."
)
@BUDGET
@click.option("--readings", type=click.IntRange(2, 20_000), default=288, show_default=True, help="Of the test part.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def try_(  # noqa: PLR0913 - a command's options
    *,
    reference: str | None,
    release: Path | None,
    model: str,
    tracking_uri: str | None,
    board_kind: str,
    kind: str | None,
    budget: float,
    readings: int,
    as_json: bool,
) -> None:
    """Convert a model, sign it, install it on a virtual board, and compare its forecasts with Keras' and LiteRT's."""
    from deployers.commands.progress import Stages  # noqa: PLC0415 - --help must not wait
    from deployers.registry import fetch_release, open_release  # noqa: PLC0415

    if release is None and reference is None:
        reference = "champion"
    require_one_source(reference, release)
    config = settings((kind,) if kind else (), budget)
    with (
        tempfile.TemporaryDirectory(prefix="edgeloop-try-") as scratch,
        Stages(STAGES + 2 * len(TYPES), "try", shown=not as_json) as stages,
    ):
        folder = Path(scratch)
        stages.begin("release")
        found = open_release(release) if release else fetch_release(str(reference), folder, model, tracking_uri)
        outcome = _tried(found, folder, board_kind, config, readings, stages.begin)
    if as_json:
        click.echo(json.dumps(_plain(outcome, board_kind)))
    else:
        _show(outcome, board_kind)
    outcome.trial.require(outcome.tolerance)


def _tried(  # noqa: PLR0913, PLR0917 - everything that was chosen
    release: FetchedRelease,
    folder: Path,
    board_kind: str,
    config: ConversionConfig,
    readings: int,
    stage: Callable[[str], None],
) -> Outcome:
    from deployers.conversion.proof import prove  # noqa: PLC0415

    proof = prove(release.path, config, stage)
    stretch = last_readings(release.path, readings)
    image_bytes, trial = on_board(release, proof, folder, board_kind, stretch, stage)
    chosen = proof.require()
    return Outcome(release.name, chosen, proof, image_bytes, trial, allowed_difference(proof, chosen))


def allowed_difference(proof: Proof, kind: str) -> float:
    """What this type may differ from Keras by."""
    return tolerance(float(proof.figures["types"][kind]["error"]["largest"]["celsius"]))


def _plain(outcome: Outcome, board_kind: str) -> dict[str, Any]:
    return {
        "release": outcome.release,
        "board": board_kind,
        "type": outcome.kind,
        "image_bytes": outcome.image_bytes,
        "tolerance": outcome.tolerance,
        **outcome.trial.as_dict(),
    }


def _show(outcome: Outcome, board_kind: str) -> None:
    trial, found = outcome.trial, outcome.proof.figures["types"][outcome.kind]
    board = {"mps2_an500": "QEMU's Cortex-M7 (mps2_an500)", "native": "the native program"}[board_kind]
    click.echo(f"\nOn a microcontroller: {outcome.release}")
    click.echo(f"  board           {board}, image {trial.model_version} confirmed")
    click.echo(
        f"  cell            {outcome.kind}, {found['file_bytes']:,} bytes, "
        f"about {found['instructions']:,} instructions a forecast; signed image {outcome.image_bytes:,} bytes"
    )
    click.echo(f"  readings        {len(trial.times):,} of the test part, a forecast at each")
    for name in RUNTIMES[1:]:
        difference = trial.largest_difference("Keras", name)
        click.echo(f"  {name + ' – Keras':<16}{difference:.2g} °C at most, over all forecasts")
    show_last(trial)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; every error is one line and an exit code."""
    return run(lab, "python -m deployers.lab", arguments)


if __name__ == "__main__":
    sys.exit(main())
