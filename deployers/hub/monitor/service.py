"""The monitor of a hub: looks at what has arrived since it last looked, and keeps what it found with its place.

It reads the store behind those who write it, in the order in which things arrived, and keeps its states, its days and
the place up to which they are worked out in one transaction. So a hub that is killed goes on where it was, and nothing
is counted twice. A turn costs the same number of statements however many series there are.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from deployers.conversion.features import decode_program
from deployers.exceptions import NotFound, ServiceUnavailable
from deployers.hub.monitor import told
from deployers.hub.monitor.decay import Thresholds
from deployers.hub.monitor.models import Carried, limits_of
from deployers.hub.monitor.pairing import FORECASTS_HELD, READINGS_HELD
from deployers.hub.monitor.restarted import Restarts
from deployers.hub.monitor.sensors import Limits
from deployers.hub.monitor.skill import DAY_MS, of_release
from deployers.hub.monitor.watch import Findings, Model, Rules, Watch
from deployers.hub.store.records import CHALLENGERS_MOST, SOURCES
from deployers.hub.store.watching import Arrivals, Cursor, DaySums, Remembered
from deployers.hub.turns import attempted
from deployers.protocol.image import TensorKind, TensorType

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.hub.catalogue import Catalogue
    from deployers.hub.settings import MonitorSection
    from deployers.hub.store import Store
    from deployers.protocol.image import ImageParts

EVERY_SECONDS = 2.0
LIMIT = 500  # readings, and forecasts, looked at together
# Where it never ran before, so many readings of the past are looked at.
PAST_READINGS = 100_000
DAYS_SHOWN = 90
# Forecasts at one reading: each challenger of the hub is a source of its own.
SOURCES_MOST = len(SOURCES) - 1 + CHALLENGERS_MOST
BITS = {TensorType.INT8: 8, TensorType.INT16: 16}


class Monitor:
    """Watches every series of a store.

    Args:
        store: has the readings and forecasts, and keeps what is found.
        catalogue: knows what each version was measured to do.
        settings: when to warn.
        clock: seconds since 1970.
    """

    def __init__(
        self, store: Store, catalogue: Catalogue, settings: MonitorSection, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._catalogue, self._settings, self._clock = store, catalogue, settings, clock
        thresholds = Thresholds.of(settings.warning_days, settings.alarm_days, settings.reference_days)
        self._rules = Rules(thresholds, Limits(settings.lowest_celsius, settings.highest_celsius))
        self._begun_ms = 0
        self._watches: dict[str, Watch] = {}
        self._models: dict[int, Model] = {}
        self._cursor: Cursor | None = None
        self._unkept: set[str] = set()
        self._unkept_days: dict[tuple[str, int, str, int], DaySums] = {}
        self._restarts = Restarts(store, catalogue)
        self._turning = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch, where it was left.

        Raises:
            ServiceUnavailable: the store does not answer.
        """
        if not self._settings.enabled or self._task is not None:
            return
        self._cursor = await self._store.watch_cursor(PAST_READINGS)
        self._begun_ms = self._now_ms()
        for name, state in (await self._store.watch_states()).items():
            self._watches[name] = self._new(state)
        self._task = asyncio.create_task(self._forever(), name="monitor")

    async def stop(self) -> None:
        """Finish the turn under way."""
        task, self._task = self._task, None
        if task is not None:
            async with self._turning:
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._restarts.stop()

    async def turn(self) -> bool:
        """Look at what has arrived, and keep what comes of it.

        Returns:
            Whether there may be more.

        Raises:
            ServiceUnavailable: the store does not answer; what was found is kept by the next turn.
        """
        async with self._turning:
            if self._cursor is None:
                return False
            found = await self._store.arrivals(self._cursor, LIMIT)
            await self._recall(found)
            self._cursor = await asyncio.to_thread(self._look, found, self._cursor)
            if self._unkept:
                await self._keep(self._cursor)
            return LIMIT in (len(found.readings), len(found.forecasts))

    async def check_state(self) -> None:
        """Compare the state of one series with a rebuilt one, if one is due: each is once a day.

        Raises:
            ServiceUnavailable: the store does not answer; it is still due.
        """
        name = next((name for name, watch in self._watches.items() if watch.is_state_due), None)
        if name is None:
            return
        try:
            found = await self._restarts.at_newest(name)
        except ServiceUnavailable:
            raise
        except Exception:
            self._watches[name].compare_state(None)  # others have their turn before it is tried again
            raise
        async with self._turning:
            self._watches[name].compare_state(found)
            self._unkept.add(name)

    async def devices(self) -> list[dict[str, Any]]:
        """Every series, those in trouble first."""
        async with self._turning:
            now = self._now_ms()
            return sorted((told.row(name, watch, now) for name, watch in self._watches.items()), key=told.order)

    async def seen(self) -> list[told.Seen]:
        """Every series as it stands, worked out beside the event loop."""
        async with self._turning:
            now = self._now_ms()
            return await asyncio.to_thread(lambda: [told.seen(*each, now) for each in sorted(self._watches.items())])

    async def findings(self) -> dict[str, Findings]:
        """What every test says of every series now, worked out beside the event loop."""
        async with self._turning:
            now = self._now_ms()
            return await asyncio.to_thread(lambda: {name: _findings(each, now) for name, each in self._watches.items()})

    def carried(self, series: str) -> Carried | None:
        """The challenger that a board carried last; beside a turn under way it may be some forecasts behind."""
        watch = self._watches.get(series)
        return watch.state.carried if watch is not None and watch.state.carried.version else None

    async def forget_carried(self, version: int) -> None:
        """Have boards that carry this challenger compared from the beginning."""
        async with self._turning:
            for name, watch in self._watches.items():
                if watch.state.carried.version == version:
                    watch.state.carried = Carried()
                    self._unkept.add(name)

    async def device(self, series: str) -> dict[str, Any]:
        """One series with its tests and its last days.

        Raises:
            NotFound: nothing has been seen of it.
            ServiceUnavailable: the store does not answer.
        """
        watch = self._watches.get(series)
        if watch is None:
            msg = f"series {series!r} is not watched, expected one of GET /monitor: send readings of it"
            raise NotFound(msg)
        newest = (watch.state.last_ms or 0) // DAY_MS
        days = await self._store.watch_days(series, newest - DAYS_SHOWN)
        async with self._turning:
            return told.detail(series, watch, days, self._now_ms(), self._tested(watch))

    async def _forever(self) -> None:
        while True:
            more = await attempted(self.turn, "the monitor")
            if not more:
                await attempted(self.check_state, "the monitor's comparison of states")
            await asyncio.sleep(0 if more else EVERY_SECONDS)

    async def _recall(self, found: Arrivals) -> None:
        """After a start, what pairs are made of: once a series, when something of it arrives."""
        names = {each.series for each in found.readings} | {each.forecast.series for each in found.forecasts}
        for name in names:
            watch = self._watches.setdefault(name, self._new(""))
            if not watch.is_recalled and watch.state.last_ms is not None:
                until = watch.state.last_ms + 1
                readings = await self._store.readings(name, until_ms=until, last=READINGS_HELD)
                forecasts = await self._store.forecasts(name, until_ms=until, last=SOURCES_MOST * FORECASTS_HELD)
                watch.recall(readings, forecasts)

    def _look(self, found: Arrivals, cursor: Cursor) -> Cursor:
        """Give everything to its watch in the order of arrival; where that is not known, stop.

        One list may end early because it was cut off: what the other one has beyond waits for the next turn.
        """
        readings, forecasts = found
        cut = [len(readings) == LIMIT, len(forecasts) == LIMIT]
        at = made = 0
        while at < len(readings) or made < len(forecasts):
            if (at == len(readings) and cut[0]) or (made == len(forecasts) and cut[1]):
                break
            is_reading = made == len(forecasts) or (
                at < len(readings) and readings[at].received_ms <= forecasts[made].forecast.received_ms
            )
            if is_reading:
                name = readings[at].series
                self._watches[name].reading(readings[at])
                at, cursor = at + 1, cursor._replace(reading=readings[at].id)
            else:
                name = forecasts[made].forecast.series
                self._watches[name].forecast(forecasts[made].forecast)
                made, cursor = made + 1, cursor._replace(forecast=forecasts[made].id)
            self._unkept.add(name)
        return cursor

    async def _keep(self, cursor: Cursor) -> None:
        for name in self._unkept:
            for day in self._watches[name].take_changed():
                self._unkept_days[name, day.day, day.source, day.version] = day
        states = {name: self._watches[name].dump() for name in self._unkept}
        days = [(name, day) for (name, *_), day in self._unkept_days.items()]
        await self._store.remember(Remembered(cursor, states, days))
        self._unkept.clear()
        self._unkept_days.clear()

    def _new(self, state: str) -> Watch:
        return Watch(self._rules, self._model_of, state, self._begun_ms)

    def _model_of(self, version: int) -> Model | None:
        """What is known of a version; None of one that is not installed."""
        if version not in self._models:
            try:
                self._models[version] = _model(self._catalogue, version)
            except NotFound:
                return None
        return self._models[version]

    def _tested(self, watch: Watch) -> dict[str, Any] | None:
        """The test error of the version that is judged."""
        window = watch.window(watch.judged)
        if window is None or self._model_of(window.version) is None:
            return None
        report = self._catalogue.installed(window.version).fidelity
        metrics: dict[str, Any] = report["types"][report["chosen"]]["metrics"]
        return metrics

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _findings(watch: Watch, now_ms: int) -> Findings:
    window = watch.window(watch.judged)
    return Findings(watch.findings(now_ms), watch.state.last_ms, window.version if window is not None else None)


def _model(catalogue: Catalogue, version: int) -> Model:
    """What is known of a version.

    Raises:
        NotFound: it is not installed.
    """
    view, installed = catalogue.view(version), catalogue.installed(version)
    return Model(
        view.cadence_seconds * 1000,
        of_release(installed.fidelity),
        view.agreement_celsius,
        _limits(installed.parts),
    )


def _limits(parts: ImageParts) -> tuple[float, float] | None:
    """What the outputs of an image's integers can say; None of float32."""
    output = next((each for each in parts.tensors if each.kind is TensorKind.Y), None)
    if output is None or output.type not in BITS:
        return None
    program, _ = decode_program(parts.program)
    return limits_of(output.scale, output.zero_point, BITS[output.type], program.target_scale)
