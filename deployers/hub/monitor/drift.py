"""How readings change from one to the next, in the last week beside a reference, without their daily cycle.

What is compared is what a change differs from the mean change of its hour of day, which follows slowly: a level that
moves with the seasons, and the cycle itself, are no drift. It is also what the models read, whose features are changes.
Both sides are histograms, so that a reading costs one count. Three published measures say how far they are apart:

    PSI          Σ (p − q) log(p / q) over tenths of the reference (Siddiqi 2006)
    KS           the largest distance of the two distribution functions (Kolmogorov-Smirnov)
    Wasserstein  the area between them, in standard deviations of the reference

Readings of one day resemble each other, so a week has few independent ones, and the significance levels of these tests
mean nothing here. The bounds lie above what measured readings reach from winter to spring, and two of three must be
passed. It warns and never alarms: other readings alone are no fault of a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from deployers.hub.monitor.levels import Finding, Verdict, moved
from deployers.hub.monitor.pairing import is_next

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

BINS, WIDTH = 80, 0.125  # of the usual change: from −5 to 5 of it, the outer bins open
WEEK = 7
HOURS = 24
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
TENTHS = 10


@dataclass(frozen=True)
class Distances:
    """How far two distributions are apart: PSI, KS (0 to 1) and Wasserstein in standard deviations of the first."""

    psi: float
    ks: float
    wasserstein: float


def distances(reference: list[float], now: list[float]) -> Distances:
    """Of two histograms over the bins of this module, neither of them empty."""
    first, second = (np.asarray(counts) / sum(counts) for counts in (reference, now))
    low, high = np.cumsum(first), np.cumsum(second)
    centres = (np.arange(BINS) - (BINS - 1) / 2) * WIDTH
    spread = math.sqrt(max(float(first @ (centres - first @ centres) ** 2), WIDTH**2))
    apart = np.abs(low - high)
    return Distances(_psi(first, second, low), float(apart.max()), float(apart.sum()) * WIDTH / spread)


def _psi(first: Doubles, second: Doubles, cumulated: Doubles) -> float:
    """Over tenths of the first; half a percent stands for an empty one."""
    tenth = np.minimum((cumulated - first / 2) * TENTHS, TENTHS - 1).astype(int)
    p, q = (np.maximum(np.bincount(tenth, each, TENTHS), 0.005) for each in (first, second))
    there = np.bincount(tenth, minlength=TENTHS) > 0
    return float(((p - q) * np.log(p / q))[there].sum())


@dataclass
class Drift(Verdict):
    """State of the comparison of one series.

    Attributes:
        last: time and value of the reading before, ms and °C.
        means, seen: the change of each hour of day in °C, and how many it is of, at most those of a week.
        usual, counted: the mean size of what is compared in °C, by the first days, and of how many.
        day, today: the day under way, and its histogram.
        reference, reference_days: histogram of the first days without a fault, and how many they are.
        week: histograms of the last days.
        psi, ks, wasserstein: of the last week, once there is one.
    """

    last: tuple[int, float] | None = None
    means: list[float] = field(default_factory=lambda: [0.0] * HOURS)
    seen: list[int] = field(default_factory=lambda: [0] * HOURS)
    usual: float = 0.0
    counted: int = 0
    day: int | None = None
    today: list[float] = field(default_factory=lambda: [0.0] * BINS)
    is_masked: bool = False
    warm_days: int = 0
    reference: list[float] = field(default_factory=lambda: [0.0] * BINS)
    reference_days: int = 0
    week: list[list[float]] = field(default_factory=list)
    psi: float | None = None
    ks: float | None = None
    wasserstein: float | None = None

    WARM_DAYS = 7
    PSI, KS, WASSERSTEIN = 0.6, 0.2, 0.5

    def reading(self, time_ms: int, celsius: float, cadence_ms: int, wanted_days: int, *, is_masked: bool) -> None:
        """A reading.

        Args:
            time_ms, celsius: of it.
            cadence_ms: one step.
            wanted_days: of the reference.
            is_masked: the sensor is at fault, and the day says nothing.
        """
        if time_ms // DAY_MS != self.day:
            self._close(cadence_ms, wanted_days)
            self.day, self.today, self.is_masked = time_ms // DAY_MS, [0.0] * BINS, False
        self.is_masked = self.is_masked or is_masked
        before, self.last = self.last, (time_ms, celsius)
        if before is None or is_masked or not is_next(before[0], time_ms, cadence_ms):
            return
        self._count(celsius - before[1], time_ms % DAY_MS // HOUR_MS, max(1, WEEK * HOUR_MS // cadence_ms))

    def finding(self, wanted_days: int) -> Finding:
        """What it says now."""
        names = ("psi", "ks", "wasserstein")
        numbers = {name: None if (value := getattr(self, name)) is None else round(value, 3) for name in names}
        said = f"PSI {numbers['psi']}, KS {numbers['ks']}, Wasserstein {numbers['wasserstein']}"
        reason = f"readings of the last week differ from the first {self.reference_days} days': {said}"
        if self.reference_days < wanted_days:
            reason = f"learns its reference, {self.reference_days} of {wanted_days} days so far"
        elif self.level == "ok":
            reason = ""
        return Finding("drift", "data", self.level, self.changed_ms, reason, {**numbers, "reference": "own"})

    def _count(self, change: float, hour: int, most: int) -> None:
        if self.seen[hour]:
            apart = change - self.means[hour]
            if self.warm_days < self.WARM_DAYS:
                self.counted += 1
                self.usual += (abs(apart) - self.usual) / self.counted
            place = math.floor(apart / (self.usual or 1.0) / WIDTH + BINS / 2)
            self.today[min(max(place, 0), BINS - 1)] += 1
        self.seen[hour] = min(self.seen[hour] + 1, most)
        self.means[hour] += (change - self.means[hour]) / self.seen[hour]

    def _close(self, cadence_ms: int, wanted_days: int) -> None:
        """A day has ended: it belongs to the reference, or to the last week."""
        if self.day is None or self.is_masked or 2 * sum(self.today) * cadence_ms < DAY_MS:
            return
        if self.warm_days < self.WARM_DAYS:
            self.warm_days += 1
        elif self.reference_days < wanted_days:
            self.reference = [one + other for one, other in zip(self.reference, self.today, strict=True)]
            self.reference_days += 1
        else:
            self.week = [*self.week[-WEEK + 1 :], self.today]
            if len(self.week) == WEEK:
                self._compare((self.day + 1) * DAY_MS)

    def _compare(self, now_ms: int) -> None:
        found = distances(self.reference, [sum(column) for column in zip(*self.week, strict=True)])
        self.psi, self.ks, self.wasserstein = found.psi, found.ks, found.wasserstein
        _, share, _ = sorted((found.psi / self.PSI, found.ks / self.KS, found.wasserstein / self.WASSERSTEIN))
        self.become(moved(self.level, share, 1.0, math.inf), now_ms)
