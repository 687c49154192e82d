"""What was asked of the training side: one row a request, from when it is asked to what came of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import case, delete, distinct, func, insert, or_, select, update

from deployers.exceptions import NotFound
from deployers.hub.store import models

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Row, Select

State = Literal["waiting", "running", "done", "failed", "refused"]
Trigger = Literal["alarm", "drift", "readings", "schedule", "person"]
OPEN: tuple[State, ...] = ("waiting", "running")
STATES: tuple[State, ...] = (*OPEN, "done", "failed", "refused")
DAY_MS = 86_400_000
DAYS_KEPT = 400

table, reading, series = models.retraining, models.reading, models.series


@dataclass(frozen=True)
class Retraining:
    """One request.

    Attributes:
        id: rises with every request.
        series: whose model is to be trained.
        trigger: what asked.
        cause: names it more closely: one alarm has one cause however often it is looked at.
        reason: one line for people.
        numbers: what it was decided by.
        asked_ms, started_ms, ended_ms: ms since 1970; None before.
        state: waiting, running, done (there is an answer), failed, or refused.
        job: id of the job that ran it.
        reading_id: of the last reading that was stored when it started.
        answer: what came of it, with `challenger` (None where there is none) and `reason`; see
            `deployers.hub.retraining.answers`.
    """

    id: int
    series: str
    trigger: Trigger
    cause: str
    reason: str
    numbers: dict[str, Any]
    asked_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None
    state: State = "waiting"
    job: str | None = None
    reading_id: int | None = None
    answer: dict[str, Any] | None = None

    @property
    def challenger(self) -> dict[str, Any] | None:
        """The model that came of it: model, version, alias, test, baselines, promotion; None where none did."""
        found: dict[str, Any] | None = (self.answer or {}).get("challenger")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class Stock(NamedTuple):
    """Readings of one series.

    Attributes:
        days: of how many days there are some.
        received_ms: when the hub had the first that is stored.
        fresh: how many came since the last retraining of the series started; all of them where there was none.
    """

    days: int
    received_ms: int
    fresh: int


def newest(connection: Connection, last: int) -> list[Retraining]:
    """The last requests, the newest first."""
    return _found(connection, _all().order_by(table.c.id.desc()).limit(last))


def get(connection: Connection, number: int) -> Retraining:
    """One request.

    Raises:
        NotFound: there is none of this id.
    """
    for found in _found(connection, _all().where(table.c.id == number)):
        return found
    msg = f"retraining {number!r} is not known here, expected an id of GET /retraining: they are kept {DAYS_KEPT} days"
    raise NotFound(msg)


def that_matter(connection: Connection, since_ms: int) -> list[Retraining]:
    """What decides on others, by id.

    These are the requests that are open or have started since, and of each series the last that started and the last
    that was refused.
    """
    last_started = select(func.max(table.c.id)).where(table.c.started_ms.is_not(None)).group_by(table.c.series_id)
    last_refused = select(func.max(table.c.id)).where(table.c.state == "refused").group_by(table.c.series_id)
    wanted = or_(
        table.c.state.in_(OPEN),
        table.c.started_ms > since_ms,
        table.c.id.in_(last_started),
        table.c.id.in_(last_refused),
    )
    return _found(connection, _all().where(wanted).order_by(table.c.id))


def add(connection: Connection, wanted: Retraining) -> Retraining:
    """Keep a request, of a series that is stored, under an id of its own; forget those that are very old."""
    number = connection.execute(select(series.c.id).where(series.c.name == wanted.series)).scalar_one()
    fields = wanted.as_dict()
    row = {name: fields[name] for name in fields if name not in {"id", "series"}}
    row |= {"series_id": number, "numbers": json.dumps(wanted.numbers), "answer": _json(wanted.answer)}
    made = connection.execute(insert(table).values(row)).inserted_primary_key
    assert made is not None  # noqa: S101 - one row was inserted
    old = table.c.asked_ms < wanted.asked_ms - DAYS_KEPT * DAY_MS
    connection.execute(delete(table).where(old, table.c.state.not_in(OPEN)))
    return get(connection, made[0])


def change(connection: Connection, number: int, **fields: Any) -> Retraining:
    """Give a request other values of its fields."""
    if "answer" in fields:
        fields["answer"] = _json(fields["answer"])
    connection.execute(update(table).where(table.c.id == number).values(fields))
    return get(connection, number)


def last_reading(connection: Connection) -> int:
    """Id of the last reading that is stored."""
    return connection.scalar(select(func.max(reading.c.id))) or 0


def by_state(connection: Connection) -> dict[str, int]:
    """How many requests there are of each state."""
    found = connection.execute(select(table.c.state, func.count()).group_by(table.c.state))
    return {**dict.fromkeys(STATES, 0), **{row[0]: row[1] for row in found}}


def stock(connection: Connection, names: Iterable[str] | None = None) -> dict[str, Stock]:
    """Readings of some series, or of all, in one statement. It counts them all, so it costs more the more there are."""
    wanted = select(series.c.id) if names is None else select(series.c.id).where(series.c.name.in_(sorted(names)))
    started = select(table.c.series_id, func.max(table.c.reading_id).label("reading_id"))
    before = started.where(table.c.started_ms.is_not(None)).group_by(table.c.series_id).subquery()
    is_fresh = reading.c.id > func.coalesce(before.c.reading_id, 0)
    # Only columns of the index that readings are unique by: no row is looked at.
    counted = (
        select(
            reading.c.series_id,
            func.count(distinct(reading.c.time_ms // DAY_MS)).label("days"),
            func.min(reading.c.id).label("first_id"),
            func.sum(case((is_fresh, 1), else_=0)).label("fresh"),
        )
        .outerjoin_from(reading, before, before.c.series_id == reading.c.series_id)
        .where(reading.c.series_id.in_(wanted))
        .group_by(reading.c.series_id)
        .subquery()
    )
    figures = (counted.c.days, reading.c.received_ms, counted.c.fresh)
    query = select(series.c.name, *figures).join_from(counted, series, series.c.id == counted.c.series_id)
    query = query.join(reading, reading.c.id == counted.c.first_id)
    return {row[0]: Stock(*map(int, row[1:])) for row in connection.execute(query)}


def _all() -> Select[Any]:
    return select(table, series.c.name.label("series")).join_from(table, series)


def _found(connection: Connection, query: Select[Any]) -> list[Retraining]:
    return [_retraining(row) for row in connection.execute(query)]


def _retraining(row: Row[Any]) -> Retraining:
    fields = dict(row._mapping)  # noqa: SLF001 - its public name
    del fields["series_id"]
    fields["numbers"] = json.loads(fields["numbers"])
    fields["answer"] = None if fields["answer"] is None else json.loads(fields["answer"])
    return Retraining(**fields)


def _json(answer: dict[str, Any] | None) -> str | None:
    return None if answer is None else json.dumps(answer)
