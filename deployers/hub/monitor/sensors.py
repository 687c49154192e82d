"""What goes wrong with a sensor, or on its way: a value that stays, one out of range, readings that lack, a clock.

Each test takes one reading at a time and keeps a few numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployers.hub.monitor.levels import Finding, Level, Verdict, moved

if TYPE_CHECKING:
    from deployers.hub.store import StoredReading

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
WELL_AGAIN = 6  # readings in a row without the fault that end it


@dataclass(frozen=True)
class Limits:
    """What a sensor may measure, in °C."""

    lowest: float
    highest: float


@dataclass
class Stuck(Verdict):
    """A value that does not change.

    A room may be as still as its sensor is coarse, so what is too long is learned: three times the longest that was
    seen of this sensor, at least six hours, at most a day; a day until two weeks were seen.

    Attributes:
        microcelsius, since_ms, count: the value that holds, since when, and how many readings in a row.
        longest_ms: the longest that a value has held before it changed.
        first_ms: time of the first reading.
        moving: changes in a row since a fault.
    """

    microcelsius: int | None = None
    since_ms: int = 0
    count: int = 0
    longest_ms: int = 0
    first_ms: int | None = None
    moving: int = 0

    LEAST_MS, MOST_MS, LEARNED_MS = 6 * HOUR_MS, DAY_MS, 14 * DAY_MS
    LEAST_READINGS = 12
    TIMES_LONGEST = 3

    def reading(self, reading: StoredReading, held_ms: int) -> None:
        """A reading; `held_ms` is how long the value of the one before held."""
        if self.first_ms is None:
            self.first_ms = reading.time_ms
        if reading.microcelsius == self.microcelsius:
            self.count, self.moving = self.count + 1, 0
            self._judge(reading.time_ms)
            return
        if self.level == "ok":
            self.longest_ms = max(self.longest_ms, held_ms)
        self.microcelsius, self.since_ms, self.count = reading.microcelsius, reading.time_ms, 1
        self.moving += 1
        if self.level != "ok" and self.moving >= WELL_AGAIN:
            self.become("ok", reading.time_ms)

    def limit_ms(self, now_ms: int) -> int:
        """How long a value may hold."""
        if self.first_ms is None or now_ms - self.first_ms < self.LEARNED_MS:
            return self.MOST_MS
        return min(self.MOST_MS, max(self.LEAST_MS, self.TIMES_LONGEST * self.longest_ms))

    def finding(self) -> Finding:
        """What it says now."""
        held = "" if self.microcelsius is None else f"stuck at {self.microcelsius / 1e6:g} °C for {self.count} readings"
        numbers = {"readings": self.count, "since_ms": self.since_ms, "longest_hours": self.longest_ms / HOUR_MS}
        return Finding("stuck", "sensor", self.level, self.changed_ms, held if self.level != "ok" else "", {**numbers})

    def _judge(self, now_ms: int) -> None:
        limit, held = self.limit_ms(now_ms), now_ms - self.since_ms
        if self.count < self.LEAST_READINGS or held < limit:
            return
        self.become("alarm" if held >= 2 * limit else "warning", now_ms)


@dataclass
class OutOfRange(Verdict):
    """Values that the sensor cannot mean: one warns, three in a row alarm."""

    outside: int = 0
    inside: int = 0
    worst: float | None = None

    ALARM = 3

    def reading(self, reading: StoredReading, limits: Limits) -> None:
        """A reading."""
        if limits.lowest <= reading.celsius <= limits.highest:
            self.outside, self.inside = 0, self.inside + 1
            if self.inside >= WELL_AGAIN:
                self.become("ok", reading.time_ms)
            return
        self.outside, self.inside, self.worst = self.outside + 1, 0, reading.celsius
        is_alarm = self.outside >= self.ALARM or self.level == "alarm"
        self.become("alarm" if is_alarm else "warning", reading.time_ms)

    def finding(self, limits: Limits) -> Finding:
        """What it says now."""
        reason = f"{self.worst} °C, expected {limits.lowest:g} to {limits.highest:g} °C" if self.level != "ok" else ""
        numbers = {"celsius": self.worst, "lowest": limits.lowest, "highest": limits.highest}
        return Finding("range", "sensor", self.level, self.changed_ms, reason, {**numbers})


@dataclass
class Gaps(Verdict):
    """Readings that lack: as a share of the last day, and none at all for longer than usual.

    Attributes:
        missing: readings that lack, each weighing less by e a day.
        received_ms: when the newest came.
    """

    missing: float = 0.0
    received_ms: int | None = None

    WARNING, ALARM = 0.1, 0.3
    SILENT_STEPS, SILENT_MS, SILENT_ALARM_MS = 3, 30 * MINUTE_MS, DAY_MS
    MISSING_MOST = 2.0  # days: what lacked longer ago does not hold the state for weeks

    def reading(self, reading: StoredReading, apart_ms: int, cadence_ms: int) -> None:
        """A reading, `apart_ms` after the one before it."""
        self.received_ms = reading.received_ms
        a_day = DAY_MS / cadence_ms
        lacking = max(0, round(apart_ms / cadence_ms) - 1)
        self.missing = min(self.MISSING_MOST * a_day, self.missing * math.exp(-apart_ms / DAY_MS) + lacking)
        self.become(moved(self.level, self.missing / a_day, self.WARNING, self.ALARM), reading.time_ms)

    def finding(self, cadence_ms: int, now_ms: int, begun_ms: int) -> Finding:
        """What it says now.

        Args:
            cadence_ms: one step; 0 if it is not known.
            now_ms: by the hub's clock.
            begun_ms: when the hub began to look: it knows of no silence before.
        """
        share = self.missing * cadence_ms / DAY_MS
        silent = now_ms - max(self.received_ms or 0, begun_ms) if self.received_ms is not None and cadence_ms else 0
        numbers = {"missing_share": round(share, 4), "silent_seconds": max(0, silent) // 1000}
        if silent > max(self.SILENT_STEPS * cadence_ms, self.SILENT_MS):
            level: Level = "alarm" if silent >= self.SILENT_ALARM_MS else "warning"
            reason = f"no reading for {silent / HOUR_MS:.1f} hours"
            return Finding("gaps", "sensor", level, self.received_ms, reason, {**numbers})
        reason = f"{min(1.0, share):.0%} of the last day's readings lack" if self.level != "ok" else ""
        return Finding("gaps", "sensor", self.level, self.changed_ms, reason, {**numbers})


@dataclass
class Clock(Verdict):
    """A sender's clock beside the hub's: what lies between a reading's time and its arrival.

    The two need not agree, for times may be local ones, and readings may wait on a board. But the least of what lies
    between them in a day stays as it is. Readings that come at another pace than their times, as from a file, are not
    judged.

    Attributes:
        usual_ms: the usual least delay; None before a first day.
        day, least_ms: the day under way and its least delay.
        began: time and arrival of its first reading.
        back: times at which the clock went back, each weighing less by e a day.
        apart_ms: by how much the last delay, or the last day, was off.
        well: readings in a row that were on time.
    """

    usual_ms: float | None = None
    day: int | None = None
    least_ms: int = 0
    began: tuple[int, int] = (0, 0)
    back: float = 0.0
    apart_ms: int = 0
    ahead: int = 0
    well: int = 0
    reason: str = ""

    TOLERATED_MS, ALARM_MS = 5 * MINUTE_MS, 30 * MINUTE_MS
    BACK_MS = MINUTE_MS
    FOLLOWS = 0.2  # weight of a new day in the usual delay
    AHEAD = 3  # readings in a row
    BACK_ALARM = 2.5  # three times within a day
    PACE = 0.5

    def reading(self, reading: StoredReading, apart_ms: int) -> None:
        """A reading, `apart_ms` after the one before it, negative if its time is earlier."""
        delay = reading.received_ms - reading.time_ms
        self.back *= math.exp(-abs(apart_ms) / DAY_MS)
        if apart_ms < -self.BACK_MS:
            self.back += 1
            level: Level = "alarm" if self.back >= self.BACK_ALARM else "warning"
            self._fault(level, f"time went back by {-apart_ms / MINUTE_MS:.0f} minutes", reading.time_ms)
            self.day = None
            return
        self._look_ahead(delay, reading.time_ms)
        self._count(delay, reading)

    def finding(self) -> Finding:
        """What it says now."""
        numbers = {"apart_seconds": self.apart_ms / 1000, "went_back": round(self.back, 2)}
        reason = self.reason if self.level != "ok" else ""
        return Finding("clock", "sensor", self.level, self.changed_ms, reason, {**numbers})

    def _look_ahead(self, delay: int, time_ms: int) -> None:
        """Nothing arrives before it was measured: a delay much below the usual is a clock that jumped ahead."""
        if self.usual_ms is not None and self.usual_ms - delay > self.TOLERATED_MS:
            self.ahead, self.well = self.ahead + 1, 0
            if self.ahead >= self.AHEAD:
                self._off(round(self.usual_ms - delay), "ahead", time_ms)
            return
        self.ahead, self.well = 0, self.well + 1
        if self.level != "ok" and self.well >= WELL_AGAIN and self.back < 1 and abs(self.apart_ms) <= self.TOLERATED_MS:
            self.become("ok", time_ms)

    def _count(self, delay: int, reading: StoredReading) -> None:
        day = reading.time_ms // DAY_MS
        if day == self.day:
            self.least_ms = min(self.least_ms, delay)
            return
        if self.day is not None:
            self._close(reading)
        self.day, self.least_ms, self.began = day, delay, (reading.time_ms, reading.received_ms)

    def _close(self, reading: StoredReading) -> None:
        """A day has ended; the usual delay follows."""
        time_ms, received_ms = (now - then for now, then in zip(_both(reading), self.began, strict=True))
        if received_ms < self.PACE * time_ms:
            self.usual_ms = None
            return
        if self.usual_ms is None:
            self.usual_ms = float(self.least_ms)
        self.apart_ms = round(self.least_ms - self.usual_ms)
        self.usual_ms += self.FOLLOWS * self.apart_ms
        if abs(self.apart_ms) > self.TOLERATED_MS:
            self._off(abs(self.apart_ms), "behind" if self.apart_ms > 0 else "ahead", reading.time_ms)

    def _off(self, apart_ms: int, where: str, time_ms: int) -> None:
        self.apart_ms = apart_ms if where == "behind" else -apart_ms
        level: Level = "alarm" if apart_ms > self.ALARM_MS else "warning"
        self._fault(level, f"clock {apart_ms / MINUTE_MS:.0f} minutes {where} of where it was", time_ms)

    def _fault(self, level: Level, reason: str, time_ms: int) -> None:
        self.reason, self.well = reason, 0
        self.become(level, time_ms)


@dataclass
class Sensor:
    """All tests of one sensor.

    Attributes:
        last_ms: time of the reading that came last.
        cadence_ms: one step, 0 before it is known.
    """

    last_ms: int | None = None
    stuck: Stuck = field(default_factory=Stuck)
    out_of_range: OutOfRange = field(default_factory=OutOfRange)
    gaps: Gaps = field(default_factory=Gaps)
    clock: Clock = field(default_factory=Clock)

    def reading(self, reading: StoredReading, cadence_ms: int, limits: Limits) -> None:
        """A reading has arrived."""
        apart = cadence_ms if self.last_ms is None else reading.time_ms - self.last_ms
        self.out_of_range.reading(reading, limits)
        self.clock.reading(reading, apart)
        if apart > 0:
            self.stuck.reading(reading, (self.last_ms or 0) - self.stuck.since_ms)
            if cadence_ms:
                self.gaps.reading(reading, apart, cadence_ms)
        self.last_ms = reading.time_ms

    @property
    def is_at_fault(self) -> bool:
        """Whether any of them finds a fault in what has arrived."""
        parts = (self.stuck, self.out_of_range, self.gaps, self.clock)
        return any(part.level != "ok" for part in parts)

    def findings(self, limits: Limits, cadence_ms: int, now_ms: int, begun_ms: int) -> list[Finding]:
        """What they say now; of equals the first is named: a broken wire reads the same value for ever."""
        gaps = self.gaps.finding(cadence_ms, now_ms, begun_ms)
        return [self.out_of_range.finding(limits), self.stuck.finding(), gaps, self.clock.finding()]


def _both(reading: StoredReading) -> tuple[int, int]:
    return reading.time_ms, reading.received_ms
