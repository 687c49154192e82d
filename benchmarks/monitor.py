"""What the hub's monitor finds, how soon, how often it is wrong, and what it costs.

    python -m benchmarks.monitor [--seeds 50] [--first 13] [--days 365] [--devices 500] [--hours 2] [--source FILE]

A small GRU is trained on a simulated room, and one on each measured sensor, and stepped by the hub's own code over
readings that it has not seen. The monitor sees those readings and forecasts at their own times:

healthy    a year of each simulated room, and what the measured sensors have after training: how often a series' state
           becomes graver although nothing is wrong
faults     each kind of fault once a seed, at a random moment: which share is found within a day, and after how long,
           beside the share of live skill that it costs in the first week; "none" is found by chance
cost       CPU seconds of the monitor on its store, with hundreds of devices

What is kept under build/bench/monitor is not computed again: a run that was cut off goes on. Results go to
build/bench/monitor.json. Exit code 1 where a figure falls short.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import monitor_cost
from benchmarks.monitor_figures import costs, failures, healthy, show, table
from benchmarks.monitor_replay import Lived, cost_events, live
from benchmarks.monitor_sites import CADENCE_MS, DAY_STEPS, FAULTS, measured, simulated
from benchmarks.monitor_subjects import trained
from deployers.protocol.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.monitor_sites import Site
    from benchmarks.monitor_subjects import Subject

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "build" / "bench" / "monitor.json"
REFERENCE = "house_temperatures_10min.csv.gz"
TRAINED_SEED, TRAINED_DAYS = 10_000, 60
YEAR = 365
UNSEEN = 13  # bounds of the monitor were chosen on the rooms before it
# Beside the monitor, what a device's replay depends on.
PARTS = (
    "benchmarks/monitor_replay.py",
    "benchmarks/monitor_sites.py",
    "benchmarks/monitor_subjects.py",
    "forecaster/sources/simulated.py",
)
MODE = 0o644


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, write the file; 1 if a figure falls short."""
    options = _options(arguments)
    folder = TARGET.parent / "monitor"
    folder.mkdir(parents=True, exist_ok=True)
    began, lived = time.process_time(), dict[str, list[Lived]]()
    seeds = list(range(options.first, options.first + options.seeds))
    subject = trained("simulated", simulated(TRAINED_SEED, YEAR).healthy, folder)
    lived["simulated"] = [
        _lived(partial(simulated, seed, options.days), subject, [seed], f"{options.days} {seed}", folder)
        for seed in seeds
    ]
    sites = measured(options.source, TRAINED_DAYS) if options.source.exists() else []
    for number, site in enumerate(sites):
        mine = seeds[number :: len(sites)]
        own = trained(site.name, site.healthy.part(0, site.begin), folder)
        place = partial(_itself, site)
        lived.setdefault("measured", []).append(_lived(place, own, mine, f"{site.name} {mine}", folder))
    everywhere = [each for group in lived.values() for each in group]
    found: dict[str, Any] = {
        "healthy": {source: healthy(each) for source, each in lived.items()},
        "faults": {source: table(each) for source, each in lived.items()},
        "costly": costs(everywhere),
        "costly_at_once": costs(everywhere, "day"),
        "watching": monitor_cost.measure(
            subject, *cost_events(simulated(1, 60), subject, folder), options.devices, options.hours
        ),
        "cpu_seconds": time.process_time() - began,
    }
    failed = found["failed"] = failures(found)
    show(found)
    write_whole(TARGET, json.dumps(found, indent=1).encode(), MODE)
    for line in failed:
        sys.stderr.write(f"monitor: {line}\n")
    return 1 if failed else 0


def _itself(site: Site) -> Site:
    return site


def _lived(site: Callable[[], Site], subject: Subject, seeds: list[int], about: str, folder: Path) -> Lived:
    """A device's replay, from the folder if this monitor was measured on it before."""
    kept = folder / f"lived-{_digest(subject.digest, about)}.json"
    if not kept.exists():
        place = site()
        found = live(place, subject, seeds, list(FAULTS), folder)
        write_whole(kept, json.dumps(asdict(found)).encode(), MODE)
        sys.stderr.write(f"monitor: {place.name}, {len(place.times) // DAY_STEPS} days\n")
    return Lived(**json.loads(kept.read_bytes()))


def _digest(*about: str) -> str:
    """Of what a result depends on: the monitor, the benchmark, and what it is asked."""
    sources = [*(ROOT / "deployers" / "hub" / "monitor").glob("*.py"), *(ROOT / name for name in PARTS)]
    digest = hashlib.sha256(repr(about).encode())
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _options(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50, help="how many")
    parser.add_argument("--first", type=int, default=UNSEEN, help="of them; bounds were chosen on those before 13")
    parser.add_argument("--days", type=int, default=YEAR, help="of each simulated room")
    parser.add_argument("--devices", type=int, default=monitor_cost.DEVICES)
    parser.add_argument("--hours", type=float, default=monitor_cost.HOURS, help="for which they are watched")
    default = Path(os.environ.get("EDGELOOP_REFERENCE") or ROOT.parent / "shared" / "data") / REFERENCE
    parser.add_argument("--source", type=Path, default=default, help="the measured readings; left out if not there")
    options = parser.parse_args(arguments)
    if options.hours < CADENCE_MS / 3_600_000:
        parser.error(f"--hours {options.hours:g} is less than a step, expected 0.17 or more")
    return options


if __name__ == "__main__":
    sys.exit(main())
