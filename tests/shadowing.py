"""Days of a champion and its challenger, without models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployers.hub.shadow.comparing import Compared
from deployers.hub.store.watching import DaySums

if TYPE_CHECKING:
    from collections.abc import Sequence

CADENCE_MS = 600_000
STEPS_A_DAY = 144
HORIZON = 2


def sums(day: int, source: str, version: int, skill: float = 0.3) -> DaySums:
    """A whole day of a model of this skill."""
    persistence = [0.1 * STEPS_A_DAY] * HORIZON
    model = [(1 - skill) * each for each in persistence]
    return DaySums(day, source, version, [float(STEPS_A_DAY)] * HORIZON, model, persistence)


def both(
    name: str, day: int, champion: float = 0.3, challenger: float = 0.3, versions: tuple[int, int] = (1, 2)
) -> list[tuple[str, DaySums]]:
    """A day of both on one series, as the store gives it."""
    return [
        (name, sums(day, "hub", versions[0], champion)),
        (name, sums(day, "shadow", versions[1], challenger)),
    ]


def days(apart: Sequence[float]) -> list[Compared]:
    """Days on which a challenger was better by so much."""
    return [Compared(20_000 + number, 0.3, 0.3 + each, 1) for number, each in enumerate(apart)]
