"""Readings from the table `temperature` of an SQLite or PostgreSQL database."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from sqlalchemy import (
    URL,
    Text,
    cast,
    column,
    create_engine,
    func,
    inspect,
    literal_column,
    make_url,
    select,
    table,
)
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, InterfaceError, OperationalError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.elements import quoted_name

from forecaster.errors import ReadingError, ServiceUnavailable, SourceError
from forecaster.sources import masked
from forecaster.sources.csv import readings_frame
from forecaster.sources.selection import ID, TAG, TIME, USER, VALUE, choose, quoted, require_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import ColumnElement, Connection, FromClause

    from forecaster.sources.selection import Selection

TABLE = "temperature"
DRIVERS = {"postgresql": "postgresql+psycopg"}  # SQLAlchemy's own default is psycopg 2
SECONDS_TO_CONNECT = 10

COUNTS = ("count(*)", "count(time_point)", "count(value)")
# As text, because an infinite timestamp has no Python value.
EXTREMES = tuple(f"CAST({extreme}({name}) AS text)" for name in (TIME, VALUE) for extreme in ("min", "max"))
# Sums that bind each value to its time. Decimal sums in PostgreSQL are exact, so that the order of a scan does not
# show; SQLite has no hash function, seconds times value stand in for it.
SUMS = {
    "postgresql": (
        "sum(CAST(value AS numeric))",
        "sum(CAST(hashtextextended(concat(CAST(time_point AS text), '|', CAST(value AS text)), 0) AS numeric))",
    ),
    "sqlite": (
        "sum(value)",
        "sum(CAST(strftime('%s', time_point) AS INTEGER))",
        "sum(CAST(strftime('%s', time_point) AS INTEGER) * value)",
    ),
}


def read(source: str, selection: Selection) -> pd.DataFrame:
    """The readings of one series in a database.

    The table `temperature` has the columns `time_point` (text or timestamp) and `value`, and `user` and `tag` where
    they are selected by. Rows come in the order of `id` where there is one, else of `time_point`. Timestamps with
    time zone are read as UTC.

    Returns:
        Readings frame.

    Raises:
        SourceError: no such file, table, column or series; not a database; no right to read it.
        ReadingError: times or values that are none.
        ServiceUnavailable: the database does not answer.
    """
    name = masked(source)
    with _connected(source) as connection:
        columns = _columns(connection, selection, name)
        of_series = {key: _text(columns, key) for key in (USER, TAG)}
        pairs = connection.execute(select(*of_series.values()).select_from(_table()).distinct()).all()
        chosen = choose([(row[0], row[1]) for row in pairs], selection, name)
        wanted = [of_series[key] == value for key, value in zip(of_series, chosen, strict=True)]
        query = select(columns[TIME], columns[VALUE]).select_from(_table()).where(*wanted)
        rows = connection.execute(query.order_by(columns.get(ID, columns[TIME]))).all()
    return readings_frame(*(pd.Series([row[at] for row in rows], dtype=object) for at in (0, 1)))


def fingerprint(source: str, selection: Selection) -> str:
    """SHA-256 of one aggregate query over the selected rows, and of the selection.

    The query takes the counts, the extremes of time and value, and sums. In PostgreSQL the sum of a 64-bit hash of
    each row's time and value is among them: a change goes unseen only if hashes collide. SQLite sums the value, the
    whole seconds of the time, and their product, so these go unseen: a change below one second of a time that is
    neither the first nor the last; several changes at once that keep all three sums and the extremes; a change of
    values smaller than the rounding of their sum. In both, a change of the order of rows and of the column `id` is
    unseen: cleaning sorts by time.

    Raises:
        SourceError, ReadingError, ServiceUnavailable: as `read` does.
    """
    with _connected(source) as connection:
        columns = _columns(connection, selection, masked(source))
        texts = (*COUNTS, *EXTREMES, *SUMS[connection.dialect.name])
        aggregates: list[ColumnElement[Any]] = [literal_column(text) for text in texts]
        wanted = [_text(columns, key) == value for key, value in selection.wanted.items()]
        row = connection.execute(select(*aggregates).select_from(_table()).where(*wanted)).one()
    return hashlib.sha256(repr((selection, [str(value) for value in row])).encode()).hexdigest()


def without_password(source: str) -> tuple[str, str | None]:
    """A PostgreSQL URL without its password, and the password.

    Raises:
        SourceError: not a database URL, or one with `sslpassword`, which the client library reads nowhere else.
    """
    url, query = _url(source), dict(make_url(source).query)
    if "sslpassword" in query:
        message = f"{masked(source)!r} has the parameter 'sslpassword': use a key without a passphrase"
        raise SourceError(message)
    if "@" in (url.host or ""):
        message = f"{masked(source)!r} has an '@' in its password or host: write it as %40"
        raise SourceError(message)
    in_query = query.pop("password", None)  # which the driver prefers
    password = in_query if isinstance(in_query, str) else url.password
    kept = URL.create(make_url(source).drivername, url.username, None, url.host, url.port, url.database, query)
    return kept.render_as_string(hide_password=False), password


@contextmanager
def _connected(source: str) -> Iterator[Connection]:
    """A connection whose failures become errors of ours, without passwords."""
    url = _url(source)
    options = {"connect_timeout": SECONDS_TO_CONNECT} if url.get_backend_name() == "postgresql" else {}
    engine = create_engine(url, poolclass=NullPool, connect_args=options)
    try:
        with engine.connect() as connection:
            if options:
                connection.exec_driver_sql("SET TIME ZONE 'UTC'")
            yield connection
    except (OperationalError, InterfaceError) as error:
        message = f"database {masked(source)!r} does not answer ({_reason(error, url)}): start it or correct the URL"
        raise ServiceUnavailable(message) from None
    except DataError as error:
        message = f"database {masked(source)!r} holds what cannot be read ({_reason(error, url)}): correct these rows"
        raise ReadingError(message) from None
    except DatabaseError as error:
        message = f"database {masked(source)!r} cannot be read ({_reason(error, url)}): check file, table and rights"
        raise SourceError(message) from None


def _url(source: str) -> URL:
    try:
        url = make_url(source)
    except (ArgumentError, ValueError):
        message = f"{masked(source)!r} is not a database URL: expected dialect://user:password@host:port/database"
        raise SourceError(message) from None
    if url.get_backend_name() == "sqlite":
        # SQLite would create the file.
        if not url.database or not (url.database.startswith("file:") or Path(url.database).is_file()):
            message = (
                f"database file {url.database!r} does not exist: give sqlite:///relative or sqlite:////absolute/path"
            )
            raise SourceError(message)
        return url
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


def _reason(error: DatabaseError | InterfaceError, url: URL) -> str:
    text = " ".join(str(error.orig).split())
    return text.replace(url.password, "***") if isinstance(url.password, str) and url.password else text


def _table() -> FromClause:
    return table(TABLE)


def _columns(connection: Connection, selection: Selection, name: str) -> Mapping[str, ColumnElement[Any]]:
    inspector = inspect(connection)
    if not inspector.has_table(TABLE):
        there = quoted(inspector.get_table_names()) or "none"
        message = f"{name!r} has no table {TABLE!r}: its tables are {there}"
        raise SourceError(message)
    names = [found["name"] for found in inspector.get_columns(TABLE)]
    require_columns(names, selection, name)
    # Quoted because "user" is a reserved word.
    return {key: column(quoted_name(key, quote=True)) for key in (TIME, VALUE, USER, TAG, ID) if key in names}


def _text(columns: Mapping[str, ColumnElement[Any]], key: str) -> ColumnElement[Any]:
    """A column as text, "" for NULL or where there is no such column."""
    return func.coalesce(cast(columns[key], Text), "") if key in columns else literal_column("''")
