"""What is kept of challengers, and the days that they are judged by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, insert, or_, select

from deployers.hub.store import models
from deployers.hub.store.records import SHADOW, SOURCES
from deployers.hub.store.watching import day_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from deployers.hub.store.watching import DaySums

challenge, watch_day, series = models.challenge, models.watch_day, models.series


@dataclass(frozen=True)
class StoredChallenge:
    """One challenger.

    Attributes:
        version, champion: image versions.
        since_ms: when its comparison with the champion began, ms since 1970.
        ended_ms: since when it does not run; None while it runs.
        state: "running", "better", "worse", "undecided" or "ended".
        reason: why.
        days: (day since 1970, champion's skill, its own, series) of each day that was compared.
        passed: days that count for nothing.
        better, worse: e-values.
        promotion: id of a job, "" without one.
    """

    version: int
    champion: int
    since_ms: int
    ended_ms: int | None
    state: str
    reason: str
    days: Sequence[tuple[int, float, float, int]]
    passed: Sequence[int]
    better: float
    worse: float
    promotion: str


def challenges(connection: Connection) -> list[StoredChallenge]:
    """Every one, by version."""
    found = []
    for row in connection.execute(select(challenge).order_by(challenge.c.version)):
        fields = dict(row._mapping)  # noqa: SLF001 - its public name, with an underscore so that no column has it
        fields["days"] = [(int(day), ours, theirs, int(n)) for day, ours, theirs, n in json.loads(row.days)]
        fields["passed"] = json.loads(row.passed)
        found.append(StoredChallenge(**fields))
    return found


def keep(connection: Connection, kept: StoredChallenge) -> None:
    """Keep it in place of what there was of this version."""
    row = {**vars(kept), "days": json.dumps(list(kept.days)), "passed": json.dumps(sorted(kept.passed))}
    connection.execute(delete(challenge).where(challenge.c.version == kept.version))
    connection.execute(insert(challenge).values(row))


def days(connection: Connection, champion: int, challenger: int, since: int) -> list[tuple[str, DaySums]]:
    """Of every series, the days of the hub's forecasts by the champion and of those of the challenger, from one on."""
    wanted = or_(
        and_(watch_day.c.source == SOURCES.index("hub"), watch_day.c.version == champion),
        and_(watch_day.c.source == SOURCES.index(SHADOW), watch_day.c.version == challenger),
    )
    query = select(watch_day, series.c.name).join_from(watch_day, series).where(wanted, watch_day.c.day >= since)
    return [(row.name, day_of(row)) for row in connection.execute(query.order_by(series.c.name, watch_day.c.day))]
