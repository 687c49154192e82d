"""One turn of the hub's forecasts: many series stepped in one thread, the state of some of them rebuilt before."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from deployers.hub.serving import Made, Model, Track
    from deployers.hub.store import Store, StoredForecast

    Pairs = list[tuple[int, int]]  # (ms since 1970, micro-degrees)

EVER = 1 << 62  # ms, after any reading
# Forecasts missed while the hub was down that are made up for, of one series.
MISSED_MAX = 64
# Series whose state is rebuilt in one turn: each takes some milliseconds, in which the readings of all others wait.
REBUILT_MAX = 8


@dataclass(slots=True)
class Job:
    """Readings of one series that wait to be stepped; none of them: only its state is wanted."""

    series: str
    readings: Pairs
    done: asyncio.Future[list[StoredForecast]]


@dataclass(slots=True)
class Work:
    """What one turn of the thread does.

    Attributes:
        models: that step: the active one first, perhaps one that is prepared.
        histories: readings from which to rebuild a state, by model and series.
        missed: from which time on forecasts at these are kept, by series: they were missed when the hub was down.
    """

    jobs: list[Job]
    models: list[Model]
    histories: dict[tuple[int, str], Pairs] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)


async def gather(work: Work, store: Store, source: str, version: int | None = None) -> None:
    """Read what is needed for states that are not there: everything before the first reading that waits.

    After a start there may be readings that were stored, and the hub ended before the first model had forecast at them:
    behind the newest forecast of this source, and version if one is given.
    """
    first: dict[str, int] = {}
    for job in work.jobs:
        first[job.series] = min([first.get(job.series, EVER), *(time_ms for time_ms, _ in job.readings)])
    for series, until_ms in first.items():
        for model in work.models:
            if series not in model.tracks:
                work.histories[model.version, series] = await history(store, model, series, until_ms)
        if work.models and (before := work.histories.get((work.models[0].version, series))) is not None:
            latest = await store.forecasts(series, source=source, version=version, last=1)
            missed = [time_ms for time_ms, _ in before if latest and time_ms > latest[-1].time_ms]
            if 0 < len(missed) <= MISSED_MAX:
                work.missed[series] = missed[0]


async def history(store: Store, model: Model, series: str, until_ms: int) -> Pairs:
    """As many readings before a time as rebuild a model's state."""
    found = await store.readings(series, until_ms=until_ms, last=model.replay_readings)
    return [(each.time_ms, each.microcelsius) for each in found]


def step(work: Work) -> list[list[tuple[Model, Made]]]:
    """Rebuild states and step readings, in one thread; of each job the active model's forecasts."""
    made: list[list[tuple[Model, Made]]] = [[] for _ in work.jobs]
    if not work.models:
        return made
    active, first = work.models[0], {job.series: out for job, out in reversed(list(zip(work.jobs, made, strict=True)))}
    for model in work.models:
        for series, out in first.items():
            history = work.histories.get((model.version, series))
            if history:
                missed_ms = work.missed.get(series, EVER) if model is active else EVER
                model.tracks[series] = _rebuilt(model, history, missed_ms, out)
    for job, out in zip(work.jobs, made, strict=True):
        for model in work.models:
            if job.readings:
                forecasts = _track(model, job.series).push_all(job.readings)
                out += [(model, forecast) for forecast in forecasts if model is active]
    return made


def timed(
    work: Work,
    stepped: Callable[[Work], list[list[tuple[Model, Made]]]] = step,
    cpu: Callable[[], float] = time.thread_time,
) -> tuple[list[list[tuple[Model, Made]]], float]:
    """What `step` gives, and the seconds that this thread has computed for it, whatever else the machine did."""
    before = cpu()
    return stepped(work), cpu() - before


def _rebuilt(model: Model, history: Pairs, missed_ms: int, out: list[tuple[Model, Made]]) -> Track:
    """A track that has seen a history; forecasts from a time on are made up for."""
    track = model.track()
    track.replay(each for each in history if each[0] < missed_ms)
    out += [(model, made) for made in track.push_all(each for each in history if each[0] >= missed_ms)]
    return track


def _track(model: Model, series: str) -> Track:
    """Of a new series, of which the store has no readings before these, one is begun."""
    if series not in model.tracks:
        model.tracks[series] = model.track()
    return model.tracks[series]
