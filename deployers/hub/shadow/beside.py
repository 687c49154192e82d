"""Challengers that step behind the active model: at the same readings, in a thread of their own, at a bounded cost.

The active model's forecasts are on their way when challengers begin, and nothing that happens here reaches them. A
challenger that raises, or costs more than it may, steps no more; whoever looks after challengers is told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployers.exceptions import ServiceUnavailable
from deployers.hub.stepping import REBUILT_MAX, Job, Work, gather, step, timed
from deployers.hub.store.records import SHADOW, StoredForecast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deployers.hub.serving import Made, Model
    from deployers.hub.store import Store

_log = logging.getLogger(__name__)

# About so many of the last readings count in the mean cost, and before so many nothing is too expensive: the first step
# of a thread makes its interpreter.
WEIGHED = 200


@dataclass
class Running:
    """One challenger.

    Attributes:
        model: an instance of its own, with its own states.
        forgotten: series whose state is to be rebuilt.
        readings: stepped so far.
        seconds: CPU time of the thread that went into it, rebuilding included.
        microseconds: moving mean of the CPU time of a reading, without rebuilding.
        failure: why it steps no more.
    """

    model: Model
    forgotten: set[str] = field(default_factory=set)
    readings: int = 0
    seconds: float = 0.0
    microseconds: float = 0.0
    weighed: int = 0
    failure: str = ""

    def cost(self, seconds: float, readings: int, *, has_rebuilt: bool) -> None:
        """What a turn took."""
        self.seconds += seconds
        self.readings += readings
        if readings and not has_rebuilt:
            self.weighed += readings
            weight = max(readings / self.weighed, 1 - (1 - 1 / WEIGHED) ** readings)
            self.microseconds += weight * (1e6 * seconds / readings - self.microseconds)


class Beside:
    """All challengers of a hub, for one event loop.

    Args:
        store: has the readings, and takes the forecasts.
        cost_most: CPU time in µs that a challenger may take for a reading.
        on_kept: told how many forecasts were kept.
        on_failure: called when a challenger has failed.
        clock: seconds since 1970.
        cpu: seconds that the calling thread has computed.
    """

    def __init__(  # noqa: PLR0913 - each stands for itself
        self,
        store: Store,
        cost_most: float,
        on_kept: Callable[[float], None],
        on_failure: Callable[[], None],
        *,
        clock: Callable[[], float] = time.time,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._store, self._cost_most, self._on_kept, self._on_failure = store, cost_most, on_kept, on_failure
        self._clock, self._cpu = clock, cpu
        self.running: dict[int, Running] = {}
        self._thread: ThreadPoolExecutor | None = None

    def add(self, model: Model) -> None:
        """Step this one from now on; the instance is nobody else's."""
        self._thread = self._thread or ThreadPoolExecutor(1, "shadow")
        self.running[model.version] = Running(model)

    def remove(self, version: int) -> None:
        """Step it no more."""
        self.running.pop(version, None)

    def forget(self, series: str) -> None:
        """As `Live.forget`."""
        for each in self.running.values():
            each.forgotten.add(series)

    async def stop(self) -> None:
        """Let go of the thread."""
        thread, self._thread = self._thread, None
        self.running = {}
        if thread is not None:
            await asyncio.to_thread(thread.shutdown)

    async def turn(self, jobs: Sequence[Job], active: int) -> None:
        """Forecast at readings that the active model has been stepped at; never raises.

        Args:
            jobs: of the active model.
            active: its version, which is no challenger any more if it was one.
        """
        # As if they had come with the active model's: who compares both with readings takes things in this order, and
        # however slow a challenger is, no later readings stand between.
        now_ms = int(self._clock() * 1000)
        for each in list(self.running.values()):
            if each.failure or each.model.version == active:
                continue
            try:
                await self._step(each, [job for job in jobs if job.readings], now_ms)
            except ServiceUnavailable as error:
                _log.warning("challenger %d makes no forecast now: %s", each.model.version, error)
            except Exception as error:  # noqa: BLE001 - whatever a challenger does, the active model goes on
                _log.exception("challenger %d failed", each.model.version)
                self._fail(each, f"it failed: {type(error).__name__}: {error}")

    async def _step(self, running: Running, jobs: Sequence[Job], now_ms: int) -> None:
        model = running.model
        for series in running.forgotten.intersection(job.series for job in jobs):
            model.tracks.pop(series, None)
            running.forgotten.discard(series)
        cold = dict.fromkeys(job.series for job in jobs if job.series not in model.tracks)
        # Of the others the readings are found again in the store, when it is their turn to be rebuilt.
        waiting = set(list(cold)[REBUILT_MAX:])
        work = Work([job for job in jobs if job.series not in waiting], [model])
        if not work.jobs or self._thread is None:
            return
        await gather(work, self._store, SHADOW, model.version)
        made, seconds = await asyncio.get_running_loop().run_in_executor(self._thread, timed, work, step, self._cpu)
        readings = sum(len(job.readings) for job in work.jobs)
        running.cost(seconds, readings, has_rebuilt=any(work.histories.values()))
        await self._keep(work.jobs, made, now_ms)
        if running.weighed >= WEIGHED and running.microseconds > self._cost_most:
            mean, most = running.microseconds, self._cost_most
            self._fail(running, f"it costs {mean:.0f} µs of CPU time a reading, at most {most:g} are allowed")

    async def _keep(self, jobs: Sequence[Job], made: list[list[tuple[Model, Made]]], now_ms: int) -> None:
        kept = [
            StoredForecast(job.series, SHADOW, one.time_ms, model.version, 0, one.celsius, now_ms)
            for job, forecasts in zip(jobs, made, strict=True)
            for model, one in forecasts
        ]
        if kept:
            await self._store.keep_forecasts(kept)
            self._on_kept(len(kept))

    def _fail(self, running: Running, why: str) -> None:
        running.failure = why
        running.model.tracks.clear()
        self._on_failure()
