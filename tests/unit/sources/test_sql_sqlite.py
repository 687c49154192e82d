"""SQLite: what is read, what is refused, and what the fingerprint sees."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from forecaster.errors import ReadingError, ServiceUnavailable, SourceError
from forecaster.sources import Selection, fingerprint, read_readings
from forecaster.sources.simulated import simulated_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANY = Selection()
TABLE = 'CREATE TABLE temperature (time_point TEXT, "user" TEXT, value REAL, tag TEXT, id INTEGER)'
ROWS = [
    ("2024-01-01T00:10:00.5", "kitchen", 20.25, "indoor", 2),
    ("2024-01-01T00:00:00", "kitchen", 20.5, "indoor", 1),
    ("2024-01-01 00:20:00", "garage", 5.0, "outdoor", 3),
    ("2024-01-01 00:20:00", "kitchen", 20.0, "indoor", 4),
]
KITCHEN = Selection("kitchen")


@pytest.fixture
def database(tmp_path: Path) -> Callable[..., str]:
    """Runs statements on a database file and gives its URL."""

    def run(*statements: str, rows: list[tuple[Any, ...]] | None = None) -> str:
        with closing(sqlite3.connect(tmp_path / "hub.db")) as connection, connection:
            for statement in statements:
                connection.execute(statement)
            if rows:
                marks = ",".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO temperature VALUES ({marks})", rows)  # noqa: S608 - marks only
        return f"sqlite:///{tmp_path}/hub.db"

    return run


def refused(source: str, kind: type[Exception], message: str, selection: Selection = ANY) -> None:
    with pytest.raises(kind, match=message) as caught:
        read_readings(source, selection)
    assert "\n" not in str(caught.value)


def test_one_series_is_read_in_the_order_of_id(database: Any) -> None:
    readings = read_readings(database(TABLE, rows=ROWS), KITCHEN)
    assert readings["time"].dtype == "datetime64[us]"
    assert readings["time"].tolist() == [
        pd.Timestamp("2024-01-01T00:00:00"),
        pd.Timestamp("2024-01-01T00:10:00.5"),
        pd.Timestamp("2024-01-01T00:20:00"),
    ]
    assert readings["value"].tolist() == [20.5, 20.25, 20.0]
    assert isinstance(readings.index, pd.RangeIndex)


def test_without_id_the_order_is_that_of_time(database: Any) -> None:
    url = database("CREATE TABLE temperature (time_point TEXT, value REAL)", rows=[row[:3:2] for row in ROWS[:2]])
    assert read_readings(url, ANY)["value"].tolist() == [20.5, 20.25]


def test_a_view_and_an_integer_user_will_do(database: Any) -> None:
    view = 'CREATE VIEW temperature AS SELECT t AS time_point, v AS value, 7 AS "user" FROM raw'
    url = database("CREATE TABLE raw (t TEXT, v REAL)", "INSERT INTO raw VALUES ('2024-01-01', 20.5)", view)
    assert read_readings(url, Selection("7"))["value"].tolist() == [20.5]


def test_a_simulated_table_survives_the_way_through_a_database(tmp_path: Path) -> None:
    uri = "simulated://lab?days=3&gaps=2&duplicates=0.1"
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        simulated_table(uri).to_sql("temperature", connection, index=False)
    pd.testing.assert_frame_equal(read_readings(f"sqlite:///{tmp_path}/a.db", ANY), read_readings(uri, ANY))


def test_the_selection_is_a_bound_value_not_a_part_of_the_statement(database: Any) -> None:
    url = database(TABLE, rows=ROWS)
    refused(url, SourceError, "no rows for user", Selection("x' OR '1'='1"))
    strange = "o'hara; DROP TABLE temperature"
    database(rows=[("2024-01-01", strange, 1.0, "indoor", 9)])
    assert read_readings(url, Selection(strange))["value"].tolist() == [1.0]
    assert len(read_readings(url, KITCHEN)) == 3


def test_several_series_and_wrong_names_say_what_there_is(database: Any) -> None:
    url = database(TABLE, rows=ROWS)
    refused(url, SourceError, "holds 2 series .*'garage'/'outdoor', 'kitchen'/'indoor'.*--user and --tag")
    refused(url, SourceError, "no rows for user 'kitchn'.*did you mean 'kitchen'", Selection("kitchn"))


def test_rows_without_a_user_are_a_series_of_their_own(database: Any) -> None:
    url = database(TABLE, rows=[("2024-01-01", None, 1.0, None, 1)])
    assert read_readings(url, ANY)["value"].tolist() == [1.0]
    database(rows=[("2024-01-01", "a", 2.0, None, 2)])
    refused(url, SourceError, "holds 2 series .*''/'', 'a'/''")


def test_missing_tables_columns_and_rows_are_named(database: Any) -> None:
    url = database("CREATE TABLE other (a TEXT)")
    refused(url, SourceError, "has no table 'temperature': its tables are 'other'")
    database("CREATE TABLE temperature (time_point TEXT, celsius REAL)")
    refused(url, SourceError, r"lacks the column\(s\) 'value', 'tag': its columns are 'time_point', 'celsius'", TAGGED)
    database("DROP TABLE temperature", TABLE)
    refused(url, SourceError, "holds no rows")


TAGGED = Selection(None, "indoor")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("soon", "a", 1.0, "b", 5), "time 'soon' in row 2 is not a time"),
        ((None, "a", 1.0, "b", 5), "time None in row 2"),
        ((1704067200, "a", 1.0, "b", 5), "time '1704067200' in row 2"),
        (("2024-01-01T00:10:00Z", "a", 1.0, "b", 5), "only some have one"),
        (("2024-01-01", "a", None, "b", 5), "1 of 2 values are not finite numbers, the first is None in row 2"),
        (("2024-01-01", "a", "warm", "b", 5), "the first is 'warm' in row 2"),
    ],
)
def test_times_and_values_are_checked(database: Any, row: tuple[Any, ...], message: str) -> None:
    refused(database(TABLE, rows=[("2024-01-01", "a", 1.0, "b", 1), row]), ReadingError, message)


@pytest.mark.parametrize("read", [read_readings, fingerprint])
def test_a_file_that_is_no_database_is_refused_and_none_is_made(tmp_path: Path, read: Any) -> None:
    missing = tmp_path / "none.db"
    with pytest.raises(SourceError, match=r"database file '.*none\.db' does not exist"):
        read(f"sqlite:///{missing}", ANY)
    assert not missing.exists()
    with pytest.raises(SourceError, match="does not exist"):
        read("sqlite://", ANY)
    missing.write_text("time_point,value\n" * 100)
    with pytest.raises(SourceError, match="file is not a database"):
        read(f"sqlite:///{missing}", ANY)


def test_a_locked_database_does_not_answer(database: Any, tmp_path: Path) -> None:
    url = database(TABLE, rows=ROWS)
    with closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        refused(url + "?timeout=0.01", ServiceUnavailable, "does not answer .*locked")


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO temperature VALUES ('2024-01-01T00:05:00', 'kitchen', 20.25, 'indoor', 9)",
        "INSERT INTO temperature VALUES (NULL, 'kitchen', NULL, 'indoor', 9)",
        "DELETE FROM temperature WHERE id = 2",
        "UPDATE temperature SET value = 20.125 WHERE id = 2",
        "UPDATE temperature SET value = NULL WHERE id = 2",
        "UPDATE temperature SET time_point = '2024-01-01T00:10:01.5' WHERE id = 2",
        "UPDATE temperature SET time_point = NULL WHERE id = 2",
        "UPDATE temperature SET time_point = '2024-01-01 00:20:00.5' WHERE id = 4",
        "UPDATE temperature SET value = CASE id WHEN 1 THEN 20.25 ELSE 20.5 END WHERE id IN (1, 2)",
        "UPDATE temperature SET \"user\" = 'garage' WHERE id = 2",
    ],
)
def test_the_fingerprint_sees_changes_of_selected_rows(database: Any, change: str) -> None:
    url = database(TABLE, rows=ROWS)
    before = fingerprint(url, KITCHEN)
    assert fingerprint(url, KITCHEN) == before
    database(change)
    assert fingerprint(url, KITCHEN) != before


def test_the_fingerprint_does_not_see_other_rows_nor_where_the_file_is(database: Any, tmp_path: Path) -> None:
    url = database(TABLE, rows=ROWS)
    before = fingerprint(url, KITCHEN)
    database("UPDATE temperature SET value = 6 WHERE id = 3")
    assert fingerprint(url, KITCHEN) == before
    (tmp_path / "hub.db").rename(tmp_path / "moved.db")
    assert fingerprint(f"sqlite:///{tmp_path}/moved.db", KITCHEN) == before
