"""`python -m deployers check`: golden vectors of a converted folder through three runtimes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from deployers.conversion.checking import Checked


@click.command(
    epilog="""\b
Examples:
  python -m deployers check out/
  python -m deployers check out/ --json
"""
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def check(*, folder: Path, as_json: bool) -> None:
    """Verify a folder that convert wrote: LiteRT, TFLM and the firmware's engine side by side.

    The engine must equal TFLM to the bit in int8 and int16x8, and no type may be further from float Keras than when it
    was converted; exit code 3 if one is.
    """
    from deployers.commands.progress import Stages  # noqa: PLC0415 - --help must not wait
    from deployers.conversion.checking import check_conversion  # noqa: PLC0415
    from deployers.conversion.conditions import failures, finite  # noqa: PLC0415

    with Stages(3, f"folder {folder}", shown=not as_json) as stages:
        found = check_conversion(folder, stages.begin)
    if as_json:
        wrong = [condition.sentence() for condition in failures(found.conditions)]
        click.echo(json.dumps({"types": finite(found.figures), "failed": wrong}))
    else:
        _show(found)
    found.require()


def _show(found: Checked) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="Golden vectors, largest differences in °C")
    for column in ("type", "runtime", "beside float Keras", "beside TFLM", ""):
        table.add_column(column, justify="right" if "beside" in column else "left")
    for kind, figures in found.figures.items():
        for name, beside in figures["runtimes"].items():
            same = "the same bits" if name != "TFLM" and beside["tflm"] == 0 else ""
            table.add_row(kind, name, f"{beside['keras']:.3g}", "" if name == "TFLM" else f"{beside['tflm']:.3g}", same)
        board = figures["board"]
        table.add_row(kind, "firmware", "", "", f"{board['status']}, {board['worst']:.2g} off its own vectors")
        table.add_section()
    Console(file=sys.stdout, width=100).print(table)
