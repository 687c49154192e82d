"""The hub's own forecast at every reading, and answers to those who ask for one.

One task takes all readings that wait, has them stepped in one thread, and has the forecasts kept: what costs time is
paid once for many series. The state of a series is carried in the model (`Model.tracks`), and rebuilt from the store
where there is none: after a start, a correction of stored readings, or for a model that is about to become active.

While a model is being prepared, both step: the one that answers, and the one that comes. When the catalogue swaps
them, the new one has the state of every live series, and has seen every reading that the old one has. Challengers step
behind the active model, when its forecasts are on their way already (shadow/beside.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployers.exceptions import InputError, NotFound, ServiceUnavailable
from deployers.hub.serving import replayed
from deployers.hub.stepping import EVER, REBUILT_MAX, Job, Work, gather, history, step, timed
from deployers.hub.store import StoredForecast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from deployers.hub.catalogue import Catalogue
    from deployers.hub.serving import Made, Model
    from deployers.hub.shadow.beside import Beside
    from deployers.hub.stepping import Pairs
    from deployers.hub.store import Store
    from deployers.protocol.messages import Reading

_log = logging.getLogger(__name__)

# Readings given with a question that are stepped through in the event loop: a few milliseconds; more go to a thread.
INLINE_READINGS = 200
READINGS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer.

    Attributes:
        series: of which it is, None for readings that were given.
        version: of the model.
        made_at_ms: grid point of the last reading, ms since 1970.
        cadence_seconds: from one step to the next.
        celsius: °C, one a step.
    """

    series: str | None
    version: int
    made_at_ms: int
    cadence_seconds: int
    celsius: tuple[float, ...]

    @property
    def source(self) -> str:
        """Where the readings came from."""
        return "given" if self.series is None else "stored"


class Live:
    """The hub's forecasts, for one event loop.

    Args:
        catalogue: knows the active model; its `prepare` is set here.
        store: has the readings, and takes the forecasts.
        clock: seconds since 1970.

    Attributes:
        beside: steps challengers at the same readings; None without any.
    """

    def __init__(self, catalogue: Catalogue, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._catalogue, self._store, self._clock = catalogue, store, clock
        self._coming: Model | None = None
        self._waiting: deque[Job] = deque()
        self._forgotten: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._keeping: set[asyncio.Task[None]] = set()
        self._thread: ThreadPoolExecutor | None = None
        self._askers: ThreadPoolExecutor | None = None
        self._readings, self._seconds, self._computed = 0, 0.0, 0.0
        catalogue.prepare = self._prepare
        self.beside: Beside | None = None

    async def start(self) -> None:
        """Begin to forecast."""
        self._thread = ThreadPoolExecutor(1, "live")
        self._askers = ThreadPoolExecutor(1, "predict")
        self._task = asyncio.create_task(self._forever(), name="live forecasts")

    async def stop(self) -> None:
        """Finish what is being stepped; who still waits is told that the hub stops."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await asyncio.gather(*self._keeping)
        self._refuse(self._waiting)
        self._waiting.clear()
        for pool in (self._thread, self._askers):
            if pool is not None:
                await asyncio.to_thread(pool.shutdown)
        self._thread = self._askers = None

    async def on_readings(self, series: str, readings: Sequence[Reading]) -> list[StoredForecast]:
        """Forecast at readings that are stored, and keep the forecasts.

        Args:
            series: of these readings.
            readings: in the order in which they came.

        Returns:
            What was made, when it is kept: none at readings that came before, nor without an active model.

        Raises:
            ServiceUnavailable: the store does not take the forecasts, or does not give the readings before these.
        """
        if self._catalogue.active is None:
            return []
        return await self._queued(series, [(each.time_ms, each.microcelsius) for each in readings])

    def forget(self, series: str) -> None:
        """Have the state of a series rebuilt when it is next used: its stored readings have changed."""
        self._forgotten.add(series)
        if self.beside is not None:
            self.beside.forget(series)

    def figures(self) -> dict[str, float]:
        """Live series, readings stepped so far, µs that each took and that were computed, and readings that wait."""
        active = self._catalogue.active
        return {
            "series": float(len(active.tracks)) if active else 0.0,
            "readings": float(self._readings),
            "microseconds_per_reading": 1e6 * self._seconds / max(1, self._readings),
            "cpu_microseconds_per_reading": 1e6 * self._computed / max(1, self._readings),
            "waiting": float(sum(len(job.readings) for job in self._waiting)),
        }

    async def predict(
        self,
        series: str | None = None,
        readings: Pairs | None = None,
        steps: int | None = None,
        version: int | None = None,
    ) -> Prediction:
        """The forecast after the last reading.

        Args:
            series: whose stored readings to forecast from; or
            readings: (ms since 1970, micro-degrees) in the order of time.
            steps: how many; all if not given.
            version: which model; the active one if not given.

        Raises:
            NotFound: no such version, or no readings of this series.
            InputError: more steps than the model has, neither or both of series and readings, or too many readings.
            ServiceUnavailable: no model is active.
        """
        model = self._active() if version is None else await self._catalogue.model(version)
        wanted = _require_steps(model, steps)
        if (series is None) == (readings is None):
            msg = "neither or both of series and readings, expected one of them: name a series, or give its readings"
            raise InputError(msg)
        if series is not None:
            made = self.carried(model, series) or await self._of_series(model, series)
        else:
            made = await self._of_readings(model, readings or [])
        celsius = made.celsius[:wanted]
        return Prediction(series, model.version, made.grid_ms, model.program.cadence_seconds, celsius)

    def carried(self, model: Model, series: str) -> Made | None:
        """The latest forecast of a live series, None if its state is not carried or no longer right."""
        track = model.tracks.get(series)
        return None if track is None or series in self._forgotten else track.last

    async def forecast_at(self, series: str, time_ms: int, version: int) -> tuple[float, ...] | None:
        """The hub's own forecast at one stored reading: °C, as it was kept, or made now by replay.

        Args:
            series: of the reading.
            time_ms: of the reading.
            version: whose forecast; it need not be active.

        Returns:
            None where that model makes none at this reading, or the reading is not stored.

        Raises:
            NotFound: no such version.
        """
        kept = await self._store.forecasts(
            series, source="hub", version=version, since_ms=time_ms, until_ms=time_ms + 1, last=1
        )
        if kept:
            return kept[0].celsius
        model = await self._catalogue.model(version)
        before = await history(self._store, model, series, time_ms + 1)
        track = await self._asked(replayed, model, before)
        return track.last.celsius if track.last is not None and track.last.time_ms == time_ms else None

    def _active(self) -> Model:
        if self._catalogue.active is None:
            msg = "no model is active, expected one that forecasts: deploy one, or activate an installed version"
            raise ServiceUnavailable(msg)
        return self._catalogue.active

    async def _of_series(self, model: Model, series: str) -> Made:
        if model is self._catalogue.active:
            await self._queued(series, [])
            track = model.tracks.get(series)
        else:
            track = await self._asked(replayed, model, await history(self._store, model, series, EVER))
        if track is None or track.last is None:
            msg = f"series {series!r} has no stored readings: expected one from GET /temperatures/series, give another"
            raise NotFound(msg)
        return track.last

    async def _of_readings(self, model: Model, readings: Pairs) -> Made:
        if not 1 <= len(readings) <= READINGS_MAX:
            msg = f"{len(readings)!r} readings, expected 1 to {READINGS_MAX}: give the latest ones"
            raise InputError(msg)
        few = len(readings) <= INLINE_READINGS
        track = replayed(model, readings) if few else await self._asked(replayed, model, readings)
        assert track.last is not None  # noqa: S101 - the first reading of a series is always taken
        return track.last

    async def _asked(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self._askers is None:
            raise _stopped()
        return await asyncio.get_running_loop().run_in_executor(self._askers, work, *arguments)

    async def _queued(self, series: str, readings: Pairs) -> list[StoredForecast]:
        if self._task is None:
            raise _stopped()
        job = Job(series, readings, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._wake.set()
        return await job.done

    async def _forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            jobs = self._next()
            try:
                await self._turn(jobs)
            except asyncio.CancelledError:
                self._refuse(jobs)
                raise
            except Exception as error:  # noqa: BLE001 - each waiting caller gets it
                _fail(jobs, error)
            else:
                if self.beside is not None and self._catalogue.active is not None:
                    await self.beside.turn(jobs, self._catalogue.active.version)

    def _next(self) -> list[Job]:
        """All that waits, but of series without a state only a few: the others would wait for the rebuilding of all."""
        models, cold = self._models(), set[str]()
        jobs, later = list[Job](), deque[Job]()
        for job in self._waiting:
            if job.series not in cold and not self._is_carried(job.series, models):
                if len(cold) == REBUILT_MAX:
                    later.append(job)
                    continue
                cold.add(job.series)
            jobs.append(job)
        self._waiting = later
        if later:
            self._wake.set()
        return jobs

    def _is_carried(self, series: str, models: list[Model]) -> bool:
        return series not in self._forgotten and all(series in model.tracks for model in models)

    def _models(self) -> list[Model]:
        """Those that step: the active one first, perhaps one that is prepared."""
        if self._coming is self._catalogue.active:
            self._coming = None
        return [each for each in (self._catalogue.active, self._coming) if each is not None]

    async def _turn(self, jobs: list[Job]) -> None:
        """Step what waits, and leave the forecasts to be kept while others step."""
        work = Work(jobs, self._models())
        self._forget(work)
        await gather(work, self._store, "hub")
        made = await self._stepped(work)
        task = asyncio.create_task(self._keep(jobs, made), name="keep the hub's forecasts")
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    def _forget(self, work: Work) -> None:
        for series in self._forgotten.intersection(job.series for job in work.jobs):
            for model in work.models:
                model.tracks.pop(series, None)
            self._forgotten.discard(series)

    async def _stepped(self, work: Work) -> list[list[tuple[Model, Made]]]:
        if self._thread is None:
            raise _stopped()
        before = time.perf_counter()
        made, computed = await asyncio.get_running_loop().run_in_executor(self._thread, timed, work, step)
        self._seconds += time.perf_counter() - before
        self._computed += computed
        self._readings += sum(len(job.readings) for job in work.jobs)
        return made

    async def _keep(self, jobs: list[Job], made: list[list[tuple[Model, Made]]]) -> None:
        now = int(self._clock() * 1000)
        kept = [
            [StoredForecast(job.series, "hub", m.time_ms, model.version, 0, m.celsius, now) for model, m in forecasts]
            for job, forecasts in zip(jobs, made, strict=True)
        ]
        try:
            together = [forecast for forecasts in kept for forecast in forecasts]
            if together:
                await self._store.keep_forecasts(together)
        except Exception as error:  # noqa: BLE001 - each waiting caller gets it
            _fail(jobs, error)
            return
        for job, forecasts in zip(jobs, kept, strict=True):
            if not job.done.done():
                job.done.set_result(forecasts)

    async def _prepare(self, model: Model) -> None:
        """Give a model the state of every live series, one after the other, while readings go on."""
        before = self._catalogue.active
        if self._task is None or before is None:
            return
        self._coming = model
        try:
            asked = set[str]()  # once each: one whose stored readings are all gone has no state any more
            while missing := [each for each in list(before.tracks) if each not in model.tracks and each not in asked]:
                for series in missing:
                    await self._queued(series, [])
                asked.update(missing)
        except BaseException:
            self._coming = None
            raise

    @staticmethod
    def _refuse(jobs: Iterable[Job]) -> None:
        _fail(jobs, _stopped())


def _require_steps(model: Model, steps: int | None) -> int:
    horizon = model.program.horizon
    if steps is not None and not 1 <= steps <= horizon:
        msg = f"steps is {steps!r}: version {model.version!r} forecasts 1 to {horizon}, give one of these"
        raise InputError(msg)
    return horizon if steps is None else steps


def _fail(jobs: Iterable[Job], error: Exception) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_exception(error)


def _stopped() -> ServiceUnavailable:
    return ServiceUnavailable("the hub does not forecast now, it starts or stops: ask again in some seconds")
