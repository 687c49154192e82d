"""What watching costs: the hub's real monitor on its real store, hundreds of devices at their cadence, in CPU seconds.

Readings of all devices come spread over the cadence, each with the hub's forecast, and the monitor looks every two
seconds of their time as it does in a hub, whether or not something has come, and compares the state of one device with
a rebuilt one where that is due: of each device once, as on a day. What is measured is the CPU time of all threads of
this process during its turns; readings and forecasts are written between them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks.monitor_sites import CADENCE_MS
from benchmarks.monitor_subjects import AGREEMENT, KIND
from deployers.hub.monitor.service import EVERY_SECONDS, Monitor
from deployers.hub.settings import MonitorSection
from deployers.hub.store import Store, StoredForecast, StoredReading
from deployers.hub.store.watching import Cursor, Remembered
from deployers.protocol.messages import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.monitor_subjects import Subject

    Event = tuple[StoredReading, StoredForecast | None]

DEVICES, HOURS = 500, 2.0
MOST_SHARE = 0.10


class Shelf:
    """What the monitor asks of a catalogue, for the one version that runs."""

    def __init__(self, subject: Subject) -> None:
        self._subject, self.active = subject, subject.model

    def view(self, _: int) -> Any:
        """How often it forecasts, and how closely."""
        return SimpleNamespace(cadence_seconds=self._subject.model.program.cadence_seconds, agreement_celsius=AGREEMENT)

    def installed(self, _: int) -> Any:
        """Its report, and no integers."""
        return SimpleNamespace(fidelity={"days": self._subject.days, "chosen": KIND}, parts=SimpleNamespace(tensors=()))


def measure(subject: Subject, state: str, events: Sequence[Event], devices: int, hours: float) -> dict[str, Any]:
    """Watch devices for hours of their time.

    Args:
        subject: whose forecasts they are.
        state: of a watch that has every reference, from which all of them go on.
        events: what one device measures and forecasts after that; all devices do.
        devices, hours: how many, how long.
    """
    with TemporaryDirectory(prefix="edgeloop-monitor-") as folder:
        url = f"sqlite:///{Path(folder) / 'hub.db'}"
        return asyncio.run(_measured(url, subject, state, events[: round(hours * 3_600_000 / CADENCE_MS)], devices))


async def _measured(url: str, subject: Subject, state: str, events: Sequence[Event], devices: int) -> dict[str, Any]:
    names, now = [f"device-{number}" for number in range(devices)], [events[0][0].received_ms / 1000]
    catalogue: Any = Shelf(subject)
    async with Store(url, lambda: now[0]) as store:
        past = await _past(store, names, events[0], subject.model.replay_readings)
        await store.remember(Remembered(past, dict.fromkeys(names, state), []))
        monitor = Monitor(store, catalogue, MonitorSection(), lambda: now[0])
        await monitor.start()
        await monitor.stop()
        cpu = turns = 0.0
        per_cadence = round(CADENCE_MS / 1000 / EVERY_SECONDS)
        for event in events:
            for turn in range(per_cadence):
                share = slice(turn * devices // per_cadence, (turn + 1) * devices // per_cadence)
                now[0] += EVERY_SECONDS
                await _arrive(store, names[share], event)
                began = time.process_time()
                while await monitor.turn():
                    turns += 1
                await monitor.check_state()
                cpu, turns = cpu + time.process_time() - began, turns + 1
        seen = sum(row["last_ms"] == events[-1][0].time_ms for row in await monitor.devices())
        said = [each for found in (await monitor.findings()).values() for each in found.findings]
        counts = [each.numbers["compared"] for each in said if each.test == "state"]
        compared = sum(count for count in counts if isinstance(count, int))
    seconds = len(events) * CADENCE_MS / 1000
    return {
        "devices": devices, "hours": seconds / 3600, "turns": int(turns), "cpu_seconds": cpu,
        "share": cpu / seconds, "seen": seen, "states_compared": compared, "state_bytes": len(state),
    }  # fmt: skip


async def _past(store: Store, names: Sequence[str], event: Event, count: int) -> Cursor:
    """As many readings as rebuild a state, and a forecast at the newest; the monitor has seen them."""
    reading, made = event
    assert made is not None  # noqa: S101 - the room's readings lack none
    for step in range(count, 0, -1):
        time_ms = reading.time_ms - step * CADENCE_MS
        await store.keep([(name, Reading(time_ms, reading.microcelsius)) for name in names])
    await store.keep_forecasts([replace(made, series=name, time_ms=time_ms) for name in names])
    return Cursor(count * len(names), len(names))


async def _arrive(store: Store, names: Sequence[str], event: Event) -> None:
    if not names:
        return
    reading, made = event
    await store.keep([(name, Reading(reading.time_ms, reading.microcelsius)) for name in names])
    if made is not None:
        await store.keep_forecasts([replace(made, series=name) for name in names])
