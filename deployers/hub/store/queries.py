"""What is read from the store; every function runs in one read transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from deployers.exceptions import InputError, NotFound
from deployers.hub.store import models
from deployers.hub.store.records import SOURCES, Place, SeriesView, StoredForecast, StoredReading
from deployers.hub.store.writes import decode_celsius, find_reading
from deployers.protocol.messages import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Select

    from deployers.hub.store.records import Filter

forecast, identity, stored, names = models.forecast, models.identity, models.reading, models.series

reading = find_reading


def readings(
    connection: Connection, series: str, since_ms: int | None, until_ms: int | None, last: int | None
) -> list[Reading]:
    """See `Store.readings`."""
    newest = stored.c.time_ms.desc()
    query = select(stored.c.time_ms, stored.c.microcelsius).where(_is_series(stored.c.series_id, series))
    query = query.where(*_within(stored.c.time_ms, since_ms, until_ms))
    query = query.order_by(stored.c.time_ms) if last is None else query.order_by(newest).limit(max(last, 0))
    found = [Reading(*row) for row in connection.execute(query)]
    return found if last is None else found[::-1]


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Which forecasts of a series are wanted, see `Store.forecasts`."""

    source: str | None
    version: int | None
    since_ms: int | None
    until_ms: int | None
    last: int | None

    def conditions(self) -> list[ColumnElement[bool]]:
        """For the table.

        Raises:
            InputError: an unknown source.
        """
        if self.source not in (None, *SOURCES):
            msg = f"source of forecasts {self.source!r}: expected one of {SOURCES}"
            raise InputError(msg)
        found = _within(forecast.c.time_ms, self.since_ms, self.until_ms)
        if self.source is not None:
            found.append(forecast.c.source == SOURCES.index(self.source))
        if self.version is not None:
            found.append(forecast.c.version == self.version)
        return found


def forecasts(connection: Connection, series: str, wanted: Forecasts) -> list[StoredForecast]:
    """See `Store.forecasts`."""
    order = (forecast.c.time_ms, forecast.c.source, forecast.c.version)
    query = select(*order, forecast.c.slot_state, forecast.c.celsius, forecast.c.received_ms)
    query = query.where(_is_series(forecast.c.series_id, series), *wanted.conditions())
    if wanted.last is None:
        return [_forecast(series, row) for row in connection.execute(query.order_by(*order))]
    query = query.order_by(*(column.desc() for column in order)).limit(max(wanted.last, 0))
    return [_forecast(series, row) for row in connection.execute(query)][::-1]


def series(connection: Connection, wanted: Filter) -> list[SeriesView]:
    """See `Store.series`."""
    store = connection.execute(select(identity.c.store)).scalar_one()
    columns = (func.count(), func.min(stored.c.time_ms), func.max(stored.c.time_ms), func.max(stored.c.id))
    views = []
    for row in connection.execute(select(names).order_by(names.c.name)).all():
        if wanted.matches(row.name):
            # Read out of the index of series and times alone.
            found = connection.execute(select(*columns).where(stored.c.series_id == row.id)).one()
            count, first, last, highest = found
            views.append(SeriesView(row.name, count, first, last, highest or 0, row.revision, row.different, store))
    return views


def page(
    connection: Connection, wanted: Filter, limit: int, beyond: Place | None, *, newest_first: bool
) -> tuple[list[StoredReading], Place | None]:
    """See `Store.page`: series by series, each a range of the index, so that no page costs more than its rows."""
    rows: list[StoredReading] = []
    place: Place | None = None
    for number, name in _matching(connection, wanted, beyond):
        after = beyond.time_ms if beyond is not None and beyond.series_id == number else None
        # One more than wanted tells whether there is a next page.
        query = _range(number, wanted, after, newest_first=newest_first).limit(limit + 1 - len(rows))
        rows += [StoredReading(row[0], name, row[1], row[2], row[3]) for row in connection.execute(query)]
        if rows and len(rows) <= limit:
            place = Place(number, rows[-1].time_ms)
        if len(rows) > limit:
            if limit and rows[limit - 1].series == name:
                place = Place(number, rows[limit - 1].time_ms)
            return rows[:limit], place
    return rows, None


def reading_at(connection: Connection, series: str, time_ms: int) -> StoredReading:
    """See `Store.reading_at`."""
    query = select(stored.c.id).where(_is_series(stored.c.series_id, series), stored.c.time_ms == time_ms)
    number = connection.scalar(query)
    if number is None:
        msg = f"series {series!r} has no reading at {time_ms!r} ms since 1970: GET /temperatures lists those there are"
        raise NotFound(msg)
    return find_reading(connection, number)


def _matching(connection: Connection, wanted: Filter, beyond: Place | None) -> list[tuple[int, str]]:
    query = select(names.c.id, names.c.name).order_by(names.c.id)
    if beyond is not None:
        query = query.where(names.c.id >= beyond.series_id)
    return [(row[0], row[1]) for row in connection.execute(query) if wanted.matches(row[1])]


def _range(series: int, wanted: Filter, after: int | None, *, newest_first: bool) -> Select[Any]:
    """The wanted readings of one series, behind the time of the last page."""
    time, key = stored.c.time_ms, stored.c.id
    conditions = [stored.c.series_id == series, *_within(time, wanted.since_ms, wanted.until_ms)]
    if after is not None:
        conditions.append(time < after if newest_first else time > after)
    if wanted.after_id is not None:
        conditions.append(key > wanted.after_id)
    if wanted.upto_id is not None:
        conditions.append(key <= wanted.upto_id)
    query = select(key, time, stored.c.microcelsius, stored.c.received_ms).where(*conditions)
    return query.order_by(time.desc() if newest_first else time)


def _is_series(column: ColumnElement[int], name: str) -> ColumnElement[bool]:
    return column == select(names.c.id).where(names.c.name == name).scalar_subquery()


def _within(time: ColumnElement[int], since_ms: int | None, until_ms: int | None) -> list[ColumnElement[bool]]:
    bounds: Sequence[ColumnElement[bool] | None] = (
        None if since_ms is None else time >= since_ms,
        None if until_ms is None else time < until_ms,
    )
    return [bound for bound in bounds if bound is not None]


def _forecast(series: str, row: Row[Any]) -> StoredForecast:
    values = decode_celsius(row.celsius)
    source = SOURCES[row.source]
    return StoredForecast(series, source, row.time_ms, row.version, row.slot_state, values, row.received_ms)
