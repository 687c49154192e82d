"""What viewers of the page are shown: taken from the hub's parts at most once a second, however many look."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from deployers.hub import livepage, pagerows
from deployers.hub.livepage import Made, Measured, View
from deployers.hub.store.records import ANSWERING, LATEST_MS, VALUES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.hub.context import Hub
    from deployers.hub.store import Store

FRESH_SECONDS = 1.0
# Counting all readings is not for every second; a new series is seen at once if it is a board.
NAMES_SECONDS = 15.0
# Late readings and forecasts lie before what is asked for in between.
WHOLE_SECONDS = 60.0
SERIES_MOST = 16
READINGS_MOST = 20_000
FORECASTS_MOST = 5_000
NAMES_MOST = 1_000
NAME_MAX = 129  # user/tag
# How far before the newest known time the next question begins: a forecast is stored a moment after its reading.
OVERLAP_STEPS = 3
FALLBACK_OVERLAP_MS = 60_000
MILLISECONDS = 1000


class Wish(BaseModel):
    """What one viewer asks for.

    Attributes:
        series: its name; None takes the first that has readings.
        hours: how far back.
        lead: steps ahead; None takes the furthest.
        since: time of the newest reading that the viewer has of this, ms.
        names: stamp of the names of series that the viewer has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    series: Annotated[str | None, Field(max_length=NAME_MAX)] = None
    hours: Literal["1", "6", "24", "168"] = "24"
    lead: Annotated[int | None, Field(ge=1, le=VALUES_MAX)] = None
    since: Annotated[int | None, Field(ge=0, le=LATEST_MS)] = None
    names: Annotated[str | None, Field(max_length=8)] = None


@dataclass
class Recent:
    """The newest readings and forecasts of one series, in memory.

    Attributes:
        made: forecasts by their source.
        whole_at: when all of it was last read, by the viewing's clock.
        fresh_at: when it was last asked for what is new.
        shown: what viewers of this have been shown since, by hours and lead.
    """

    measured: Measured = field(default_factory=lambda: Measured.of([]))
    made: dict[str, Made] = field(default_factory=lambda: {source: Made.of([]) for source in ANSWERING})
    whole_at: float = float("-inf")
    fresh_at: float = float("-inf")
    shown: dict[tuple[int, int | None], dict[str, Any]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def view(self, store: Store, series: str, now: float, step_ms: int, wish: Wish) -> dict[str, Any]:
        """The series as the viewer wants it, chart and all; worked out once for all who want the same."""
        async with self.lock:
            if now >= self.fresh_at + FRESH_SECONDS:
                await self._refresh(store, series, now, step_ms)
            key = int(wish.hours), wish.lead
            if key not in self.shown:
                # Thousands of points take milliseconds, in which boards and others want to be heard.
                self.shown[key] = await asyncio.to_thread(_shown, self.measured, self.made, *key, step_ms)
            return self.shown[key]

    async def _refresh(self, store: Store, series: str, now: float, step_ms: int) -> None:
        """Read what is new, or everything from time to time."""
        is_whole = now >= self.whole_at + WHOLE_SECONDS
        since = self._since(step_ms) if not is_whole else None
        readings = Measured.of(await store.readings(series, since_ms=since, last=READINGS_MOST))
        made = {
            source: Made.of(await store.forecasts(series, source=source, since_ms=since, last=FORECASTS_MOST))
            for source in ANSWERING
        }
        if is_whole:
            self.measured, self.made, self.whole_at = readings, made, now
        else:
            self.measured = self.measured.joined(readings, READINGS_MOST)
            self.made = {source: self.made[source].joined(made[source], FORECASTS_MOST) for source in ANSWERING}
        self.fresh_at, self.shown = now, {}

    def _since(self, step_ms: int) -> int | None:
        if not len(self.measured.times):
            return None
        return int(self.measured.times[-1]) - max(OVERLAP_STEPS * step_ms, FALLBACK_OVERLAP_MS)


class Viewing:
    """Answers viewers.

    Args:
        hub: whose parts are shown.
        clock: seconds, rising.
        wall: seconds since 1970.
    """

    def __init__(
        self, hub: Hub, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._hub, self._clock, self._wall = hub, clock, wall
        self._recent: OrderedDict[str, Recent] = OrderedDict()
        self._names: list[str] = []
        self._names_at = float("-inf")
        self._names_lock = asyncio.Lock()
        self._tables: dict[str, Any] = {}
        self._tables_at = float("-inf")

    async def answer(self, wish: Wish) -> dict[str, Any]:
        """Everything that a viewer sees but the role, which is the viewer's own.

        Raises:
            ServiceUnavailable: the store does not answer.
        """
        names = await self._series_names()
        stamp = f"{zlib.crc32(chr(10).join(names).encode()):08x}"
        return {
            "now_ms": round(self._wall() * MILLISECONDS),
            "series": names if stamp != wish.names else None,
            "series_stamp": stamp,
            "chosen": await self._chosen(wish, names),
            **self._all_tables(),
        }

    async def _series_names(self) -> list[str]:
        async with self._names_lock:
            now = self._clock()
            if now >= self._names_at + NAMES_SECONDS:
                self._names, self._names_at = [view.series for view in await self._hub.store.series()], now
        boards = {device.id for device in self._hub.boards.devices() if device.last_seen_ms is not None}
        return sorted(boards.union(self._names))[:NAMES_MOST]

    def _all_tables(self) -> dict[str, Any]:
        now = self._clock()
        if now >= self._tables_at + FRESH_SECONDS:
            catalogue = self._hub.catalogue
            active = catalogue.active.version if catalogue.active is not None else None
            way_back = catalogue.way_back_of(active) if active is not None else None
            self._tables = {
                **pagerows.device_rows(self._hub.boards.devices(), active),
                **pagerows.model_rows(catalogue.models(), active, way_back),
                "jobs": pagerows.job_rows(self._hub.jobs.list()),
            }
            self._tables_at = now
        return self._tables

    async def _chosen(self, wish: Wish, names: list[str]) -> dict[str, Any] | None:
        if not names:
            return None
        first = next(iter(self._names), names[0])  # one with readings, if any has
        series = wish.series if wish.series in names else first
        recent = self._recent.setdefault(series, Recent())
        self._recent.move_to_end(series)
        if len(self._recent) > SERIES_MOST:
            self._recent.popitem(last=False)
        shown = await recent.view(self._hub.store, series, self._clock(), self._step_ms(), wish)
        since = wish.since if wish.series == series else None
        whole = shown["chart"]
        return {"series": series, **shown, "chart": livepage.part(whole, since) if whole else None}

    def _step_ms(self) -> int:
        """One step of the active model; 0 without one."""
        active = self._hub.catalogue.active
        return active.cadence_ms if active is not None else 0


def _shown(measured: Measured, made: dict[str, Made], hours: int, wanted: int | None, step_ms: int) -> dict[str, Any]:
    """A series as it is shown; chart is None where it has no readings."""
    step = step_ms or livepage.cadence_ms(measured.times)
    horizon = max(forecasts.horizon for forecasts in made.values())
    lead = min(wanted or horizon, horizon) or 1
    view = View(hours * livepage.HOUR_MS, lead, step)
    return {
        "horizon": horizon,
        "lead": lead,
        "cadence_ms": step,
        "chart": livepage.chart(measured, made, view) if len(measured.times) else None,
        "newest": {source: livepage.newest(forecasts, step) for source, forecasts in made.items()},
        "error": {source: livepage.error(measured, forecasts, step) for source, forecasts in made.items()},
        "versions": {
            source: livepage.error_by_version(measured, forecasts, step) for source, forecasts in made.items()
        },
    }
