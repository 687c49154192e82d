"""Errors by day, and what a day says beside what was to be expected of it.

Skill is 1 − (model's error / persistence's error) over the same pairs: 0 is as good as repeating the last reading, 1 is
perfect. A day that is hard for everyone raises both errors and leaves the skill.

Single days differ. What is tested is the logarithm of the ratio, with both errors raised by what an eventless half day
leaves of the expected ones, so that a day on which nothing happens says nothing:

    x = log((m + ε (1 − s)) / (p + ε)),   z = (x − mean of x − log 1.05) / (1.36 × standard deviation of x)

m and p are the day's errors, s is the expected skill, ε half of persistence's expected error; mean and deviation are
those of the days of reference. A growth of the ratio by 5 % is tolerated: seasons do as much. Days that follow each
other resemble each other; 1.36 is √((1 + ρ) / (1 − ρ)), by which a correlation ρ of 0.3 widens sums of days.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployers.hub.store.watching import DaySums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.hub.monitor.pairing import Pair

DAY_MS = 86_400_000
DAYS_LEAST = 7  # of a reference
CALM_SHARE = 0.5  # ε of persistence's expected error
DEVIATION_LEAST = 0.05
TOLERATED = math.log(1.05)
CORRELATION = 0.3  # of days that follow each other: 0.2 to 0.4 on the reference readings
WIDENING = math.sqrt((1 + CORRELATION) / (1 - CORRELATION))
Z_MOST = 4.0  # one day alone warns, and does not alarm
COMPLETE_SHARE = 0.5  # of its pairs that a day must have to be judged


@dataclass(frozen=True)
class Expected:
    """What a day's errors are to be expected of one version.

    Attributes:
        model, persistence: mean errors of the reference in °C.
        mean, deviation: of x over its days.
        days: how many.
        origin: "release" (the test part that the release was measured on) or "own" (the first days in the field).
    """

    model: float
    persistence: float
    mean: float
    deviation: float
    days: int
    origin: str

    @property
    def skill(self) -> float:
        """Of the reference as a whole."""
        return 1 - self.model / self.persistence

    def z(self, model: float, persistence: float) -> float:
        """How many widened deviations a day is worse than what is tolerated, at most `Z_MOST`."""
        apart = _statistic(self, model, persistence) - self.mean - TOLERATED
        return min(Z_MOST, apart / (WIDENING * self.deviation))


def expected_of(days: Sequence[tuple[float, float]], origin: str) -> Expected | None:
    """By days of reference, each with the mean errors of model and persistence; None if these are too few or empty."""
    usable = [(model, persistence) for model, persistence in days if persistence > 0 and model > 0]
    if len(usable) < DAYS_LEAST:
        return None
    model, persistence = (sum(column) / len(usable) for column in zip(*usable, strict=True))
    raw = Expected(model, persistence, 0.0, 1.0, len(usable), origin)
    values = [_statistic(raw, *day) for day in usable]
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return Expected(model, persistence, mean, max(deviation, DEVIATION_LEAST), len(usable), origin)


def of_release(fidelity: Mapping[str, Any]) -> Expected | None:
    """By the test part, as the conversion's report has it; None where it was written without days."""
    days = [(day["model"], day["persistence"]) for day in fidelity.get("days", [])]
    return expected_of(days, "release")


def skill(model: float, persistence: float) -> float | None:
    """1 − ratio of two errors or sums of errors; None where persistence makes none."""
    return 1 - model / persistence if persistence > 0 else None


def add(sums: DaySums, pair: Pair) -> None:
    """Count a pair in."""
    lacking = pair.step - len(sums.counts)
    if lacking > 0:
        for column in (sums.counts, sums.model, sums.persistence):
            column.extend([0.0] * lacking)
    sums.counts[pair.step - 1] += 1
    sums.model[pair.step - 1] += pair.model
    sums.persistence[pair.step - 1] += pair.persistence


def means(sums: DaySums) -> tuple[float, float] | None:
    """Mean errors of model and persistence over all pairs of a day; None without one."""
    count = sum(sums.counts)
    return (sum(sums.model) / count, sum(sums.persistence) / count) if count else None


def is_complete(sums: DaySums, cadence_ms: int) -> bool:
    """Whether enough of a day was seen to judge it."""
    return sum(sums.counts) >= COMPLETE_SHARE * len(sums.counts) * DAY_MS / cadence_ms


def joined(days: Sequence[DaySums]) -> DaySums:
    """Several days of one source as one; day and version are those of the last."""
    last = days[-1]
    steps = max(len(each.counts) for each in days)
    total = DaySums(last.day, last.source, last.version, [0.0] * steps, [0.0] * steps, [0.0] * steps)
    for each in days:
        for ours, theirs in zip(_columns(total), _columns(each), strict=True):
            for step, value in enumerate(theirs):
                ours[step] += value
    return total


def _columns(sums: DaySums) -> tuple[list[float], list[float], list[float]]:
    return sums.counts, sums.model, sums.persistence


def _statistic(expected: Expected, model: float, persistence: float) -> float:
    calm = CALM_SHARE * expected.persistence
    return math.log((model + calm * (1 - expected.skill)) / (persistence + calm))
