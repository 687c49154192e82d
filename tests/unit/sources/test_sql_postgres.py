"""PostgreSQL, the real one: timestamps, names, failures and fingerprints."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from forecaster.errors import ReadingError, ServiceUnavailable, SourceError
from forecaster.sources import Selection, fingerprint, read_readings
from forecaster.sources.simulated import simulated_table
from forecaster.sources.sql import _reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANY = Selection()
KITCHEN = Selection("kitchen")
TABLE = 'CREATE TABLE temperature (time_point timestamp, "user" text, value double precision, tag text, id bigint)'
ROWS = """INSERT INTO temperature VALUES
('2024-01-01 00:10:00.5', 'kitchen', 20.25, 'indoor', 2), ('2024-01-01 00:00:00', 'kitchen', 20.5, 'indoor', 1),
('2024-01-01 00:20:00', 'garage', 5, 'outdoor', 3), ('2024-01-01 00:20:00', 'kitchen', 20, 'indoor', 4)"""


@pytest.fixture
def database(postgres_url: str) -> Iterator[Callable[..., str]]:
    """Runs statements and gives the URL; the tables are gone after each test."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:

        def run(*statements: str) -> str:
            for statement in statements:
                connection.execute(statement)
            return postgres_url

        try:
            yield run
        finally:
            run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


def refused(source: str, kind: type[Exception], message: str, selection: Selection = ANY) -> None:
    with pytest.raises(kind, match=message) as caught:
        read_readings(source, selection)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_one_series_is_read_in_the_order_of_id(database: Any, scheme: str) -> None:
    readings = read_readings(database(TABLE, ROWS).replace("postgresql", scheme), KITCHEN)
    assert readings["time"].dtype == "datetime64[us]"
    assert readings["time"].tolist() == [
        pd.Timestamp("2024-01-01T00:00:00"),
        pd.Timestamp("2024-01-01T00:10:00.5"),
        pd.Timestamp("2024-01-01T00:20:00"),
    ]
    assert readings["value"].tolist() == [20.5, 20.25, 20.0]


def test_timestamps_with_time_zone_are_read_as_utc_also_across_a_clock_change(database: Any) -> None:
    url = database(
        "CREATE TABLE temperature (time_point timestamptz, value real)",
        "INSERT INTO temperature VALUES ('2024-03-31 00:30+01', 1), ('2024-03-31 12:00+02', 2)",
        "ALTER ROLE edgeloop SET timezone = 'Europe/Berlin'",
    )
    try:
        times, elsewhere = read_readings(url, ANY)["time"], fingerprint(url, ANY)
    finally:
        database("ALTER ROLE edgeloop RESET timezone")
    assert fingerprint(url, ANY) == elsewhere
    assert times.tolist() == [pd.Timestamp("2024-03-30T23:30:00"), pd.Timestamp("2024-03-31T10:00:00")]


def test_text_times_and_decimal_values_will_do(database: Any) -> None:
    url = database(
        'CREATE TABLE temperature (time_point text, value numeric(6,4), "user" integer)',
        "INSERT INTO temperature VALUES ('2024-01-01T00:00:00.25', 20.0625, 7), ('2024-01-01T00:10', 20.125, 7)",
    )
    readings = read_readings(url, Selection("7"))
    assert readings["value"].tolist() == [20.0625, 20.125]
    assert readings["time"].iloc[0] == pd.Timestamp("2024-01-01T00:00:00.25")


def test_a_simulated_table_survives_the_way_through_the_database(database: Any, postgres_url: str) -> None:
    uri = "simulated://lab?days=3&gaps=2&duplicates=0.1"
    database(TABLE)
    rows = list(simulated_table(uri).itertuples(index=False, name=None))
    with psycopg.connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO temperature VALUES (%s, %s, %s, %s, %s)", rows)
    pd.testing.assert_frame_equal(read_readings(postgres_url, ANY), read_readings(uri, ANY))


def test_the_selection_is_a_bound_value_not_a_part_of_the_statement(database: Any) -> None:
    url = database(TABLE, ROWS)
    refused(url, SourceError, "no rows for user", Selection("x' OR '1'='1"))
    database("INSERT INTO temperature VALUES ('2024-01-01', 'o''hara 100%s', 1, 'indoor', 9)")
    assert read_readings(url, Selection("o'hara 100%s"))["value"].tolist() == [1.0]


def test_missing_tables_columns_rows_and_series_are_named(database: Any) -> None:
    url = database("CREATE TABLE other (a text)")
    refused(url, SourceError, "has no table 'temperature': its tables are 'other'")
    database("CREATE TABLE temperature (time_point text, celsius real)")
    refused(url, SourceError, r"lacks the column\(s\) 'value': its columns are 'time_point', 'celsius'")
    database("DROP TABLE temperature", TABLE)
    refused(url, SourceError, "holds no rows")
    database(ROWS)
    refused(url, SourceError, "holds 2 series .*--user and --tag")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("NULL, 'a', 1, 'b', 2", "time None in row 2"),
        ("'infinity', 'a', 1, 'b', 2", "holds what cannot be read .*timestamp"),
        ("'2024-01-01', 'a', NULL, 'b', 2", "1 of 2 values are not finite numbers, the first is None in row 2"),
        ("'2024-01-01', 'a', 'NaN', 'b', 2", "the first is nan in row 2"),
        ("'2024-01-01', 'a', '-Infinity', 'b', 2", "the first is -inf in row 2"),
    ],
)
def test_times_and_values_are_checked(database: Any, row: str, message: str) -> None:
    url = database(TABLE, "INSERT INTO temperature VALUES ('2024-01-01', 'a', 1, 'b', 1)")
    fingerprint(url, ANY)
    database("INSERT INTO temperature VALUES (" + row + ")")  # noqa: S608 - rows of this test
    assert len(fingerprint(url, ANY)) == 64
    refused(url, ReadingError, message)


@pytest.mark.parametrize("read", [read_readings, fingerprint])
def test_a_database_that_is_down_does_not_answer_and_no_password_is_told(read: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, never listening: a connection is refused
        url = f"postgresql://reader:hunter2@127.0.0.1:{unused.getsockname()[1]}/db"
        with pytest.raises(ServiceUnavailable, match=r"reader:\*\*\*@.*does not answer") as caught:
            read(url, ANY)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_database_does_not_answer(postgres_url: str) -> None:
    refused(postgres_url.replace("/postgres", "/nowhere"), ServiceUnavailable, '"nowhere" does not exist')


def test_a_table_without_the_right_to_read_it_is_refused(database: Any) -> None:
    url = database(TABLE, "CREATE ROLE stranger LOGIN", "GRANT USAGE ON SCHEMA public TO stranger")
    try:
        refused(url.replace("edgeloop@", "stranger:hunter2@"), SourceError, "permission denied for table temperature")
    finally:
        database("DROP OWNED BY stranger", "DROP ROLE stranger")


@pytest.mark.parametrize("url", ["postgresql://reader:hunter2@host:port/db", "postgresql://a:hunter2@[::1/db"])
def test_a_malformed_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SourceError, match="is not a database URL") as caught:
        read_readings(url, ANY)
    assert "hunter2" not in str(caught.value)


def test_a_password_in_the_words_of_the_driver_is_masked() -> None:
    error = OperationalError("", None, Exception("no entry for reader\nwith hunter2"))
    assert _reason(error, make_url("postgresql://reader:hunter2@host/db")) == "no entry for reader with ***"
    assert _reason(error, make_url("postgresql://reader@host/db")).endswith("hunter2")


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO temperature VALUES ('2024-01-01T00:05:00', 'kitchen', 20.25, 'indoor', 9)",
        "DELETE FROM temperature WHERE id = 2",
        "UPDATE temperature SET value = 20.125 WHERE id = 2",
        "UPDATE temperature SET value = NULL WHERE id = 2",
        "UPDATE temperature SET time_point = '2024-01-01T00:10:00.500001' WHERE id = 2",
        "UPDATE temperature SET value = CASE id WHEN 1 THEN 20.25 ELSE 20.5 END WHERE id IN (1, 2)",
        "UPDATE temperature SET \"user\" = 'garage' WHERE id = 2",
    ],
)
def test_the_fingerprint_sees_changes_of_selected_rows(database: Any, change: str) -> None:
    url = database(TABLE, ROWS)
    before = fingerprint(url, KITCHEN)
    assert fingerprint(url, KITCHEN) == before
    database(change)
    assert fingerprint(url, KITCHEN) != before


def test_the_fingerprint_sees_neither_other_rows_nor_the_order_nor_the_password(database: Any) -> None:
    url = database(TABLE, ROWS)
    before = fingerprint(url, KITCHEN)
    database("UPDATE temperature SET value = 6 WHERE id = 3", "UPDATE temperature SET tag = tag WHERE id = 1")
    assert fingerprint(url, KITCHEN) == before
    assert fingerprint(url.replace("edgeloop@", "edgeloop:hunter2@"), KITCHEN) == before
