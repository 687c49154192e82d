"""States, and what a test tells beside its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable

Level = Literal["ok", "warning", "alarm"]
Part = Literal["sensor", "model", "skill", "data"]
LEVELS: tuple[Level, ...] = get_args(Level)
Number = float | int | str | None


@dataclass(frozen=True)
class Finding:
    """What one test says of one series.

    Attributes:
        test: its name, such as "stuck".
        part: what it is about.
        level: ok, warning or alarm.
        since_ms: when it became so, in the readings' own time; None if it has never been otherwise.
        reason: one line for people.
        numbers: what it was decided by.
    """

    test: str
    part: Part
    level: Level
    since_ms: int | None
    reason: str
    numbers: dict[str, Number] = field(default_factory=dict)


@dataclass(kw_only=True)
class Verdict:
    """What every test keeps beside its own numbers.

    Attributes:
        level: its state.
        changed_ms: since when, in the readings' own time; None if it has never been otherwise.
    """

    level: Level = "ok"
    changed_ms: int | None = None

    def become(self, level: Level, now_ms: int) -> None:
        """Be in a state, since now if it is another one."""
        if level != self.level:
            self.level, self.changed_ms = level, now_ms


def worst(levels: Iterable[Level]) -> Level:
    """The gravest of them; ok if there is none."""
    return max(levels, key=LEVELS.index, default="ok")


def moved(before: Level, value: float, warning: float, alarm: float) -> Level:
    """The next state by a number that rises with trouble.

    An alarm ends below the warning's threshold, a warning below half of it: a number at a threshold does not flicker.
    """
    if value >= alarm or (before == "alarm" and value >= warning):
        return "alarm"
    return "warning" if value >= warning or (before != "ok" and value >= warning / 2) else "ok"
