"""Engines for SQLite and PostgreSQL, and what their errors mean to a caller."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from deployers.exceptions import DeployerError, InputError, ServiceUnavailable
from deployers.hub.store import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

Found = TypeVar("Found")

DRIVERS = {"postgresql": "postgresql+psycopg"}  # SQLAlchemy's own default is psycopg 2
EXPECTED = "sqlite:///path or postgresql://user:password@host:port/database"
SECONDS_TO_CONNECT = 10
BUSY_SECONDS = 5.0  # how long a writer waits for another process before it refuses
UPGRADE_SECONDS = 60.0  # the other process may be updating a large database
WAL_BYTES = 16 * 1024 * 1024  # the log is cut back to this after a burst
# One number for every hub: two that share a PostgreSQL database write one after the other, so that ids rise in the
# order of commits, and who has seen an id has seen all below it. SQLite has one writer anyway.
WRITER_LOCK = 0x6564_6765_6C6F_6F70
ADVICE = {
    "full": "free space on its disk",
    "locked": "end the other process that holds it",
    "readonly": "give the hub's account the right to write it",
    "unable to open": "make its folder and give the hub's account the right to write there",
}


class Database:
    """One database, by its URL.

    Args:
        url: of an SQLite file or a PostgreSQL database.

    Raises:
        InputError: another URL.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.name = self._url.render_as_string(hide_password=True)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self._reading = self._sqlite("BEGIN", read_only=True) if self.is_sqlite else self._postgresql()
        self._writing = self._sqlite("BEGIN IMMEDIATE", read_only=False) if self.is_sqlite else self._postgresql()

    def upgrade(self) -> None:
        """Make the tables, or bring them to this hub's revision; another process may do the same at this moment.

        Raises:
            InputError: not a database, or one that a newer hub has written.
            ServiceUnavailable: it does not answer, or cannot be written.
        """
        try:
            with self._explained():
                self._upgrade()
        finally:
            # Who is refused leaves no connection open, and those of the writer shall not wait as long.
            self._writing.dispose()

    def connect(self) -> Connection:
        """A connection for the writer; its errors are the driver's own."""
        return self._writing.connect()

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """A transaction of the only writer; its errors are the driver's own."""
        with connection.begin():
            self._lock(connection)
            yield

    def read(self, query: Callable[[Connection], Found]) -> Found:
        """What a query finds, in one transaction.

        Raises:
            ServiceUnavailable: the database does not answer.
        """
        with self._explained(), self._reading.connect() as connection, connection.begin():
            return query(connection)

    def dispose(self) -> None:
        """Close what is open."""
        self._reading.dispose()
        self._writing.dispose()

    def explain(self, error: Exception) -> Exception:
        """An error of the driver as one of ours; others as they are."""
        if isinstance(error, DeployerError) or not isinstance(error, DBAPIError | PoolTimeoutError):
            return error
        reason = self._reason(error)
        if isinstance(error, DataError | IntegrityError):
            return InputError(f"database {self.name!r} does not take this ({reason}): correct what was sent")
        if isinstance(error.orig if isinstance(error, DBAPIError) else None, sqlite3.DatabaseError) and (
            "not a database" in reason or "malformed" in reason
        ):
            return InputError(f"file {self.name!r} is damaged or no database ({reason}): restore it from a copy")
        advice = next((what for sign, what in ADVICE.items() if sign in reason), "start it or correct its URL")
        return ServiceUnavailable(f"database {self.name!r} does not answer ({reason}): {advice}")

    def _upgrade(self) -> None:
        if self.is_sqlite:
            self._make_file()
        with self._writing.connect() as connection:
            if self.is_sqlite:
                _wait_long(connection)
            with connection.begin():
                self._lock(connection)
                migrate.upgrade(connection, self.name)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeoutError) as error:
            raise self.explain(error) from None
        except OSError as error:
            msg = f"database {self.name!r} cannot be opened ({error.strerror}): {ADVICE['unable to open']}"
            raise ServiceUnavailable(msg) from None

    def _reason(self, error: DBAPIError | PoolTimeoutError) -> str:
        text = " ".join(str(getattr(error, "orig", None) or error).split())
        password = self._url.password
        return text.replace(str(password), "***") if password else text

    def _lock(self, connection: Connection) -> None:
        if not self.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")

    def _make_file(self) -> None:
        """An empty file that only its owner reads; SQLite gives its log the same rights."""
        path = Path(str(self._url.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))

    def _sqlite(self, begin: str, *, read_only: bool) -> Engine:
        engine = create_engine(self._url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

        def prepare(connection: sqlite3.Connection, _: Any) -> None:
            # The driver would begin transactions by itself, and only before statements that it takes for writing.
            connection.isolation_level = None
            _set_wal(connection)
            # FULL: COMMIT waits until the log is on the disk. In WAL mode NORMAL would lose the last transactions when
            # the power goes, and boards forget a reading once it is acknowledged.
            pragmas = ["synchronous=FULL", "foreign_keys=ON", f"journal_size_limit={WAL_BYTES}", "temp_store=MEMORY"]
            for pragma in (*pragmas, f"query_only={'ON' if read_only else 'OFF'}"):
                connection.execute(f"PRAGMA {pragma}")

        event.listen(engine, "connect", prepare)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    def _postgresql(self) -> Engine:
        engine = create_engine(
            self._url, pool_pre_ping=True, pool_size=4, connect_args={"connect_timeout": SECONDS_TO_CONNECT}
        )

        def prepare(connection: Any, _: Any) -> None:
            # Whatever the server's default is: what is acknowledged is on its disk.
            with connection.cursor() as cursor:
                cursor.execute("SET synchronous_commit TO on")
                cursor.execute(f"SET lock_timeout TO {int(BUSY_SECONDS * 1000)}")
            connection.commit()

        event.listen(engine, "connect", prepare)
        return engine


def _parsed(text: str) -> URL:
    """The URL, if it is one that a store can be kept at."""
    try:
        url = make_url(text)
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        msg = f"store URL {_without_password(text)!r}: expected {EXPECTED}"
        raise InputError(msg) from None
    shown = url.render_as_string(hide_password=True)
    if url.drivername not in ("sqlite", "sqlite+pysqlite", *DRIVERS.values()):
        msg = f"store URL {shown!r}: expected {EXPECTED}"
        raise InputError(msg)
    in_memory = not url.database or url.database == ":memory:" or url.database.startswith("file:")
    if url.get_backend_name() == "sqlite" and in_memory:
        msg = f"store URL {shown!r} names no file, and what is acknowledged must stay: expected {EXPECTED}"
        raise InputError(msg)
    return url


def _without_password(text: str) -> str:
    """A text that is no URL, without what stands between its scheme and the last @."""
    scheme, sign, rest = text.partition("://")
    return f"{scheme}{sign}***@{rest.rpartition('@')[2]}" if "@" in rest else text


def _set_wal(connection: sqlite3.Connection) -> None:
    """Readers beside a writer. The file keeps the mode; while another process sets it, SQLite does not wait."""
    deadline = time.monotonic() + UPGRADE_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _wait_long(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA busy_timeout={int(UPGRADE_SECONDS * 1000)}")
    connection.rollback()
