"""The test for a model that decays: its complete days one after the other, beside what was to be expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployers.hub.monitor import jitter, sequential
from deployers.hub.monitor.levels import Finding, Verdict, moved
from deployers.hub.monitor.skill import DAY_MS, Expected, expected_of, is_complete, means

if TYPE_CHECKING:
    from deployers.hub.store.watching import DaySums


@dataclass(frozen=True)
class Thresholds:
    """Of the CUSUM.

    Attributes:
        warning, alarm: of days, to reach, see `levels.moved`.
        reference_days: days in the field that are the reference where a release has none.
        jitter: of hours, likewise.
    """

    warning: float
    alarm: float
    reference_days: int
    jitter: float

    @classmethod
    def of(cls, warning_days: float, alarm_days: float, reference_days: int) -> Thresholds:
        """By how many days false ones are apart on average."""
        return cls(
            sequential.threshold(warning_days),
            sequential.threshold(alarm_days),
            reference_days,
            sequential.threshold(2 * alarm_days * jitter.PARTS, jitter.REFERENCE),  # it has two sums
        )


@dataclass
class Decay(Verdict):
    """State of the test of one series.

    Attributes:
        version, source: whose forecasts are judged.
        total: the CUSUM.
        z: of the last day judged.
        judged: days so far.
        own: mean errors of model and persistence of the first days, where the release has no reference.
        expected: what is expected, once that is known.
    """

    version: int = 0
    source: str = ""
    total: float = 0.0
    z: float | None = None
    judged: int = 0
    own: list[tuple[float, float]] = field(default_factory=list)
    expected: Expected | None = None

    def close(self, sums: DaySums, cadence_ms: int, release: Expected | None, thresholds: Thresholds) -> None:
        """A day has ended. One with a faulty sensor, or of which too little was seen, says nothing."""
        day = means(sums)
        if day is None or sums.is_masked or not is_complete(sums, cadence_ms):
            return
        expected = self.expected or release
        if expected is None:
            self._learn(day, thresholds.reference_days)
            return
        self.expected, self.z = expected, expected.z(*day)
        self.total = min(sequential.CAP * thresholds.alarm, sequential.step(self.total, self.z))
        self.judged += 1
        self._move((sums.day + 1) * DAY_MS, thresholds)

    def finding(self, thresholds: Thresholds, skill: float | None) -> Finding:
        """What it says now.

        Args:
            thresholds: of the test.
            skill: of the window, to be told beside it.
        """
        numbers = {
            "cusum": round(self.total, 3),
            "threshold_warning": round(thresholds.warning, 3),
            "threshold_alarm": round(thresholds.alarm, 3),
            "z": None if self.z is None else round(self.z, 3),
            "days_judged": self.judged,
            "skill": None if skill is None else round(skill, 4),
            "skill_expected": None if self.expected is None else round(self.expected.skill, 4),
            "reference": None if self.expected is None else self.expected.origin,
            "reference_days": len(self.own) if self.expected is None else self.expected.days,
        }
        return Finding("skill", "skill", self.level, self.changed_ms, self._reason(thresholds, skill), numbers)

    def _learn(self, day: tuple[float, float], wanted: int) -> None:
        self.own.append(day)
        if len(self.own) >= wanted:
            self.expected, self.own = expected_of(self.own, "own"), []

    def _move(self, now_ms: int, thresholds: Thresholds) -> None:
        self.become(moved(self.level, self.total, thresholds.warning, thresholds.alarm), now_ms)

    def _reason(self, thresholds: Thresholds, skill: float | None) -> str:
        if not self.source:
            return "no complete day with forecasts yet"
        if self.expected is None:
            return f"learns from its first days what to expect, {len(self.own)} of {thresholds.reference_days} so far"
        now = "none" if skill is None else f"{skill:.3f}"
        beside = f"skill {now} of version {self.version} on the {self.source}, {self.expected.skill:.3f} expected"
        if self.level == "ok":
            return beside
        limit = thresholds.alarm if self.level == "alarm" else thresholds.warning
        return f"{beside}; deficit {self.total:.2f}, threshold {limit:.2f}"
