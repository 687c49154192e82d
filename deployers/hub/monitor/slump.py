"""Skill of hours beside what it usually is: what a faulty sensor or a changed room costs is seen before days end.

Every three hours the errors of the last eighteen are judged, each over its own mean of the last month:

    x = model's error / its mean − persistence's error / its mean

A warning is a deviation of x from what is usual on days of its kind by `WARNING`; weekends are a kind of their own, for
people live otherwise then, and a changed day of theirs would drown in it. It never alarms: an alarm of skill means
days, and may ask for another training. What lasts for a month is usual here; the test of days remembers what was
promised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployers.hub.monitor.levels import Finding, Verdict, moved
from deployers.hub.monitor.skill import COMPLETE_SHARE, DAY_MS
from deployers.hub.monitor.usual import FOLLOWS_DAYS, LEARNED_DAYS, Usual

if TYPE_CHECKING:
    from deployers.hub.monitor.pairing import Pair

PARTS = 8
BLOCK_MS = DAY_MS // PARTS
WEEKEND = (2, 3)  # days of a week that begins on a Thursday, as 1970 did
BLOCKS = 6  # that are judged together
HOURS = BLOCKS * BLOCK_MS // 3_600_000
WEEKENDS_LEARNED_DAYS = 4  # before one is judged; of other days `LEARNED_DAYS`
# Deviations. A simulated room has one beyond it every four months of a healthy year: `make bench-monitor`.
WARNING = 3.9


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
        workdays, weekends: what is usual of the statistic.
        z: of the last blocks; None as long as days of their kind are not known.
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
    workdays: Usual = field(default_factory=Usual)
    weekends: Usual = field(default_factory=Usual)
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
        days, z = self.workdays.days(PARTS), None if self.z is None else round(self.z, 3)
        reason = ""
        if days < LEARNED_DAYS:
            reason = f"learns what is usual, {days} of {LEARNED_DAYS} workdays so far"
        elif self.level != "ok":
            reason = f"forecasts of the last {HOURS} hours are worse than usual: {z} deviations, {WARNING} warn"
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
        if len(self.last) == BLOCKS and self.usual_model and self.usual_persistence:
            self._judge(self.block + 1)
        if not is_followed:
            self.last = []

    def _judge(self, block: int) -> None:
        """By the blocks before one; most of them are of the day in their middle."""
        model, persistence = (sum(column) / BLOCKS for column in zip(*self.last, strict=True))
        value = model / self.usual_model - persistence / self.usual_persistence
        is_weekend = (block - BLOCKS / 2) // PARTS % 7 in WEEKEND
        usual = self.weekends if is_weekend else self.workdays
        self.z = usual.z(0, value, PARTS, WEEKENDS_LEARNED_DAYS if is_weekend else LEARNED_DAYS)
        usual.learn(0, value, 1, PARTS)
        if self.z is not None:
            self.become(moved(self.level, self.z, WARNING, math.inf), block * BLOCK_MS)
