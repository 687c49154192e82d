"""What the hub on a Jetson takes and gives: forecasts by REST, its own forecasts, and boards in their hundreds.

    python -m benchmarks.hub [--boards 500] [--seconds 30] [--rounds 3]

The parts run one after the other: `benchmarks.hub_rest`, `benchmarks.hub_live` and `benchmarks.hub_boards`, which say
what they measure. Results go to build/bench/hub.json. Exit code 1 where a figure falls short.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import hub_boards, hub_live, hub_rest

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "build" / "bench" / "hub.json"


def main(arguments: list[str] | None = None) -> int:
    """Measure all parts, print the tables, write the file; 1 if a figure falls short."""
    options = _options(arguments)
    found = {"rest": hub_rest.measure(rounds=options.rounds)}
    hub_rest.show(found["rest"])
    found["live"] = hub_live.measure()
    hub_live.show(found["live"])
    found["boards"] = hub_boards.measure(options.boards, options.seconds)
    hub_boards.show(found["boards"])
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 1 if any(part["failed"] for part in found.values()) else 0


def _options(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=30, help="that the boards send")
    parser.add_argument("--rounds", type=int, default=3, help="of load for each server")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
