"""Days of champion and challenger, over the same readings."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from deployers.hub.monitor.skill import is_complete, skill
from deployers.hub.store.records import SHADOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deployers.hub.store.watching import DaySums

# Sums of the same errors in another order; one reading more or less is far beyond it.
ALIKE = 1e-9


class Compared(NamedTuple):
    """One day.

    Attributes:
        day: days since 1970, in the readings' own time.
        champion, challenger: mean over the series of their skill of this day.
        series: how many count: complete, no sensor at fault, both forecast at the same readings.
    """

    day: int
    champion: float
    challenger: float
    series: int


def compared(
    rows: Iterable[tuple[str, DaySums]], champion: int, challenger: int, cadence_ms: int
) -> dict[int, Compared | None]:
    """Days that are over, each once for all series.

    A day is over when every series that has it has gone on to a later one; the last of them are waited for until
    another one that has it is through with the next day as well.

    Args:
        rows: by series, the days of the hub's own forecasts and of challengers.
        champion, challenger: versions.
        cadence_ms: one step.

    Returns:
        By day; None for one of which no series counts.
    """
    found: dict[str, dict[int, dict[str, DaySums]]] = defaultdict(lambda: defaultdict(dict))
    for name, sums in rows:
        if sums.version == (challenger if sums.source == SHADOW else champion):
            found[name][sums.day][sums.source] = sums
    both = {name: [day for day, pair in days.items() if len(pair) == 2] for name, days in found.items()}
    newest = {name: max(days) for name, days in both.items() if days}
    over: dict[int, Compared | None] = {}
    for day in sorted({day for days in both.values() for day in days}):
        there = [name for name, days in both.items() if day in days]
        if min(newest[name] for name in there) > day or max(newest[name] for name in there) > day + 1:
            pairs = [found[name][day] for name in there if newest[name] > day]
            over[day] = _of_day(day, [tuple(pair[source] for source in ("hub", SHADOW)) for pair in pairs], cadence_ms)
    return over


def _of_day(day: int, pairs: Sequence[tuple[DaySums, ...]], cadence_ms: int) -> Compared | None:
    skills = [each for champion, challenger in pairs if (each := _skills(champion, challenger, cadence_ms)) is not None]
    if not skills:
        return None
    champion, challenger = (sum(column) / len(skills) for column in zip(*skills, strict=True))
    return Compared(day, champion, challenger, len(skills))


def _skills(champion: DaySums, challenger: DaySums, cadence_ms: int) -> tuple[float, float] | None:
    """Skill of both on one day of one series, over the steps that both forecast; None of a day that does not count."""
    if champion.is_masked or challenger.is_masked or not is_complete(champion, cadence_ms):
        return None
    steps = min(len(champion.counts), len(challenger.counts))
    # Persistence's errors tell which readings were compared: it makes the same ones on the same.
    if champion.counts[:steps] != challenger.counts[:steps] or not all(
        math.isclose(one, other, rel_tol=ALIKE)
        for one, other in zip(champion.persistence[:steps], challenger.persistence[:steps], strict=True)
    ):
        return None
    persistence = sum(champion.persistence[:steps])
    ours, theirs = (skill(sum(each.model[:steps]), persistence) for each in (champion, challenger))
    return None if ours is None or theirs is None else (ours, theirs)
