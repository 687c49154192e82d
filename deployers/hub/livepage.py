"""What the page shows of one series: lines of a bounded length, the newest forecasts, and how far forecasts were off.

Pure functions over sorted arrays; times are ms since 1970 by the readings' own clock, values °C.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from deployers.hub.store import StoredForecast
    from deployers.protocol.messages import Reading

    Doubles = NDArray[np.float64]
    Integers = NDArray[np.int64]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Each line has at most the lowest and the highest point of so many equal stretches of time.
STRETCHES = 300
POINTS_MOST = 2 * STRETCHES
VERSIONS_MOST = 6
# Cadences are told apart by this; a board's clock and a reading's jitter lie within half of one.
SECOND_MS = 1000


@dataclass(frozen=True)
class Measured:
    """Readings of one series.

    Attributes:
        times: ms, shape (readings,), rising.
        celsius: shape (readings,).
    """

    times: Integers
    celsius: Doubles

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> Measured:
        """From what the store gives, in order of time."""
        times = np.array([item.time_ms for item in readings], np.int64)
        return cls(times, np.array([item.microcelsius for item in readings], np.float64) / 1e6)

    def joined(self, newer: Measured, most: int) -> Measured:
        """Both, each time once and the newer value of it, the last `most`."""
        times, places = _joined(self.times, newer.times, most)
        return Measured(times, np.concatenate([self.celsius, newer.celsius])[places])


@dataclass(frozen=True)
class Made:
    """Forecasts of one series by one source.

    Attributes:
        times: ms of the reading they were made at, shape (forecasts,), rising.
        versions: image versions that made them, likewise.
        states: slot states then, likewise.
        celsius: shape (forecasts, horizon); NaN beyond a shorter horizon.
    """

    times: Integers
    versions: Integers
    states: Integers
    celsius: Doubles

    @classmethod
    def of(cls, forecasts: Sequence[StoredForecast]) -> Made:
        """From what the store gives; of two versions at one reading the higher one counts."""
        best = {item.time_ms: item for item in sorted(forecasts, key=lambda item: (item.time_ms, item.version))}
        horizon = max((len(item.celsius) for item in best.values()), default=0)
        celsius = np.full((len(best), horizon), np.nan)
        for row, item in enumerate(best.values()):
            celsius[row, : len(item.celsius)] = item.celsius
        fields = np.array([(item.time_ms, item.version, item.slot_state) for item in best.values()], np.int64)
        times, versions, states = fields.reshape(-1, 3).T
        return cls(times, versions, states, celsius)

    @property
    def horizon(self) -> int:
        """Steps ahead."""
        return int(self.celsius.shape[1])

    def of_version(self, version: int) -> Made:
        """Only those that one version made."""
        wanted = self.versions == version
        return Made(self.times[wanted], self.versions[wanted], self.states[wanted], self.celsius[wanted])

    def joined(self, newer: Made, most: int) -> Made:
        """Both, each time once and the newer forecast of it, the last `most`."""
        times, places = _joined(self.times, newer.times, most)
        width = max(self.horizon, newer.horizon)
        celsius = np.concatenate([_widened(self.celsius, width), _widened(newer.celsius, width)])[places]
        pairs = ((self.versions, newer.versions), (self.states, newer.states))
        versions, states = (np.concatenate(pair)[places] for pair in pairs)
        return Made(times, versions, states, celsius)


@dataclass(frozen=True)
class View:
    """What a viewer chose to see.

    Attributes:
        span_ms: how far back from the newest reading.
        lead: steps ahead, from 1, of the forecasts in the lines.
        cadence_ms: one step.
    """

    span_ms: int
    lead: int
    cadence_ms: int

    @property
    def stretch_ms(self) -> int:
        """Length of a stretch of which a line shows two points at most."""
        return -(-(self.span_ms + self.lead * self.cadence_ms) // (STRETCHES - 1))

    def start_ms(self, newest_ms: int) -> int:
        """Where the lines begin; stretches begin at whole multiples of their length, so that they stay in place."""
        return _floor(newest_ms - self.span_ms, self.stretch_ms)


def cadence_ms(times: Integers) -> int:
    """One step, guessed: the median of what lies between readings, in whole seconds; 0 if there are not two."""
    if len(times) < 2:
        return 0
    return max(SECOND_MS, round(float(np.median(np.diff(times))) / SECOND_MS) * SECOND_MS)


def chart(measured: Measured, made: Mapping[str, Made], view: View) -> dict[str, Any]:
    """The lines of the chart, whole.

    Args:
        measured: readings, at least one.
        made: forecasts by their source.
        view: what is to be seen.

    Returns:
        window_start_ms, stretch_ms, lines (by name, each a list of [ms, °C] in order of time).
    """
    start = view.start_ms(int(measured.times[-1]))
    lines = {"readings": _thinned(measured.times, measured.celsius, start, view.stretch_ms)}
    for source, forecasts in made.items():
        lines[source] = _thinned(*at_lead(forecasts, view), start, view.stretch_ms)
    return {"window_start_ms": start, "stretch_ms": view.stretch_ms, "lines": lines}


def part(whole: dict[str, Any], since_ms: int | None) -> dict[str, Any]:
    """Of a chart, what may have changed since the viewer's newest reading; all of it if there is none.

    Returns:
        window_start_ms, lines as in the chart, from_ms (`lines` take the place of everything from there on; None means
        that they are all), kept (points of each line before it, by which a viewer knows that it lacks none).
    """
    begin = None if since_ms is None else _floor(since_ms, whole["stretch_ms"])
    lines = whole["lines"]
    kept = {name: 0 if begin is None else bisect_left(line, [begin]) for name, line in lines.items()}
    return {
        "window_start_ms": whole["window_start_ms"],
        "from_ms": begin,
        "kept": kept,
        "lines": {name: line[kept[name] :] for name, line in lines.items()},
    }


def at_lead(made: Made, view: View) -> tuple[Integers, Doubles]:
    """The forecasts of `view.lead` steps ahead, and the times that they are for."""
    if view.lead > made.horizon:
        return made.times[:0], np.empty(0)
    return made.times + view.lead * view.cadence_ms, made.celsius[:, view.lead - 1]


def newest(made: Made, cadence: int) -> dict[str, Any] | None:
    """The newest forecast, each step with the time that it is for; None if there is none."""
    if not len(made.times):
        return None
    time, values = int(made.times[-1]), made.celsius[-1]
    return {
        "time_ms": time,
        "version": int(made.versions[-1]),
        "slot_state": int(made.states[-1]),
        "values": [
            [time + (step + 1) * cadence, _rounded(value)] for step, value in enumerate(values) if np.isfinite(value)
        ],
    }


def error(measured: Measured, made: Made, cadence: int, span_ms: int = DAY_MS) -> dict[str, Any] | None:
    """Mean absolute error of the forecasts of the last span, beside that of persistence for the same pairs.

    A pair is a forecast's step and the reading nearest to the time that it is for, within half a step. Persistence
    forecasts the reading that the forecast was made at.

    Returns:
        count of pairs, span_ms that they cover, model and persistence in °C, by_lead with the same of each step; None
        without a pair.
    """
    if not len(made.times) or not len(measured.times) or cadence <= 0:
        return None
    recent = made.times >= measured.times[-1] - span_ms
    origins, forecasts = made.times[recent], made.celsius[recent]
    leads = np.arange(1, made.horizon + 1)
    base = _at(measured, origins, 0)[:, None]
    truth = _at(measured, origins[:, None] + leads * cadence, cadence // 2)
    apart = np.stack([np.abs(forecasts - truth), np.abs(base - truth)])
    apart[:, np.isnan(apart).any(axis=0)] = np.nan
    counts = np.isfinite(apart[0]).sum(axis=0)
    if not counts.any():
        return None
    return {
        "count": int(counts.sum()),
        "span_ms": int(measured.times[-1] - origins[np.isfinite(apart[0]).any(axis=1)][0]),
        **_means(apart, int(counts.sum())),
        "by_lead": [
            {"lead": int(lead), "ahead_ms": int(lead) * cadence, "count": int(number), **_means(column, int(number))}
            for lead, number, column in zip(leads, counts, np.moveaxis(apart, 2, 0), strict=True)
        ],
    }


def error_by_version(measured: Measured, made: Made, cadence: int) -> list[dict[str, Any]]:
    """The same of each image version, the newest first, for all of its forecasts that are given.

    Days differ in how hard they are to forecast: a version is to be judged beside the persistence of its own pairs.
    """
    rows = []
    for version in np.unique(made.versions)[::-1][:VERSIONS_MOST]:
        found = error(measured, made.of_version(int(version)), cadence, int(measured.times[-1]))
        if found is not None:
            wanted = ("count", "span_ms", "model", "persistence")
            rows.append({"version": int(version), **{name: found[name] for name in wanted}})
    return rows


def _means(apart: Doubles, number: int) -> dict[str, float | None]:
    """Model's and persistence's means over all pairs."""
    sums = np.nansum(apart.reshape(2, -1), axis=1)
    return {
        name: round(float(total) / number, 6) if number else None
        for name, total in zip(("model", "persistence"), sums, strict=True)
    }


def _at(measured: Measured, times: Integers, tolerance: int) -> Doubles:
    """The reading nearest to each time; NaN where none is within the tolerance."""
    right = np.clip(np.searchsorted(measured.times, times), 0, len(measured.times) - 1)
    left = np.maximum(right - 1, 0)
    is_left = np.abs(measured.times[left] - times) < np.abs(measured.times[right] - times)
    place = np.where(is_left, left, right)
    near = np.abs(measured.times[place] - times) <= tolerance
    return np.where(near, measured.celsius[place], np.nan)


def _thinned(times: Integers, celsius: Doubles, start: int, stretch: int) -> list[list[float]]:
    """Points from `start` on: the lowest and the highest of each stretch, so that no peak is lost."""
    wanted = (times >= start) & np.isfinite(celsius)
    times, celsius = times[wanted], celsius[wanted]
    number = times // stretch
    order = np.lexsort((celsius, number))
    firsts = np.flatnonzero(np.diff(number[order], prepend=-1))
    lasts = np.append(firsts[1:], len(order))[: len(firsts)] - 1
    chosen = np.unique(order[np.concatenate([firsts, lasts])])
    return [[int(time), _rounded(value)] for time, value in zip(times[chosen], celsius[chosen], strict=True)]


def _rounded(value: float) -> float:
    return round(float(value), 4)


def _floor(time_ms: int, length: int) -> int:
    return time_ms // length * length


def _joined(old: Integers, new: Integers, most: int) -> tuple[Integers, Integers]:
    """Times of both without doubles, and the place of each in old + new; of equal times the later place."""
    reverse = np.concatenate([old, new])[::-1]
    times, places = np.unique(reverse, return_index=True)
    return times[-most:], (len(reverse) - 1 - places)[-most:]


def _widened(celsius: Doubles, width: int) -> Doubles:
    return np.pad(celsius, ((0, 0), (0, width - celsius.shape[1])), constant_values=np.nan)
