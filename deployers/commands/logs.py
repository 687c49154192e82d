"""`python -m deployers logs`: what hubs and boards wrote down."""

from __future__ import annotations

import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from deployers.commands.deploying import INVENTORY, LIMIT, inventory_of, reach
from deployers.exceptions import DeployerError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deployers.connectors.base import Connector
    from deployers.site import Site

PAUSE_SECONDS = 1.0
# The lines after byte $2 of a file, and its size; a file that became shorter is a new one.
TAIL = """
test -e "$1" || { echo 0; exit 0; }
size=$(wc -c < "$1")
from=$2
if [ "$from" -lt 0 ]; then from=0; lines=$3; elif [ "$from" -gt "$size" ]; then from=0; fi
echo "$size"
if [ -n "${lines:-}" ]; then head -c "$size" "$1" | tail -n "$lines"; exit; fi
head -c "$size" "$1" | tail -c +$((from + 1))
"""


@click.command(
    epilog="""\b
Examples:
  python -m deployers logs
  python -m deployers logs --board board-1 --follow
  python -m deployers logs --limit kitchen --lines 200
"""
)
@INVENTORY
@LIMIT
@click.option("--board", help="The log that a board keeps, instead of the hub's.")
@click.option("--lines", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The last ones.")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C.")
def logs(*, inventory: Path | None, limit: tuple[str, ...], board: str | None, lines: int, follow: bool) -> None:
    """Print the log of the hubs, or of a board behind one."""
    from deployers.deployment.selection import select  # noqa: PLC0415 - --help must not wait

    found, chosen = inventory_of(inventory, limit)
    if board is not None:
        chosen = tuple(each for each in select(found) if board in each.boards)
        if not chosen:
            msg = f"--board {board!r} is no board of {str(found.path)!r}, expected one of its ids: give another"
            raise InputError(msg)
    sources = [_source(each.jetson, board, lines) for each in chosen]
    try:
        _print(sources, named=len(sources) > 1, follow=follow)
    finally:
        for connector, _ in sources:
            connector.close()


def _print(sources: list[tuple[Connector, Iterator[list[str]]]], *, named: bool, follow: bool) -> None:
    names = [f"{connector.name}: " if named else "" for connector, _ in sources]
    while True:
        for name, (_, batches) in zip(names, sources, strict=True):
            for line in next(batches):
                click.echo(f"{name}{line}")
        if not follow:
            return
        time.sleep(PAUSE_SECONDS)


def _source(jetson: Any, board: str | None, lines: int) -> tuple[Connector, Iterator[list[str]]]:
    """The connector to a Jetson, and what is new in its log each time it is asked."""
    from deployers.site import Site  # noqa: PLC0415

    there = reach()
    connector = there.connect(jetson)
    try:
        site = Site.of(jetson, there.gather(connector, jetson))
    except DeployerError:
        connector.close()
        raise
    if board is not None:
        return connector, board_lines(lambda: _board_log(connector, site, board), lines)
    return connector, _unit_lines(connector, lines) if site.systemd else file_lines(connector, site, lines)


def _board_log(connector: Connector, site: Site, board: str) -> list[str]:
    from deployers.deployment.carry import answer_of  # noqa: PLC0415

    command = site.hub("ctl", "log", "--board", board)
    return [str(line) for line in answer_of(connector.name, command, connector.run(command)).get("lines", [])]


def board_lines(ask: Callable[[], list[str]], lines: int) -> Iterator[list[str]]:
    """The last lines of a board's log, and then those that it did not have before.

    A board keeps the last bytes of its log, so an older answer and a newer one overlap: what is new begins after the
    longest end of the older one that the newer one has.
    """
    before = ask()
    yield before[-lines:]
    while True:
        now = ask()
        yield new_lines(before, now)
        before = now


def new_lines(before: list[str], now: list[str]) -> list[str]:
    """The lines of `now` after what `before` ends with; all of them if nothing overlaps."""
    for begin in range(len(before)):
        end = before[begin:]
        for place in range(len(now) - len(end), -1, -1):
            if now[place : place + len(end)] == end:
                return now[place + len(end) :]
    return now


def file_lines(connector: Connector, site: Site, lines: int) -> Iterator[list[str]]:
    """The last lines of the hub's file, and then what it grew by."""
    from deployers.connectors.base import require  # noqa: PLC0415
    from deployers.connectors.command import script  # noqa: PLC0415

    offset, path = -1, PurePosixPath(site.root) / "run" / "hub.log"
    while True:
        command = site.as_account(script(TAIL, path, str(offset), str(lines)))
        size, _, text = require(connector, command).text.partition("\n")
        offset = int(size)
        yield text.splitlines()


def _unit_lines(connector: Connector, lines: int) -> Iterator[list[str]]:
    """The last lines that systemd has of the unit, and then what came after its cursor."""
    from deployers.connectors.base import require  # noqa: PLC0415
    from deployers.connectors.command import Command  # noqa: PLC0415
    from deployers.facts import UNIT  # noqa: PLC0415

    which: tuple[str, ...] = ("-n", str(lines))
    while True:
        words = ("journalctl", "-u", UNIT, "-o", "cat", "--no-pager", "--show-cursor", *which)
        text = require(connector, Command(words)).text.splitlines()
        cursor = next((line.removeprefix("-- cursor: ") for line in text if line.startswith("-- cursor: ")), "")
        which = ("--after-cursor", cursor) if cursor else which
        yield [line for line in text if not line.startswith("-- ")]
