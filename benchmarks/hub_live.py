"""The hub's own forecasts: what one reading of one of many series costs, and how long a swap of models takes.

    python -m benchmarks.hub_live [--series 500] [--readings 20]

Every series gets a reading at once, as often as is asked, then the hub goes over to another model, for which the state
of each series is rebuilt from as many readings as a board replays. Nothing is written: what the store costs is
measured with the boards (benchmarks.hub_boards). For each type, a network of 16 units and four inputs.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from deployers.hub.catalogue import Catalogue
from deployers.hub.live import Live
from deployers.protocol.messages import Reading
from tests import hub_models

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deployers.hub.store import StoredForecast

# Of one core, for 500 series with a reading a second each.
BUDGET_PERCENT = 10.0
STEPS_STORED = 600


class Memory:
    """As much of a store as forecasts need, with a history that all series have."""

    def __init__(self) -> None:
        self.history = [Reading(*each) for each in hub_models.readings(STEPS_STORED)]
        self.kept = 0

    async def readings(self, _series: str, *, until_ms: int, last: int) -> list[Reading]:
        """The newest before a time."""
        return [each for each in self.history if each.time_ms < until_ms][-last:]

    async def forecasts(self, _series: str, **_: Any) -> list[StoredForecast]:
        """None."""
        return []

    async def keep_forecasts(self, new: Sequence[StoredForecast]) -> None:
        """Counts them."""
        self.kept += len(new)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the table; 1 if a figure falls short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=500)
    parser.add_argument("--readings", type=int, default=20, help="of each series")
    options = parser.parse_args(arguments)
    found = measure(options.series, options.readings)
    show(found)
    return 1 if found["failed"] else 0


def measure(series: int = 500, readings: int = 20) -> dict[str, Any]:
    """Figures of each type.

    Returns:
        Plain values for JSON; `failed` has a line for each figure that falls short.
    """
    types = {kind: asyncio.run(_one(kind, series, readings)) for kind in hub_models.CELLS}
    expected = f"for {series} readings a second, expected {BUDGET_PERCENT:g}"
    failed = [
        f"{kind}: {found['percent_of_a_core']:.1f} % of a core {expected}"
        for kind, found in types.items()
        if found["percent_of_a_core"] > BUDGET_PERCENT
    ]
    failed += [f"{kind}: forecasts are missing" for kind, found in types.items() if found["missing"]]
    return {"series": series, "readings": readings, "types": types, "failed": failed}


def show(found: dict[str, Any]) -> None:
    """The table."""
    table = Table(title=f"The hub's own forecasts of {found['series']} series")
    table.add_column("type")
    for column in ("CPU µs a reading", "% of a core at 1/s each", "swap s", "CPU s of it"):
        table.add_column(column, justify="right")
    for kind, row in found["types"].items():
        figures = (row["cpu_us"], row["percent_of_a_core"], row["swap_seconds"], row["swap_cpu_seconds"])
        table.add_row(kind, *(f"{figure:.2f}" for figure in figures))
    console = Console(file=sys.stdout, width=100)
    console.print(table)
    for line in found["failed"]:
        console.print(f"FAILED: {line}")


async def _one(kind: str, series: int, readings: int) -> dict[str, float]:
    store = Memory()
    with tempfile.TemporaryDirectory(prefix="edgeloop-bench-") as scratch:
        folder = Path(scratch)
        catalogue = Catalogue(folder / "models", hub_models.keys(folder / "keys"))
        live = Live(catalogue, store)  # type: ignore[arg-type] # as much of it as is needed
        await catalogue.open()
        for version in (1, 2):
            await catalogue.install(hub_models.upload(folder / str(version), version, hub_models.Kind(kind)))
        await live.start()
        try:
            return await _measured(catalogue, live, store, series, readings)
        finally:
            await live.stop()
            await catalogue.close()


async def _measured(catalogue: Catalogue, live: Live, store: Memory, series: int, readings: int) -> dict[str, float]:
    names = [f"series {number}" for number in range(series)]
    await catalogue.activate(1)
    await asyncio.gather(*(live.predict(name) for name in names))
    new = [Reading(*each) for each in hub_models.readings(readings, STEPS_STORED)]
    before = time.process_time()
    for each in new:
        await asyncio.gather(*(live.on_readings(name, [each]) for name in names))
    cpu = (time.process_time() - before) / (series * readings)
    before, began = time.process_time(), time.monotonic()
    await catalogue.activate(2)
    return {
        "cpu_us": 1e6 * cpu,
        "percent_of_a_core": 100 * cpu * series,
        "swap_seconds": time.monotonic() - began,
        "swap_cpu_seconds": time.process_time() - before,
        "missing": series * readings - store.kept,
    }


if __name__ == "__main__":
    sys.exit(main())
