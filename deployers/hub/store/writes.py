"""What the writer executes: every kind of work as a record, and its statements."""

from __future__ import annotations

import functools
import math
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg

from deployers.exceptions import Conflict, DeployerError, InputError, NotFound
from deployers.hub.store import models
from deployers.hub.store.records import (
    SOURCES,
    VALUES_MAX,
    Kept,
    StoredReading,
    checked_microcelsius,
    checked_name,
    checked_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Connection, Table

    from deployers.hub.store.records import StoredForecast
    from deployers.protocol.messages import Reading

SERIES_MAX = 10_000  # a sender that makes up names must not fill the disk with them
NAMES_AT_ONCE = 500  # bound parameters of one statement
EXPIRE_ROWS = 1000
SQLITE = sqlite.dialect(paramstyle="named")
POSTGRESQL = psycopg.dialect()  # type: ignore[no-untyped-call]
U32 = 2**32

reading, forecast, series = models.reading, models.forecast, models.series


@dataclass(frozen=True, slots=True)
class Work:
    """Something to do in a transaction."""

    @property
    def rows(self) -> int:
        """How many rows it may write, for the bound on what waits."""
        return 1


@dataclass(frozen=True, slots=True)
class Nothing(Work):
    """A transaction that changes nothing: whether there can be one."""


@dataclass(frozen=True, slots=True)
class KeepReadings(Work):
    """Store readings, each with its series."""

    readings: Sequence[tuple[str, Reading]]

    @property
    def rows(self) -> int:
        """One a reading."""
        return len(self.readings)

    @classmethod
    def checked(cls, readings: Sequence[tuple[str, Reading]]) -> Self:
        """After all that could be refused has been looked at.

        Raises:
            InputError: a name, time or value that no reading has.
        """
        for name in {name for name, _ in readings}:
            checked_name(name)
        for _, item in readings:
            checked_time(item.time_ms)
            checked_microcelsius(item.microcelsius)
        return cls(readings)


@dataclass(frozen=True, slots=True)
class KeepForecasts(Work):
    """Store forecasts."""

    forecasts: Sequence[StoredForecast]

    @property
    def rows(self) -> int:
        """One a forecast."""
        return len(self.forecasts)

    @classmethod
    def checked(cls, forecasts: Sequence[StoredForecast]) -> Self:
        """After all that could be refused has been looked at.

        Raises:
            InputError: a field that no forecast has.
        """
        for item in forecasts:
            checked_name(item.series)
            checked_time(item.time_ms)
            checked_time(item.received_ms)
            _check_forecast(item)
        return cls(forecasts)


@dataclass(frozen=True, slots=True)
class Correct(Work):
    """Give a reading another value."""

    reading: int
    microcelsius: int

    @classmethod
    def checked(cls, number: int, microcelsius: int) -> Self:
        """Likewise."""
        return cls(number, checked_microcelsius(microcelsius))


@dataclass(frozen=True, slots=True)
class Remove(Work):
    """Remove a reading."""

    reading: int


@dataclass(frozen=True, slots=True)
class Expire(Work):
    """Remove the first rows of a table, at most `EXPIRE_ROWS`, that were received before a time."""

    table: str
    before_ms: int

    @property
    def rows(self) -> int:
        """As many as it may remove."""
        return EXPIRE_ROWS


@dataclass(frozen=True, slots=True)
class Execute(Work):
    """Statements of a part that keeps tables of its own."""

    statements: Callable[[Connection], Any]


@dataclass
class Cache:
    """What the writer need not ask the database again: ids of series, and the latest time that it stamped."""

    clock: Callable[[], float]
    ids: dict[str, int] = field(default_factory=dict)
    stamped_ms: int | None = None

    def clear(self) -> None:
        """Forget it: a transaction was taken back."""
        self.ids.clear()
        self.stamped_ms = None

    def stamp(self, connection: Connection) -> int:
        """Now, but never earlier than a stamp before: rows expire in the order in which they came.

        A Jetson without a battery for its clock starts years back, and what it stores then must not be taken for old.
        """
        if self.stamped_ms is None:
            newest = select(reading.c.received_ms).order_by(reading.c.id.desc()).limit(1)
            self.stamped_ms = connection.scalar(newest) or 0
        self.stamped_ms = max(self.stamped_ms, round(self.clock() * 1000))
        return self.stamped_ms


def perform(connection: Connection, works: Sequence[Work], cache: Cache) -> list[Any]:
    """Do all of it in the open transaction.

    Returns:
        One result each; what one of them refuses for itself, having written nothing, is an exception as result.
    """
    results: dict[int, Any] = {}
    readings = {at: work for at, work in enumerate(works) if isinstance(work, KeepReadings)}
    forecasts = {at: work for at, work in enumerate(works) if isinstance(work, KeepForecasts)}
    if readings:
        results.update(zip(readings, _keep_readings(connection, list(readings.values()), cache), strict=True))
    if forecasts:
        _keep_forecasts(connection, [item for work in forecasts.values() for item in work.forecasts], cache)
        results.update(dict.fromkeys(forecasts))
    for at, work in enumerate(works):
        if at not in results:
            results[at] = _single(connection, work)
    return [results[at] for at in range(len(works))]


def encode_celsius(values: Sequence[float]) -> bytes:
    """Little-endian float64."""
    return struct.pack(f"<{len(values)}d", *values)


def decode_celsius(content: bytes) -> tuple[float, ...]:
    """The inverse of `encode_celsius`."""
    return struct.unpack(f"<{len(content) // 8}d", content)


def _check_forecast(item: StoredForecast) -> None:
    if item.source not in SOURCES:
        msg = f"source of a forecast {item.source!r}: expected one of {SOURCES}"
        raise InputError(msg)
    if not (0 <= item.version < U32 and 0 <= item.slot_state < 256):
        msg = f"version {item.version!r} with slot state {item.slot_state!r}: expected numbers of 32 and 8 bits"
        raise InputError(msg)
    if not 1 <= len(item.celsius) <= VALUES_MAX or not all(map(math.isfinite, item.celsius)):
        msg = f"forecast {item.celsius!r}: expected 1 to {VALUES_MAX} finite values, make it again"
        raise InputError(msg)


def _keep_readings(connection: Connection, works: Sequence[KeepReadings], cache: Cache) -> list[Kept]:
    ids = _series_ids(connection, {name for work in works for name, _ in work.readings}, cache)
    now = cache.stamp(connection)
    rows = [
        {"series_id": ids[name], "time_ms": item.time_ms, "microcelsius": item.microcelsius, "received_ms": now}
        for work in works
        for name, item in work.readings
    ]
    highest = connection.scalar(select(func.max(reading.c.id))) or 0
    if _insert_new(connection, reading, rows) == len(rows):
        return [Kept(len(work.readings), 0, 0) for work in works]
    return _tell_apart(connection, works, ids, highest)


def _tell_apart(connection: Connection, works: Sequence[KeepReadings], ids: dict[str, int], highest: int) -> list[Kept]:
    """Which readings were new, by the ids that they have now; the exception, so it may cost."""
    found = connection.execute(
        select(reading.c.series_id, reading.c.time_ms, reading.c.microcelsius).where(reading.c.id > highest)
    )
    fresh = {(row[0], row[1]): int(row[2]) for row in found}
    unclaimed = set(fresh)
    keys = {(ids[name], item.time_ms) for work in works for name, item in work.readings}
    there = fresh | _values_at(connection, keys - unclaimed)
    kept, different = list[Kept](), dict[int, int]()
    for work in works:
        counts = [0, 0, 0]
        for name, item in work.readings:
            key = (ids[name], item.time_ms)
            kind = 0 if key in unclaimed else 1 if there[key] == item.microcelsius else 2
            unclaimed.discard(key)
            counts[kind] += 1
            if kind == 2:
                different[key[0]] = different.get(key[0], 0) + 1
        kept.append(Kept(*counts))
    for number, count in different.items():
        changed = update(series).where(series.c.id == number)
        connection.execute(changed.values(different=series.c.different + count))
    return kept


def _values_at(connection: Connection, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    times: dict[int, list[int]] = defaultdict(list)
    for number, time_ms in keys:
        times[number].append(time_ms)
    values: dict[tuple[int, int], int] = {}
    for number, wanted in times.items():
        for some in _chunks(wanted):
            query = select(reading.c.time_ms, reading.c.microcelsius)
            found = connection.execute(query.where(reading.c.series_id == number, reading.c.time_ms.in_(some)))
            values.update({(number, row[0]): int(row[1]) for row in found})
    return values


def _keep_forecasts(connection: Connection, forecasts: Sequence[StoredForecast], cache: Cache) -> None:
    ids = _series_ids(connection, {item.series for item in forecasts}, cache)
    rows = [
        {
            "series_id": ids[item.series],
            "source": SOURCES.index(item.source),
            "time_ms": item.time_ms,
            "version": item.version,
            "slot_state": item.slot_state,
            "celsius": encode_celsius(item.celsius),
            "received_ms": item.received_ms,
        }
        for item in forecasts
    ]
    _insert_new(connection, forecast, rows)


def _insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert what breaks no unique constraint, and count it."""
    if not rows:
        return 0
    return connection.exec_driver_sql(_insert(connection.dialect.name, table, tuple(rows[0])), rows).rowcount


@functools.cache
def _insert(dialect: str, table: Table, columns: tuple[str, ...]) -> str:
    """As text: SQLAlchemy would compile an insert with a conflict clause anew each time, which costs more than it."""
    if dialect == "sqlite":
        # The driver takes rows by name in this style only.
        return str(sqlite.insert(table).on_conflict_do_nothing().compile(dialect=SQLITE, column_keys=columns))
    return str(
        postgresql.insert(table).inline().on_conflict_do_nothing().compile(dialect=POSTGRESQL, column_keys=columns)
    )


def _series_ids(connection: Connection, names: set[str], cache: Cache) -> dict[str, int]:
    missing = sorted(names - cache.ids.keys())
    if missing:
        _find(connection, missing, cache)
        new = [name for name in missing if name not in cache.ids]
        if new:
            _require_room(connection, new)
            _insert_new(connection, series, [{"name": name} for name in new])
            _find(connection, new, cache)
    return cache.ids


def _find(connection: Connection, names: Sequence[str], cache: Cache) -> None:
    for some in _chunks(names):
        found = connection.execute(select(series.c.name, series.c.id).where(series.c.name.in_(some)))
        cache.ids.update({row[0]: row[1] for row in found})


def _require_room(connection: Connection, new: Sequence[str]) -> None:
    there = connection.scalar(select(func.count()).select_from(series)) or 0
    if there + len(new) > SERIES_MAX:
        msg = f"series {new[0]!r} would be one more than {SERIES_MAX}: expected names of sensors, not of readings"
        raise Conflict(msg)


def _single(connection: Connection, work: Work) -> Any:
    try:
        if isinstance(work, Correct):
            return _correct(connection, work)
        if isinstance(work, Remove):
            return _remove(connection, work)
        if isinstance(work, Expire):
            return _expire(connection, work)
        if isinstance(work, Execute):
            return work.statements(connection)
    except DeployerError as refusal:
        return refusal
    return None


def _correct(connection: Connection, work: Correct) -> StoredReading:
    there = find_reading(connection, work.reading)
    if there.microcelsius != work.microcelsius:
        changed = update(reading).where(reading.c.id == work.reading)
        connection.execute(changed.values(microcelsius=work.microcelsius))
        _raise_revision(connection, there.series)
    return StoredReading(there.id, there.series, there.time_ms, work.microcelsius, there.received_ms)


def _remove(connection: Connection, work: Remove) -> StoredReading:
    there = find_reading(connection, work.reading)
    connection.execute(delete(reading).where(reading.c.id == work.reading))
    ours = select(series.c.id).where(series.c.name == there.series).scalar_subquery()
    connection.execute(delete(forecast).where(forecast.c.series_id == ours, forecast.c.time_ms == there.time_ms))
    _raise_revision(connection, there.series)
    return there


def find_reading(connection: Connection, number: int) -> StoredReading:
    """A reading by its id.

    Raises:
        NotFound: no such reading.
    """
    columns = (reading.c.id, series.c.name, reading.c.time_ms, reading.c.microcelsius, reading.c.received_ms)
    query = select(*columns).join_from(reading, series).where(reading.c.id == number)
    # Beyond 64 bits neither database would compare it.
    row = connection.execute(query).one_or_none() if 0 < number < 2**63 else None
    if row is None:
        msg = f"reading {number!r} is not there: expected the id of a stored one, GET /temperatures lists them"
        raise NotFound(msg)
    return StoredReading(*row)


def _raise_revision(connection: Connection, name: str) -> None:
    connection.execute(update(series).where(series.c.name == name).values(revision=series.c.revision + 1))


def _expire(connection: Connection, work: Expire) -> int:
    table = {"reading": reading, "forecast": forecast}[work.table]
    oldest = connection.execute(select(table.c.id, table.c.received_ms).order_by(table.c.id).limit(EXPIRE_ROWS)).all()
    # Up to the first that is younger: rows are in the order in which they came.
    young = next((at for at, row in enumerate(oldest) if row[1] >= work.before_ms), len(oldest))
    if young:
        connection.execute(delete(table).where(table.c.id <= oldest[young - 1][0]))
    return young


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[at : at + NAMES_AT_ONCE] for at in range(0, len(items), NAMES_AT_ONCE))
