"""`python -m deployers.lab up | down | status | logs | loop`."""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployers.exceptions import InputError
from deployers.lab.folder import LabFolder
from deployers.lab.marked import marked

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.lab.folder import LabSettings

KINDS = {"qemu": "mps2_an500", "native": "native"}
SHOWN_LINES = 40


class Finite(click.FloatRange):
    """A number within bounds; what is no number is within none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        found = float(super().convert(value, param, ctx))
        if math.isnan(found):
            self.fail(f"{value!r} is no number, expected one from {self.min} to {self.max}", param, ctx)
        return found


def board_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that `up` and `loop` share."""
    options = [
        click.option(
            "--jetson", type=click.Choice(["native", "arm64"]), default="native", show_default=True,
            help="This machine by an SSH server of its own, or an emulated aarch64 Debian (needs root).",
        ),
        click.option("--boards", type=click.IntRange(1, 64), default=1, show_default=True, help="How many."),
        click.option(
            "--board-kind", type=click.Choice(sorted(KINDS)), default="qemu", show_default=True,
            help="QEMU's Cortex-M7, or the firmware as a program of this machine.",
        ),
        click.option(
            "--minutes", type=Finite(0.1, 7 * 24 * 60), default=60.0, show_default=True,
            help="After which the lab ends by itself.",
        ),
        click.option("--fresh", is_flag=True, help="Forget what an earlier lab left: disks, keys and readings."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@click.command(
    epilog="""\b
Examples:
  python -m deployers.lab up
  python -m deployers.lab up --boards 2 --speed 600 --minutes 30
  python -m deployers.lab up --jetson arm64 --board-kind native --json
"""
)
@board_options
@click.option("--speed", type=Finite(0.1, 1e6), default=600.0, show_default=True, help="Seconds of the data a second.")
@click.option("--simulated", is_flag=True, help="Feed a simulated room and not the champion's test part.")
def up(  # noqa: PLR0913 - a command's options
    *, jetson: str, boards: int, board_kind: str, minutes: float, fresh: bool, as_json: bool, speed: float,
    simulated: bool,
) -> None:  # fmt: skip
    """Start a virtual Jetson and virtual boards, in the background."""
    from deployers.lab.up import new_settings, up  # noqa: PLC0415 - --help must not wait

    settings = new_settings(jetson=jetson, boards=boards, board_kind=KINDS[board_kind], speed=speed, minutes=minutes)
    state = up(LabFolder.from_environment(), settings, fresh=fresh, simulated=simulated)
    if as_json:
        click.echo(json.dumps(state))
        return
    for line in described(state):
        click.echo(line)
    click.echo("next: python -m deployers setup ; python -m deployers deploy ; python -m deployers.lab down")


@click.command(
    epilog="""\b
Examples:
  python -m deployers.lab loop
  python -m deployers.lab loop --readings 1000 --speed 36000 --minutes 20
  python -m deployers.lab loop --boards 2 --board-kind native --json
"""
)
@board_options
@click.option("--speed", type=Finite(0.1, 1e6), default=3600.0, show_default=True, help="Seconds of the data a second.")
@click.option(
    "--readings",
    type=click.IntRange(10, 20_000),
    default=60,
    show_default=True,
    help="Live ones, of each board, that board and hub are to forecast at.",
)
def loop(  # noqa: PLR0913 - a command's options
    *,
    jetson: str,
    boards: int,
    board_kind: str,
    minutes: float,
    fresh: bool,
    as_json: bool,
    speed: float,
    readings: int,
) -> None:
    """Lab up, setup, deploy, live readings; then compare the forecasts of board, hub and Keras."""
    from deployers.commands.progress import Stages  # noqa: PLC0415 - --help must not wait
    from deployers.lab.loop import STAGES, Stopwatch, turn  # noqa: PLC0415
    from deployers.lab.summary import show_turn  # noqa: PLC0415
    from deployers.lab.up import new_settings  # noqa: PLC0415

    settings = new_settings(jetson=jetson, boards=boards, board_kind=KINDS[board_kind], speed=speed, minutes=minutes)
    with Stages(STAGES, "loop", shown=not as_json) as stages:
        turned = turn(LabFolder.from_environment(), settings, readings, Stopwatch(stages.begin), fresh=fresh)
    if as_json:
        click.echo(json.dumps(turned.as_dict()))
    else:
        show_turn(turned)
    for comparison in turned.comparisons:
        comparison.require(readings)


@click.command()
@click.option("--remove", is_flag=True, help="Remove the lab's folder: disks, keys and readings.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def down(*, remove: bool, as_json: bool) -> None:
    """End the lab and everything that was started in it."""
    from deployers.lab.up import down  # noqa: PLC0415

    ended = down(LabFolder.from_environment(), remove=remove)
    if as_json:
        click.echo(json.dumps({"ended": ended}))
    else:
        click.echo("the lab is down" if ended else "no lab was up")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def status(*, as_json: bool) -> None:
    """Say whether a lab is up, and what its boards do."""
    folder = LabFolder.from_environment()
    state = folder.state() if folder.is_held() else None
    if as_json:
        click.echo(json.dumps({"up": state is not None, **(state or {})}))
        return
    for line in described(state) if state else [absence(folder)]:
        click.echo(line)


def absence(folder: LabFolder) -> str:
    """That there is no lab, and what an earlier one left that could not clean up."""
    settings = folder.settings()
    left = marked(settings.mark) if settings else []
    if folder.is_held():
        return "a lab is coming up or ending: repeat in a moment"
    if left:
        return f"no lab is up, but processes {left!r} of the last one are left: python -m deployers.lab down"
    return "no lab is up: python -m deployers.lab up"


@click.command()
@click.option("--board", "name", help="Of this board, such as board-1; of the lab itself if not given.")
@click.option("--lines", type=click.IntRange(1, 100_000), default=SHOWN_LINES, show_default=True, help="The last.")
def logs(*, name: str | None, lines: int) -> None:
    """Print the ends of the logs: daemon and SSH server, hub, or one board."""
    folder = LabFolder.from_environment()
    files = log_files(folder, name)
    if not any(file.exists() for file in files):
        known = sorted(each.name for each in (folder.path / "boards").glob("*"))
        do = f"expected one of {known}: give another --board" if known else "expected a lab: python -m deployers.lab up"
        msg = f"no log of {name or 'a lab'!r} in {str(folder.path)!r}, {do}"
        raise InputError(msg)
    for file in files:
        if file.exists():
            click.echo(f"== {file}")
            text = file.read_text(encoding="utf-8", errors="replace")
            click.echo("\n".join(text.splitlines()[-lines:]))


def log_files(folder: LabFolder, name: str | None) -> list[Path]:
    """Where to look."""
    if name is not None:
        if Path(name).name != name or name in {"", ".."}:
            msg = f"board {name!r} is no name of a board, expected one such as board-1: give another --board"
            raise InputError(msg)
        return [folder.board(name) / "board.log"]
    settings = folder.settings()
    return [folder.log, folder.sshd_log, *([hub_log(folder, settings)] if settings else [])]


def hub_log(folder: LabFolder, settings: LabSettings) -> Path:
    """That of the hub on the virtual Jetson, wherever its root folder is."""
    from deployers.lab.arm64 import root_of  # noqa: PLC0415

    root = root_of(folder) if settings.jetson == "arm64" else folder.root
    return root / "run" / "hub.log"


def described(state: dict[str, Any]) -> list[str]:
    """A lab in lines for people."""
    jetson = state["jetson"]
    left = max(0.0, state["ends"] - time.time()) / 60
    ends = datetime.fromtimestamp(state["ends"], UTC).astimezone()
    login = f"ssh -i {jetson['key_file']} -p {jetson['port']} {jetson['user']}@{jetson['host']}"
    lines = [
        f"virtual Jetson  {jetson['kind']}, root folder {jetson['root']}",
        f"login           {login}",
        f"inventory       {state['inventory']}",
        f"readings        {state['readings']}, {state['speed']:g} s of it a second",
        f"ends            by itself in {left:.0f} min, at {ends:%H:%M}",
    ]
    for board in state["boards"]:
        doing = "holds: its line or ring is full" if board["holding"] else "runs" if board["pid"] else "is starting"
        lines.append(
            f"{board['id']:<15} {board['kind']}, {doing}; {board['readings']} readings, "
            f"{board['acknowledged']} of them on the hub; started {board['starts']}×"
        )
    return lines
