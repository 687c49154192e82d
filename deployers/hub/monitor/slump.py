"""Skill of half a day beside what it usually is: what a faulty sensor or a changed room costs is seen before days end.

Every three hours the errors of the last twelve are compared by the statistic of `skill`; a warning is a deviation from
the usual of the last month by `WARNING`. It never alarms: an alarm of skill means days, and may ask for another
training. What lasts for a month is usual here; the test of days remembers what was promised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployers.hub.monitor.levels import Finding, Verdict, moved
from deployers.hub.monitor.skill import CALM_SHARE, COMPLETE_SHARE, DAY_MS
from deployers.hub.monitor.usual import FOLLOWS_DAYS, LEARNED_DAYS, Usual

if TYPE_CHECKING:
    from deployers.hub.monitor.pairing import Pair

PARTS = 8
BLOCK_MS = DAY_MS // PARTS
BLOCKS = 4  # that are judged together
# Deviations. Twelve simulated rooms have one beyond it every two months in a healthy year; `make bench-monitor` counts.
WARNING = 3.3


@dataclass
class Slump(Verdict):
    """State of the test of one series.

    Attributes:
        version, source: whose forecasts are judged.
        steps: of a forecast.
        block: the one under way, in blocks since 1970.
        count, model, persistence: its pairs, and the sums of their errors in °C.
        is_masked: a sensor was at fault in it.
        last: mean errors of the blocks before it, at most `BLOCKS`; none after one that says nothing.
        usual_model, usual_persistence, learned: mean errors of all of them, and of how many, at most a month's.
        usual: of the statistic.
        z: of the last blocks.
    """

    version: int = 0
    source: str = ""
    steps: int = 0
    block: int | None = None
    count: float = 0.0
    model: float = 0.0
    persistence: float = 0.0
    is_masked: bool = False
    last: list[tuple[float, float]] = field(default_factory=list)
    usual_model: float = 0.0
    usual_persistence: float = 0.0
    learned: int = 0
    usual: Usual = field(default_factory=Usual)
    z: float | None = None

    def pair(self, pair: Pair, cadence_ms: int) -> None:
        """A forecast beside its reading, of this version and source; of a block that has ended it says nothing."""
        block = pair.time_ms // BLOCK_MS
        if self.block is None or block > self.block:
            self._close(cadence_ms, is_followed=self.block is not None and block == self.block + 1)
            self.block, self.count, self.model, self.persistence, self.is_masked = block, 0.0, 0.0, 0.0, False
        if block == self.block:
            self.count += 1
            self.steps = max(self.steps, pair.step)
            self.model += pair.model
            self.persistence += pair.persistence

    def finding(self) -> Finding:
        """What it says now."""
        days, z = self.usual.days(PARTS), None if self.z is None else round(self.z, 3)
        reason = ""
        if days < LEARNED_DAYS:
            reason = f"learns what is usual for half a day, {days} of {LEARNED_DAYS} days so far"
        elif self.level != "ok":
            reason = f"forecasts of the last 12 hours are worse than usual: {z} deviations, {WARNING} warn"
        numbers = {"z": z, "threshold": WARNING, "reference": "own"}
        return Finding("slump", "skill", self.level, self.changed_ms, reason, numbers)

    def _close(self, cadence_ms: int, *, is_followed: bool) -> None:
        if self.block is None:
            return
        if self.is_masked or self.count < COMPLETE_SHARE * self.steps * BLOCK_MS / cadence_ms:
            self.last = []
            return
        model, persistence = self.model / self.count, self.persistence / self.count
        self.learned = min(self.learned + 1, FOLLOWS_DAYS * PARTS)
        self.usual_model += (model - self.usual_model) / self.learned
        self.usual_persistence += (persistence - self.usual_persistence) / self.learned
        self.last = [*self.last, (model, persistence)][-BLOCKS:]
        if len(self.last) == BLOCKS and self.usual_persistence:
            self._judge((self.block + 1) * BLOCK_MS)
        if not is_followed:
            self.last = []

    def _judge(self, now_ms: int) -> None:
        value = self._statistic(*(sum(column) / BLOCKS for column in zip(*self.last, strict=True)))
        self.z = self.usual.z(0, value, PARTS)
        self.usual.learn(0, value, 1, PARTS)
        if self.z is not None:
            self.become(moved(self.level, self.z, WARNING, math.inf), now_ms)

    def _statistic(self, model: float, persistence: float) -> float:
        """Both errors are raised by what an eventless half of the time leaves, as those of a day are."""
        calm = CALM_SHARE * self.usual_persistence
        share = self.usual_model / self.usual_persistence
        return math.log((model + calm * share) / (persistence + calm))
