"""Readings out of databases, end to end; their passwords end nowhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from forecaster.errors import SourceError
from forecaster.sources import without_password
from forecaster.sources.simulated import simulated_table

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "correct horse%battery"  # noqa: S105 - of a role that lives for one test
WRITTEN = "correct%20horse%25battery"
SIMULATED = "simulated://lab?days=60&seed=1"
COLUMNS = 'time_point {time}, "user" text, value double precision, tag text, id bigint'


@pytest.fixture(scope="module")
def rows() -> list[tuple[Any, ...]]:
    return list(simulated_table(SIMULATED).itertuples(index=False, name=None))


@pytest.fixture
def guarded(postgres_url: str, rows: list[tuple[Any, ...]]) -> Iterator[str]:
    """A database that lets `keeper` in only with a password; gives host and path of its URL."""
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        hba = owner.execute("SHOW hba_file").fetchone()
        assert hba is not None
        before = Path(hba[0]).read_text()
        owner.execute("DROP TABLE IF EXISTS temperature")
        owner.execute(f"CREATE TABLE temperature ({COLUMNS.format(time='timestamp')})")
        with owner.cursor() as cursor, cursor.copy("COPY temperature FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        owner.execute(f"CREATE ROLE keeper LOGIN PASSWORD '{PASSWORD}'")
        owner.execute("GRANT SELECT ON temperature TO keeper")
        Path(hba[0]).write_text("host all keeper all scram-sha-256\n" + before)
        owner.execute("SELECT pg_reload_conf()")
        try:
            yield postgres_url.rpartition("@")[2]
        finally:
            Path(hba[0]).write_text(before)
            owner.execute("SELECT pg_reload_conf()")
            owner.execute("DROP TABLE temperature")
            owner.execute("DROP ROLE keeper")


def files_with(word: bytes, folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and word in path.read_bytes()]


def test_a_password_opens_the_database_and_is_kept_nowhere(workplace: Any, guarded: str) -> None:
    source = f"postgresql://keeper:{WRITTEN}@{guarded}"
    outcome = workplace.succeed("data", "--source", source, "--set", "dataset=guarded")
    assert outcome.result["dataset_version"] == "guarded:1"
    assert outcome.result["source"] == f"postgresql://keeper@{guarded}"
    assert outcome.result["dataset"]["rows"] == 8640
    for word in ("correct horse", WRITTEN):
        assert word not in outcome.stdout + outcome.stderr
        assert files_with(word.encode(), workplace.home) == []
    assert files_with(f"keeper@{guarded}".encode(), workplace.home), "the source without its password must be recorded"


def test_a_wrong_password_is_refused_and_not_told(workplace: Any, guarded: str) -> None:
    message = workplace.refuse(5, "data", "--source", f"postgresql://keeper:hunter2@{guarded}")
    assert "password authentication failed" in message
    assert "hunter2" not in message


def test_an_sqlite_table_is_the_same_dataset_as_the_source_it_was_filled_from(
    workplace: Any, smoke: Any, rows: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    path = tmp_path / "readings.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE temperature ({COLUMNS.format(time='text')})")
        connection.executemany("INSERT INTO temperature VALUES (?, ?, ?, ?, ?)", [(str(r[0]), *r[1:]) for r in rows])
    result = workplace.succeed("data", "--source", f"sqlite:///{path}", "--set", "dataset=from-sqlite").result
    assert result["dataset"]["rows"] == smoke.result["data"]["dataset"]["rows"]
    for key in ("rows_in", "rows_out", "first_time", "last_time", "segments"):
        assert result["cleaning"][key] == smoke.result["data"]["cleaning"][key]


@pytest.mark.parametrize(
    ("source", "kept", "password"),
    [
        ("postgresql://u:p%40w@h:5432/d", "postgresql://u@h:5432/d", "p@w"),
        ("postgresql+psycopg://u:a@h/d?password=b&sslmode=prefer", "postgresql+psycopg://u@h/d?sslmode=prefer", "b"),
        ("postgresql://u@h/d", "postgresql://u@h/d", None),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db", None),
        ("room:kitchen@home.csv", "room:kitchen@home.csv", None),
        ("simulated://lab?days=3", "simulated://lab?days=3", None),
    ],
)
def test_a_source_is_parted_from_its_password(source: str, kept: str, password: str | None) -> None:
    assert without_password(source) == (kept, password)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("postgresql://u:hunter@2@h/d", "'@' in its password or host: write it as %40"),
        ("postgresql://u@h/d?sslpassword=hunter2", "use a key without a passphrase"),
        ("postgresql://u:hunter2@h:port/d", "is not a database URL"),
    ],
)
def test_a_password_that_cannot_be_parted_is_refused_and_not_told(source: str, told: str) -> None:
    with pytest.raises(SourceError, match=told) as caught:
        without_password(source)
    assert "hunter" not in str(caught.value)
