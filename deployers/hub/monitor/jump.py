"""One change from a reading to the next that is larger than any that this sensor has shown for weeks.

The step test of weather stations (Zahumenský, Guidelines on Quality Control Procedures for Data from Automatic Weather
Stations, WMO 2004), with a bound that is the sensor's own. A sensor that was moved, exchanged or given another scale
jumps once, and a model on differences has forgotten it an hour later. It warns for a day and never alarms: a window
opened wide in winter may do as much.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from deployers.hub.monitor.levels import Finding, Number, Verdict
from deployers.hub.monitor.pairing import is_next
from deployers.hub.monitor.skill import DAY_MS
from deployers.hub.monitor.usual import FOLLOWS_DAYS, LEARNED_DAYS

FACTOR = 1.5  # times the largest change of the last weeks
LEAST = 0.3  # °C that such a change is taken for at least: a sensor in a cellar may not have moved for weeks


@dataclass
class Jump(Verdict):
    """State of the test of one series.

    Attributes:
        last: time and value of the last reading, ms and °C.
        day, largest: the day under way since 1970, and its largest change in °C.
        days: those of the days before it, at most `FOLLOWS_DAYS`; a day without a change from one to the next is none.
        change, most, known: the jump that warned last, the largest change before it, both °C, and in how many days; 0
            if none has.
        jumped_ms: when that was.
    """

    last: tuple[int, float] | None = None
    day: int | None = None
    largest: float | None = None
    days: list[float] = field(default_factory=list)
    change: float = 0.0
    most: float = 0.0
    known: int = 0
    jumped_ms: int = 0

    def reading(self, time_ms: int, celsius: float, cadence_ms: int, *, is_masked: bool) -> None:
        """A reading; one at which the sensor is at fault says nothing.

        Args:
            time_ms, celsius: of it.
            cadence_ms: one step.
            is_masked: the sensor is at fault.
        """
        before, self.last = self.last, (time_ms, celsius)
        self._turn(time_ms // DAY_MS)
        if self.level != "ok" and time_ms - self.jumped_ms >= DAY_MS:
            self.become("ok", time_ms)
        if before is None or is_masked or not is_next(before[0], time_ms, cadence_ms):
            return
        change = celsius - before[1]
        if len(self.days) >= LEARNED_DAYS:
            most = max(*self.days, self.largest or 0.0)
            if abs(change) >= FACTOR * max(most, LEAST):
                self.change, self.most, self.known, self.jumped_ms = change, most, len(self.days), time_ms
                self.become("warning", time_ms)
        self.largest = max(self.largest or 0.0, abs(change))

    def finding(self) -> Finding:
        """What it says now."""
        days, reason = len(self.days), ""
        if self.level != "ok":
            how = "rose" if self.change > 0 else "fell"
            before = f"the most in {self.known} days before was {self.most:.2f} °C"
            reason = f"{how} by {abs(self.change):.2f} °C from one reading to the next: {before}"
        elif days < LEARNED_DAYS:
            reason = f"learns how far this sensor jumps, {days} of {LEARNED_DAYS} days so far"
        numbers: dict[str, Number] = {"change": round(self.change, 4), "most": round(self.most, 4), "factor": FACTOR}
        return Finding("jump", "data", self.level, self.changed_ms, reason, numbers)

    def _turn(self, day: int) -> None:
        if self.day is None or day > self.day:
            if self.largest is not None:
                self.days = [*self.days, self.largest][-FOLLOWS_DAYS:]
            self.day, self.largest = day, None
