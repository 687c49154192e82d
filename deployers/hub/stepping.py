"""One turn of the hub's forecasts: many series stepped in one thread, the state of some of them rebuilt before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from deployers.hub.serving import Made, Model, Track
    from deployers.hub.store import StoredForecast

    Pairs = list[tuple[int, int]]  # (ms since 1970, micro-degrees)

EVER = 1 << 62  # ms, after any reading


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
