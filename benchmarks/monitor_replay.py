"""A device in the field, replayed through the hub's monitor by the times of its readings: healthy, and with each fault.

A healthy replay goes on to its end. At each onset the watch of it is copied, and the copy sees the fault instead: what
it had learned until then is what a hub would have learned.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks.monitor_sites import CADENCE_MS, DAY_STEPS, injected
from benchmarks.monitor_subjects import VERSION, stepped
from deployers.hub.monitor.decay import Thresholds
from deployers.hub.monitor.levels import LEVELS
from deployers.hub.monitor.sensors import Limits
from deployers.hub.monitor.told import is_masked, standing
from deployers.hub.monitor.watch import Rules, Watch
from deployers.hub.settings import MonitorSection
from deployers.hub.store import StoredForecast, StoredReading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.monitor_sites import Doubles, Readings, Site
    from benchmarks.monitor_subjects import Subject
    from deployers.hub.monitor.levels import Finding

    Event = tuple[StoredReading, StoredForecast | None]

SETTLED_DAYS = 35  # in the field before a fault: by then every test has its reference
FAULTY_DAYS = 8
LOOK_EVERY = 6  # readings between two looks at a healthy device


class Stream(NamedTuple):
    """Readings, and in °C the forecast made at each, `(readings, horizon)`."""

    readings: Readings
    forecasts: Doubles


@dataclass
class Found:
    """What came of one fault at one onset.

    Attributes:
        hours: to the first test that is graver than at the onset; None if there is none.
        test, level: which one, and how grave.
        skill_day, skill_week: live skill of the day and of the week after the onset; None where persistence has none.
    """

    hours: float | None = None
    test: str | None = None
    level: str | None = None
    skill_day: float | None = None
    skill_week: float | None = None


@dataclass
class Lived:
    """What came of one device.

    Attributes:
        days: in the field, healthy.
        skill: over all of them.
        raised: day, level and test whenever its state became graver.
        faults: by onset, in days, what came of each fault.
        month_skill: by month in the field.
        state: of its watch at the end.
    """

    name: str
    days: float = 0.0
    skill: float | None = None
    raised: list[tuple[float, str, str]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    month_skill: list[float | None] = field(default_factory=list)
    state: str = ""


def rules() -> Rules:
    """Those of a hub whose settings were left as they are."""
    given = MonitorSection()
    thresholds = Thresholds.of(given.warning_days, given.alarm_days, given.reference_days)
    return Rules(thresholds, Limits(given.lowest_celsius, given.highest_celsius))


def onsets(site: Site, seeds: list[int]) -> list[tuple[int, int]]:
    """The reading at which a fault of each seed begins, at any time of day, in their order."""
    first, last = site.begin + SETTLED_DAYS * DAY_STEPS, len(site.times) - FAULTY_DAYS * DAY_STEPS - 1
    return sorted((int(np.random.default_rng([seed, 7]).integers(first, last)), seed) for seed in seeds)


def live(site: Site, subject: Subject, seeds: list[int], faults: list[str], folder: Path) -> Lived:
    """Replay a device, and a fault of each seed and kind on copies of it; forecasts are kept in the folder."""
    healthy = site.healthy.part(site.begin, len(site.times))
    stream = Stream(healthy, stepped(subject, healthy, None, folder))
    watch, lived = Watch(rules(), lambda _: subject.known), Lived(site.name, len(healthy.times) / DAY_STEPS)
    pending, level = onsets(site, seeds), "ok"
    for row, events in enumerate(_events(site.name, stream)):
        while pending and pending[0][0] == site.begin + row:
            lived.faults.append(_onset(site, subject, watch, pending.pop(0), faults, folder))
        _give(watch, events)
        if row % LOOK_EVERY == 0:
            now, cause = standing(watch.findings(events[0].received_ms))
            if LEVELS.index(now) > LEVELS.index(level):
                lived.raised.append((row / DAY_STEPS, now, cause.test if cause is not None else ""))
            level = now
    lived.skill = skill_of(stream.readings, stream.forecasts)
    month = 30 * DAY_STEPS
    lived.month_skill = [
        skill_of(healthy.part(at, at + month), stream.forecasts[at : at + month])
        for at in range(0, len(healthy.times) - month + 1, month)
    ]  # fmt: skip
    lived.state = watch.dump()
    return lived


def skill_of(readings: Readings, forecasts: Doubles, steps: int | None = None) -> float | None:
    """Live skill over all pairs of the first so many readings, as the monitor pairs them; None where nothing moved."""
    at = (readings.times - readings.times.min() + CADENCE_MS // 2) // CADENCE_MS
    grid = np.full(int(at.max()) + forecasts.shape[1] + 1, np.nan)
    grid[at] = readings.celsius
    ahead = np.stack([grid[at + step] for step in range(1, forecasts.shape[1] + 1)], axis=1)[:steps]
    known = np.isfinite(ahead) & np.isfinite(forecasts[:steps])
    model = np.abs(forecasts[:steps] - ahead)[known].sum()
    persistence = np.abs(readings.celsius[:steps, None] - ahead)[known].sum()
    return float(1 - model / persistence) if persistence > 0 else None


def cost(healthy: float | None, faulty: float | None) -> float:
    """The share of live skill that a fault costs; 1 or more where none is left, and where nothing moves any more."""
    if healthy is None or healthy <= 0:
        return 0.0
    return 1.0 if faulty is None else (healthy - faulty) / healthy


def _onset(  # noqa: PLR0913, PLR0917 - the device and the moment
    site: Site, subject: Subject, watch: Watch, onset: tuple[int, int], faults: list[str], folder: Path
) -> dict[str, Any]:
    at, seed = onset
    row, healthy = at - site.begin, site.healthy
    before, begun = healthy.part(site.begin, at), int(healthy.received[at])
    count, found = FAULTY_DAYS * DAY_STEPS, {}
    for fault in ("none", *(each for each in faults if each != "none")):
        readings = injected(site, fault, at, seed, count)
        stream = Stream(readings, stepped(subject, readings, before, folder))
        found[fault] = asdict(_watched(copy.deepcopy(watch), site.name, stream, begun))
    return {"seed": seed, "day": row / DAY_STEPS, "found": found}


def _watched(watch: Watch, name: str, stream: Stream, begun: int) -> Found:
    found = Found(
        skill_day=skill_of(stream.readings, stream.forecasts, DAY_STEPS),
        skill_week=skill_of(stream.readings, stream.forecasts, 7 * DAY_STEPS),
    )
    before = _standing(watch, begun)
    for events in _events(name, stream):
        _give(watch, events)
        now = events[0].received_ms
        worse = {test: level for test, level in _standing(watch, now).items() if level > before.get(test, 0)}
        if worse:
            test = max(worse, key=lambda each: worse[each])
            found.hours = (now - begun) / 3_600_000
            found.test, found.level = test, LEVELS[worse[test]]
            break
    return found


def _standing(watch: Watch, now_ms: int) -> dict[str, int]:
    findings: list[Finding] = watch.findings(now_ms)
    return {each.test: LEVELS.index(each.level) for each in findings if not is_masked(each, findings)}


def _events(name: str, stream: Stream) -> Iterator[Event]:
    """Each reading with the forecast that the hub makes at it."""
    (times, celsius, received), forecasts = stream
    micro = np.round(celsius * 1e6).astype(np.int64)
    rows = zip(times.tolist(), micro.tolist(), forecasts.tolist(), received.tolist(), strict=True)
    for number, (time_ms, value, ahead, received_ms) in enumerate(rows):
        reading = StoredReading(number, name, time_ms, value, received_ms)
        made = StoredForecast(name, "hub", time_ms, VERSION, 0, tuple(ahead), received_ms)
        yield reading, None if math.isnan(ahead[0]) else made


def _give(watch: Watch, events: Event) -> None:
    watch.reading(events[0])
    if events[1] is not None:
        watch.forecast(events[1])


def cost_events(site: Site, subject: Subject, folder: Path) -> tuple[str, list[Event]]:
    """For what watching costs: a watch's state once it has every reference, and what follows."""
    healthy = site.healthy.part(site.begin, len(site.times))
    stream = Stream(healthy, stepped(subject, healthy, None, folder))
    watch, events = Watch(rules(), lambda _: subject.known), list(_events(site.name, stream))
    settled = SETTLED_DAYS * DAY_STEPS
    for each in events[:settled]:
        _give(watch, each)
    return watch.dump(), events[settled:]
