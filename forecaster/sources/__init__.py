"""Where readings come from: a CSV file, an SQL database, a hub or the simulated sensor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from forecaster.errors import SourceError
from forecaster.sources.selection import Selection

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Selection", "fingerprint", "is_on_disk", "masked", "read_readings", "without_password"]

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
POSTGRESQL = ("postgresql://", "postgresql+psycopg://")
SQL_SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg")
HUB_SCHEMES = ("hub", "hub+https")
# Greedy up to the last @: a password that was not percent-encoded may hold any character.
PASSWORD = re.compile(r"(?s)^([A-Za-z][A-Za-z0-9+.-]*://[^:/@]*:).*@")
PASSWORD_PARAMETER = re.compile(r"(?i)([?&](?:ssl)?password=)[^&]*")


class _Kind(Protocol):
    def read(self, source: str, selection: Selection) -> pd.DataFrame: ...

    def fingerprint(self, source: str, selection: Selection) -> str: ...


def read_readings(source: str, selection: Selection) -> pd.DataFrame:
    """One series of readings, in the order of the source.

    Args:
        source: `simulated://…`, `hub://host:port/series`, an SQLAlchemy URL of SQLite or PostgreSQL, or the path of a
            CSV file.
        selection: the wanted user and tag.

    Returns:
        Columns `time` (datetime64[us], naive) and `value` (float64, °C).

    Raises:
        SourceError: the source is missing, unreadable, lacks columns or rows, or holds several series.
        ReadingError: times or values that are none.
        ConfigError: a parameter of the simulated sensor.
        ServiceUnavailable: the database or the hub does not answer.
    """
    return _kind(source).read(source, selection)


def fingerprint(source: str, selection: Selection) -> str:
    """A cheap key that changes when the selected readings do: 64 hexadecimal digits.

    A file: SHA-256 of its bytes and the selection; it also changes when only other rows of the file do. The simulated
    sensor: its parameters, defaults written out. A hub: the marker of its series. A database: one aggregate query, and
    what that can miss is told in `forecaster.sources.sql.fingerprint`.

    Raises:
        SourceError, ConfigError, ServiceUnavailable: as `read_readings` does.
    """
    return _kind(source).fingerprint(source, selection)


def without_password(source: str) -> tuple[str, str | None]:
    """A source that may be stored, and the password it came with.

    A PostgreSQL URL loses its password: the client library takes it from the environment variable PGPASSWORD.

    Raises:
        SourceError: not a database URL, or one with a password that PGPASSWORD cannot stand for.
    """
    if not source.startswith(POSTGRESQL):
        return source, None
    from forecaster.sources import sql  # noqa: PLC0415

    return sql.without_password(source)


def is_on_disk(source: str) -> bool:
    """Whether it is a file, so that only machines with this disk can read it: CSV, or SQLite."""
    scheme = SCHEME.match(source)
    return scheme is None or scheme[1] == "sqlite"


def masked(source: str) -> str:
    """The source without passwords, for messages and reports."""
    return PASSWORD_PARAMETER.sub(r"\1***", PASSWORD.sub(r"\1***@", source))


def _kind(source: str) -> _Kind:
    # Imported on use: a served model reads CSV columns on machines that have no SQLAlchemy.
    from forecaster.sources import csv, simulated  # noqa: PLC0415

    scheme = SCHEME.match(source)
    if scheme is None:
        return csv
    if scheme[1] == "simulated":
        return simulated
    if scheme[1] in HUB_SCHEMES:
        from forecaster.sources import hub  # noqa: PLC0415

        return hub
    if scheme[1] not in SQL_SCHEMES:
        known = ", ".join(f"{name}://" for name in ("simulated", *SQL_SCHEMES, *HUB_SCHEMES))
        message = f"source {masked(source)!r} has the unknown scheme {scheme[1]!r}: expected {known} or a CSV path"
        raise SourceError(message)
    from forecaster.sources import sql  # noqa: PLC0415

    return sql
