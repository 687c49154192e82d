"""Faults at random moments for minutes: no reading is lost or doubled, and board, hub and Keras forecast the same.

    python -m benchmarks.soak [--faults 200] [--boards 4] [--seed 1] [--version champion | --release FOLDER]

The hub is the real one (`python -m deployers.hub serve`), the boards are the firmware as programs of this machine, and
between each board and the hub is a proxy. A fault is one of: the link is cut; it is cut after some bytes, in the middle
of a frame; it stalls; the hub's process is killed and started again; a board's process is killed and started again. The
next one comes whether or not the last is over. In the end every reading that a board has taken must be in the hub's
store, once, as it was measured, and all forecasts there must be those of Keras over the same readings.

Without --version and --release a small network is trained first.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.soak_site import VERSION, Site, Subject
from deployers.conversion.budget import ConversionConfig
from deployers.conversion.cost import TYPES
from deployers.conversion.folder import write_conversion
from deployers.conversion.proof import prove
from deployers.exceptions import DeployerError, GateFailed
from deployers.lab.comparison import Live, compare
from deployers.lab.trial import RUNTIMES
from deployers.registry import fetch_release, open_release

ROOT = Path(__file__).resolve().parents[1]
_TRAIN = """
import sys
from pathlib import Path
from forecaster.genome import Candidate
from forecaster.gru.architecture import Recipe
from forecaster.model import train
from forecaster.release import write_release
from tests.synthetic import dataset
data, recipe = dataset(1600), Recipe(updates=40, batch=8, steps=32, burn_in=4)
trained = train(data, Candidate(("difference:1", "hour:1:sin"), "gru", 8, recipe), 40, 1, refit=True)
write_release(Path(sys.argv[1]), trained, data, {}, {"dataset_version": "soak"})
"""
# Seconds between two faults; a board that was cut off is back after one.
PAUSE = (0.05, 1.0)
STALL = (0.2, 3.0)
CUT_AFTER_BYTES = (1, 400)
WEIGHTS = {"cut": 30, "cut within a frame": 25, "stall": 15, "hub killed": 12, "board killed": 18}
SETTLE_SECONDS = 90.0
# Forecasts wait in a board's memory: what it has not sent is lost when it is killed, and so is what is beyond 16 while
# it has no link. Its readings are not, and the hub's own forecasts come later.
BOARD_SHARE, HUB_SHARE = 0.5, 0.99


@dataclass
class Found:
    """What came of it; `failed` has a line for each thing that is not as it should be."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    readings: int = 0
    connections: int = 0
    board_forecasts: int = 0
    hub_forecasts: int = 0
    compared: int = 0
    differences: dict[str, float] = field(default_factory=dict)
    tolerance: float = 0.0
    failed: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**self.__dict__, "faults": dict(self.faults)}


def main(arguments: list[str] | None = None) -> int:
    """Run, print what came of it; 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--boards", type=int, default=4)
    parser.add_argument("--compared", type=int, default=1000, help="forecasts of all three at least, at the end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--version", help="a registered version or alias, instead of a small network")
    parser.add_argument("--release", type=Path, help="a release folder, likewise")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="edgeloop-soak-") as scratch:
        folder = Path(scratch)
        try:
            subject = chosen_subject(folder, options.version, options.release)
            found = soak(subject, folder / "site", Load(options.faults, options.boards, options.compared), options.seed)
        except DeployerError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
    show(found)
    return 1 if found.failed else 0


def chosen_subject(folder: Path, version: str | None, release: Path | None) -> Subject:
    """A release and its conversion.

    Raises:
        DeployerError: there is none, or no type is within budget.
    """
    if version is not None:
        found = fetch_release(version, folder, "temperature-forecaster", None)
    else:
        found = open_release(small_release(folder / "release") if release is None else release)
    proof = prove(found.path, ConversionConfig(types=TYPES, mae_growth=0.5))
    write_conversion(found.path, proof, folder / "conversion", found.facts)
    return Subject(found.path, folder / "conversion")


def small_release(folder: Path) -> Path:
    """A network that has hardly been trained, as training writes it; in a process that keeps TensorFlow for itself."""
    subprocess.run([sys.executable, "-c", _TRAIN, str(folder)], check=True, cwd=ROOT, capture_output=True)  # noqa: S603
    return folder


@dataclass(frozen=True)
class Load:
    """How much.

    Attributes:
        faults: at random moments.
        boards: that send readings.
        compared: readings with a forecast of board and hub at least; it goes on without faults until then.
        readings_a_second: of each board.
    """

    faults: int = 200
    boards: int = 4
    compared: int = 1000
    readings_a_second: float = 2.0


def soak(subject: Subject, folder: Path, load: Load, seed: int) -> Found:
    """Faults at random moments, and what is in the store in the end.

    Args:
        subject: what runs.
        folder: of hub and boards; made here.
        load: how much.
        seed: of the moments and kinds of faults.

    Raises:
        DeployerError: hub or boards did not start.
    """
    found = Found(seed)
    site = asyncio.run(_run(subject, folder, load, found))
    for board in site.boards:
        _check_readings(site, board.supply.name, found)
    if not found.failed:
        for board in site.boards:
            _check_forecasts(site, subject, board.supply.name, found)
        _check_shares(found)
    return found


async def _run(subject: Subject, folder: Path, load: Load, found: Found) -> Site:
    draw = random.Random(found.seed)  # noqa: S311 - moments, not secrets
    started = time.monotonic()
    async with Site(subject, folder, load.boards, load.readings_a_second) as site:
        await site.wait(lambda: all(ring.acknowledged > 0 for ring in site.rings()), SETTLE_SECONDS)
        for _ in range(load.faults):
            await asyncio.sleep(draw.uniform(*PAUSE))
            kind = draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            await _cause(kind, site, draw)
            found.faults[kind] += 1
        found.seconds = round(time.monotonic() - started, 1)
        try:
            await _settle(site, load.compared)
        except TimeoutError:
            found.failed.append(f"not all has arrived {SETTLE_SECONDS} s after the last fault: {site.rings()}")
        found.connections = sum(link.connections for link in site.links)
    return site


async def _settle(site: Site, compared: int) -> None:
    """Until what the boards have now is acknowledged, the hub's forecasts have caught up, and there are enough."""
    due = [ring.next for ring in site.rings()]
    await site.wait(
        lambda: all(ring.acknowledged >= each for ring, each in zip(site.rings(), due, strict=True)), SETTLE_SECONDS
    )
    await site.wait_for_forecasts(compared, SETTLE_SECONDS)


async def _cause(kind: str, site: Site, draw: random.Random) -> None:
    number = draw.randrange(len(site.boards))
    link = site.links[number]
    match kind:
        case "cut":
            link.cut()
        case "cut within a frame":
            link.cut_after(draw.randint(*CUT_AFTER_BYTES))
        case "stall":
            link.stall(draw.uniform(*STALL))
        case "hub killed":
            site.hub.kill()
            site.hub.start()
        case _:
            for pid in site.boards[number].pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _check_readings(site: Site, board: str, found: Found) -> None:
    """Those that the board has taken, as they were measured, from the first on, each once."""
    stored, ring = site.stored_readings(board), site.ring(board)
    measured = [site.measured(board, number) for number in range(ring.next)]
    found.readings += len(stored)
    if len(stored) != len(set(stored)):
        found.failed.append(f"{board}: {len(stored) - len(set(stored))} readings are there twice")
    for number, (one, other) in enumerate(zip(stored, measured, strict=False)):
        if one != other:
            found.failed.append(f"{board}: reading {number} is {one!r}, measured was {other!r}")
            break
    if not ring.acknowledged <= len(stored) <= ring.next or ring.dropped:
        found.failed.append(f"{board}: {len(stored)} readings are stored, the board says {ring}")


def _check_forecasts(site: Site, subject: Subject, board: str, found: Found) -> None:
    live = Live(board, VERSION, tuple(site.stored_readings(board)), site.stored_forecasts(board))
    compared = compare(subject.release, live, subject.largest_celsius, site.folder / f"keras-{board}")
    found.compared += len(compared.trial.times)
    found.board_forecasts += len(live.forecasts["board"])
    found.hub_forecasts += len(live.forecasts["LiteRT"])
    found.tolerance = compared.tolerance
    for name in RUNTIMES[1:]:
        found.differences[name] = max(
            found.differences.get(name, 0.0), compared.trial.largest_difference("Keras", name)
        )
    try:
        compared.require(1)
    except GateFailed as error:
        found.failed.append(str(error))


def _check_shares(found: Found) -> None:
    made = {"boards": (found.board_forecasts, BOARD_SHARE), "hub": (found.hub_forecasts, HUB_SHARE)}
    for name, (count, share) in made.items():
        if count < share * found.readings:
            found.failed.append(
                f"{count} forecasts of the {name} at {found.readings} readings, expected {share:.0%} at least"
            )


def show(found: Found) -> None:
    """The summary."""
    kinds = ", ".join(f"{count} × {kind}" for kind, count in found.faults.most_common())
    print(f"{sum(found.faults.values())} faults in {found.seconds} s (seed {found.seed}): {kinds}")
    print(f"{found.connections} connections, {found.readings:,} readings stored")
    forecasts = f"board {found.board_forecasts:,}, hub {found.hub_forecasts:,}, both {found.compared:,}"
    print(f"forecasts: {forecasts}")
    for name, difference in found.differences.items():
        print(f"{name} – Keras: {difference:.2g} °C at most, allowed {found.tolerance:g}")
    for line in found.failed:
        print(f"FAILED: {line}")
    if not found.failed:
        print("no reading lost, none doubled, all forecasts agree")


if __name__ == "__main__":
    sys.exit(main())
