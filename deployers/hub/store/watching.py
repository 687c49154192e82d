"""What the monitor reads and keeps: arrivals in the order in which they came, its states, its days.

Each function costs a fixed number of statements, however many series there are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select

from deployers.hub.store import models
from deployers.hub.store.records import SOURCES, StoredForecast, StoredReading
from deployers.hub.store.writes import decode_celsius

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

reading, forecast, series = models.reading, models.forecast, models.series
watch, watch_day, watch_cursor = models.watch, models.watch_day, models.watch_cursor

ONLY = 1  # id of the one row of the cursor
DAYS_KEPT = 400


class Cursor(NamedTuple):
    """The last reading and the last forecast that the monitor has looked at, by their ids."""

    reading: int
    forecast: int


class Arrival(NamedTuple):
    """A stored forecast with its id, which rises in the order of arrival."""

    id: int
    forecast: StoredForecast


class Arrivals(NamedTuple):
    """What came after a cursor, each list in the order in which it came."""

    readings: list[StoredReading]
    forecasts: list[Arrival]


@dataclass
class DaySums:
    """Errors of one source and version at the readings of one day.

    Attributes:
        day: days since 1970, in the readings' own time.
        source: "board", "hub" or "shadow".
        version: of the image.
        counts: pairs of a forecast and its reading, one number a step ahead.
        model, persistence: sums of absolute errors in °C, likewise.
        is_masked: a sensor was at fault on this day.
    """

    day: int
    source: str
    version: int
    counts: list[float] = field(default_factory=list)
    model: list[float] = field(default_factory=list)
    persistence: list[float] = field(default_factory=list)
    is_masked: bool = False


@dataclass(frozen=True)
class Remembered:
    """What is kept at once, with the cursor up to which it was worked out.

    Attributes:
        cursor: as above.
        states: JSON by series.
        days: by series, those that changed.
    """

    cursor: Cursor
    states: dict[str, str]
    days: list[tuple[str, DaySums]]


def cursor(connection: Connection, most: int) -> Cursor:
    """Where the monitor has stopped; where it never ran, so that at most the newest `most` readings follow."""
    found = connection.execute(select(watch_cursor.c.reading_id, watch_cursor.c.forecast_id)).one_or_none()
    if found is not None:
        return Cursor(*found)
    newest = [connection.scalar(select(func.max(table.c.id))) or 0 for table in (reading, forecast)]
    return Cursor(max(0, newest[0] - most), max(0, newest[1] - len(SOURCES) * most))


def arrivals(connection: Connection, after: Cursor, limit: int) -> Arrivals:
    """The next readings and forecasts, at most `limit` of each."""
    columns = (reading.c.id, series.c.name, reading.c.time_ms, reading.c.microcelsius, reading.c.received_ms)
    found = select(*columns).join_from(reading, series).where(reading.c.id > after.reading)
    readings = [StoredReading(*row) for row in connection.execute(found.order_by(reading.c.id).limit(limit))]
    made = select(forecast, series.c.name).join_from(forecast, series).where(forecast.c.id > after.forecast)
    rows = connection.execute(made.order_by(forecast.c.id).limit(limit))
    forecasts = [
        Arrival(
            row.id,
            StoredForecast(
                row.name,
                SOURCES[row.source],
                row.time_ms,
                row.version,
                row.slot_state,
                decode_celsius(row.celsius),
                row.received_ms,
            ),
        )
        for row in rows
    ]
    return Arrivals(readings, forecasts)


def states(connection: Connection) -> dict[str, str]:
    """Every state by its series."""
    query = select(series.c.name, watch.c.content).join_from(watch, series)
    return {row.name: row.content for row in connection.execute(query)}


def days(connection: Connection, name: str, since: int) -> list[DaySums]:
    """The days of one series in their order, from one on."""
    wanted = select(watch_day).join_from(watch_day, series).where(series.c.name == name, watch_day.c.day >= since)
    rows = connection.execute(wanted.order_by(watch_day.c.day, watch_day.c.source, watch_day.c.version))
    return [day_of(row) for row in rows]


def day_of(row: Row[Any]) -> DaySums:
    """Of a row of the table."""
    return DaySums(row.day, SOURCES[row.source], row.version, *_decoded(row.sums), is_masked=bool(row.is_masked))


def remember(connection: Connection, kept: Remembered) -> None:
    """Keep it; what was there of the same series, days and cursor is replaced."""
    ids = _ids(connection, {*kept.states, *(name for name, _ in kept.days)})
    numbers = [{"series_id": ids[name], "content": content} for name, content in kept.states.items()]
    rows = [_row(ids[name], day) for name, day in kept.days]
    if numbers:
        connection.execute(delete(watch).where(watch.c.series_id.in_([row["series_id"] for row in numbers])))
        connection.execute(insert(watch), numbers)
    if rows:
        _replace_days(connection, rows)
    connection.execute(delete(watch_cursor))
    connection.execute(insert(watch_cursor).values(id=ONLY, reading_id=kept.cursor[0], forecast_id=kept.cursor[1]))


def _replace_days(connection: Connection, rows: list[dict[str, object]]) -> None:
    keys = ("series_id", "day", "source", "version")
    there = delete(watch_day)
    for key in keys:
        there = there.where(watch_day.c[key] == bindparam(f"b_{key}"))
    connection.execute(there, [{f"b_{key}": row[key] for key in keys} for row in rows])
    connection.execute(insert(watch_day), rows)
    old = delete(watch_day).where(watch_day.c.series_id == bindparam("b_series"), watch_day.c.day < bindparam("b_day"))
    newest = {row["series_id"]: row["day"] for row in rows}
    connection.execute(old, [{"b_series": each, "b_day": int(str(day)) - DAYS_KEPT} for each, day in newest.items()])


def _row(number: int, day: DaySums) -> dict[str, object]:
    return {
        "series_id": number,
        "day": day.day,
        "source": SOURCES.index(day.source),
        "version": day.version,
        "is_masked": int(day.is_masked),
        "sums": _encoded(day),
    }


def _ids(connection: Connection, names: set[str]) -> dict[str, int]:
    found = connection.execute(select(series.c.name, series.c.id).where(series.c.name.in_(sorted(names))))
    return {row.name: row.id for row in found}


def _encoded(day: DaySums) -> bytes:
    values = (*day.counts, *day.model, *day.persistence)
    return struct.pack(f"<{len(values)}d", *values)


def _decoded(content: bytes) -> tuple[list[float], list[float], list[float]]:
    values = list(decode_celsius(content))
    steps = len(values) // 3
    return values[:steps], values[steps : 2 * steps], values[2 * steps :]
