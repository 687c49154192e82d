"""How much readings jump about: what one differs from the middle of its neighbours, as no slow change does.

A noisy sensor, a loose contact or one that was covered or hung elsewhere shows here within hours, whatever the model
makes of it. The mean size over three hours, as a logarithm, is compared with what is usual at this part of the day;
its deviations, widened where blocks resemble each other, go through two CUSUMs, for more and for less. It warns and
never alarms: other readings alone are no fault of a model, and not surely one of a sensor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from deployers.hub.monitor import sequential
from deployers.hub.monitor.levels import Finding, Verdict, moved
from deployers.hub.monitor.pairing import is_next
from deployers.hub.monitor.skill import CORRELATION, DAY_MS
from deployers.hub.monitor.usual import FOLLOWS_DAYS, LEARNED_DAYS, ODD, Usual

PARTS = 8
BLOCK_MS = DAY_MS // PARTS
REFERENCE = 1.0  # k of the CUSUMs: a fault shows by several deviations a block
FLOOR = (
    0.25  # of the usual size that is added to one: what a coarse sensor shows of a still room is a few steps or none
)
MOST = 4.0  # times the usual size that one jump counts for: a window that is opened is no jitter
COMPLETE_SHARE = 0.5
LIKENESS_MOST, LIKENESS_EARLY = 0.6, 20  # the largest correlation that is allowed for; blocks before it is measured
WARM, MEMORY = 144, 4032  # readings over which the usual size is taken, a month at ten minutes


@dataclass
class Jitter(Verdict):
    """State of the test of one series.

    Attributes:
        before: times and values of the last two readings, ms and °C.
        size, counted: the usual size in °C, and of how many readings.
        block, total, count: the block under way, in blocks since 1970, and the sum of its sizes.
        is_masked: the sensor was at fault in it.
        usual: of the statistic.
        more, less: the CUSUMs.
        z: of the last block judged.
        likeness, judged: correlation of blocks that follow each other, and of how many, at most those of a month.
    """

    before: list[tuple[int, float]] = field(default_factory=list)
    size: float = 0.0
    counted: int = 0
    block: int | None = None
    total: float = 0.0
    count: int = 0
    is_masked: bool = False
    usual: Usual = field(default_factory=Usual)
    more: float = 0.0
    less: float = 0.0
    z: float | None = None
    likeness: float = 0.0
    judged: int = 0

    def reading(self, time_ms: int, celsius: float, cadence_ms: int, threshold: float, *, is_masked: bool) -> None:
        """A reading.

        Args:
            time_ms, celsius: of it.
            cadence_ms: one step.
            threshold: of the CUSUMs.
            is_masked: the sensor is at fault, and the block says nothing.
        """
        block = time_ms // BLOCK_MS
        if block != self.block:
            self._close(cadence_ms, threshold)
            self.block, self.total, self.count, self.is_masked = block, 0.0, 0, False
        self.is_masked = self.is_masked or is_masked
        if self.before and not is_next(self.before[-1][0], time_ms, cadence_ms):
            self.before = []
        if len(self.before) == 2:
            self._count(abs(self.before[0][1] - 2 * self.before[1][1] + celsius))
        self.before = [*self.before[-1:], (time_ms, celsius)]

    def finding(self, threshold: float) -> Finding:
        """What it says now."""
        numbers = {
            "more": round(self.more, 3),
            "less": round(self.less, 3),
            "threshold": round(threshold, 3),
            "z": None if self.z is None else round(self.z, 3),
            "usual_celsius": round(self.size, 4),
            "reference": "own",
        }
        reason = ""
        if self.usual.days() < LEARNED_DAYS:
            reason = f"learns what is usual at each part of the day, {self.usual.days()} of {LEARNED_DAYS} days so far"
        elif self.level != "ok":
            how = "more" if self.more >= self.less else "less"
            total = max(self.more, self.less)
            reason = f"readings of the last hours jump about {how} than usual: {total:.2f}, threshold {threshold:.2f}"
        return Finding("jitter", "data", self.level, self.changed_ms, reason, numbers)

    def _count(self, size: float) -> None:
        if self.is_masked:
            return
        size = min(size, MOST * self.size) if self.counted >= WARM else size
        self.total, self.count = self.total + size, self.count + 1
        self.counted = min(self.counted + 1, MEMORY)
        self.size += (size - self.size) / self.counted

    def _widening(self, z: float) -> float:
        """Sums of values that resemble each other stray further: see `skill`. Outdoors they do, by the weather."""
        now, before = (min(max(each, -ODD), ODD) for each in (z, self.z or 0.0))
        self.judged = min(self.judged + 1, FOLLOWS_DAYS * PARTS)
        self.likeness += (now * before - self.likeness) / self.judged
        found = self.likeness if self.judged > LIKENESS_EARLY else CORRELATION
        likeness = min(max(found, 0.0), LIKENESS_MOST)
        return math.sqrt((1 + likeness) / (1 - likeness))

    def _close(self, cadence_ms: int, threshold: float) -> None:
        if self.block is None or self.is_masked or self.count * cadence_ms < COMPLETE_SHARE * BLOCK_MS or not self.size:
            return
        part, value = self.block % PARTS, math.log(self.total / self.count + FLOOR * self.size)
        z = self.usual.z(part, value)
        self.usual.learn(part, value, PARTS)
        if z is None:
            return
        widened = z / self._widening(z)
        self.z = z
        self.more = sequential.bounded(self.more, widened, threshold, REFERENCE)
        self.less = sequential.bounded(self.less, -widened, threshold, REFERENCE)
        level = moved(self.level, max(self.more, self.less), threshold, math.inf)
        self.become(level, (self.block + 1) * BLOCK_MS)
