"""Command line of the lab: what needs hardware, without it.

    python -m deployers.lab try
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from deployers.lab.firmware import PROGRAMS

if TYPE_CHECKING:
    from deployers.lab.trial import Trial

SHOWN = 6


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """What needs hardware, without it: a virtual board on this machine."""


@main.command("try")
@click.option("--version", "reference", default="champion", show_default=True, help="Version number or alias in MLflow.")
