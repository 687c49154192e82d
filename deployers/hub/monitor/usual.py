"""What a number of a few hours usually is, and how far it strays from that.

A sun, a radiator and people make mornings another thing than nights, so a number may have a mean of its own for every
part of the day. The means follow over a month, so that seasons are usual; the deviation is one for all parts. A single
value counts for at most three deviations when it is learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

LEARNED_DAYS = 14  # before a value is judged
FOLLOWS_DAYS = 28  # over which means follow
ODD = 3.0  # deviations that one value counts for when it is learned
EARLY = 14  # values of which none is odd yet


@dataclass
class Usual:
    """What is usual, by part of the day.

    Attributes:
        means, seen: of each part, and of how many values, at most those of `FOLLOWS_DAYS`.
        variance, counted: of all parts around their means, and of how many values, likewise.
    """

    means: list[float] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    variance: float = 0.0
    counted: int = 0

    def z(self, part: int, value: float, a_day: int = 1, learned_days: int = LEARNED_DAYS) -> float | None:
        """How many deviations a value is above what is usual; None as long as that is not known.

        Args:
            part: of the day.
            value: its number.
            a_day: values that a part has in a day.
            learned_days: after which it is known.
        """
        if part >= len(self.seen) or self.seen[part] < learned_days * a_day or not self.variance:
            return None
        return (value - self.means[part]) / math.sqrt(self.variance * (1 + 1 / self.seen[part]))

    def learn(self, part: int, value: float, parts: int, a_day: int = 1) -> None:
        """Take a value in.

        Args:
            part, value, a_day: as above.
            parts: that a day has.
        """
        if len(self.means) != parts:
            self.means, self.seen = [0.0] * parts, [0] * parts
        off, values = value - self.means[part], self.seen[part]
        if values:
            widened = 1 + 1 / values  # the mean itself is one of so many values
            if self.counted >= EARLY:
                most = ODD * math.sqrt(self.variance * widened)
                off = min(max(off, -most), most)
            self.counted = min(self.counted + 1, FOLLOWS_DAYS * a_day * parts)
            self.variance += (off * off / widened - self.variance) / self.counted
        self.seen[part] = min(values + 1, FOLLOWS_DAYS * a_day)
        self.means[part] += off / self.seen[part]

    def days(self, a_day: int = 1) -> int:
        """Of the part that was seen least, at most `LEARNED_DAYS`."""
        return min(LEARNED_DAYS, min(self.seen, default=0) // a_day)
