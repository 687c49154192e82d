"""CSV files: what is read, and what is refused with which words."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from forecaster.errors import ReadingError, SourceError
from forecaster.sources import Selection, fingerprint, read_readings
from forecaster.sources.csv import parse_times, parse_values
from forecaster.sources.simulated import simulated_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANY = Selection()
ROWS = """,time_point,user,value,tag,id
0,2024-01-01T00:00:01.250000,kitchen,20.5,indoor,7
1,2024-01-01 00:10:02,kitchen,20.25,indoor,8
2,2024-01-01T00:20:00.5,kitchen,20,indoor,9
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str | bytes], str]:
    """Writes a file and gives its path."""

    def write(content: str | bytes, name: str = "readings.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def refused(source: str, kind: type[Exception], message: str, selection: Selection = ANY) -> None:
    with pytest.raises(kind, match=message) as caught:
        read_readings(source, selection)
    assert "\n" not in str(caught.value)


def test_a_file_becomes_a_readings_frame(written: Any) -> None:
    readings = read_readings(written(ROWS), ANY)
    assert list(readings.columns) == ["time", "value"]
    assert readings["time"].dtype == "datetime64[us]"
    assert readings["value"].dtype == "float64"
    assert isinstance(readings.index, pd.RangeIndex)
    assert readings["value"].tolist() == [20.5, 20.25, 20.0]
    assert readings["time"].tolist() == [
        pd.Timestamp("2024-01-01T00:00:01.25"),
        pd.Timestamp("2024-01-01T00:10:02"),
        pd.Timestamp("2024-01-01T00:20:00.5"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "value,time_point\n20.5,2024-01-01T00:00:00\n",
        "id,tag,value,user,time_point\n1,in,20.5,a,2024-01-01 00:00\n",
        "time_point,user,value,tag,id\n2024-01-01T00:00:00.000000,a,20.5,in,3\n",
        "\ufefftime_point,value\r\n2024-01-01T00:00:00,20.5\r\n",
        'time_point,value,note\n2024-01-01T00:00:00,20.5,"a, ""b"""\n',
    ],
)
def test_columns_come_in_any_order_and_others_are_ignored(written: Any, content: str) -> None:
    readings = read_readings(written(content), ANY)
    assert readings["value"].tolist() == [20.5]
    assert readings["time"].tolist() == [pd.Timestamp("2024-01-01")]


def test_gzip_is_known_by_content_not_by_name(written: Any) -> None:
    plain = read_readings(written(ROWS), ANY)
    pd.testing.assert_frame_equal(read_readings(written(gzip.compress(ROWS.encode()), "a.csv"), ANY), plain)
    pd.testing.assert_frame_equal(read_readings(written(ROWS, "plain.csv.gz"), ANY), plain)


def test_rows_keep_their_order(written: Any) -> None:
    content = "time_point,value\n2024-01-02,2\n2024-01-01,1\n2024-01-02,2\n"
    assert read_readings(written(content), ANY)["value"].tolist() == [2, 1, 2]


def test_the_selected_series_alone_is_read_and_checked(written: Any) -> None:
    content = ROWS + "3,broken,garage,n/a,outdoor,9\n4,2024-01-01T00:30:00,kitchen,bad,outdoor,9\n"
    source = written(content)
    assert len(read_readings(source, Selection("kitchen", "indoor"))) == 3
    refused(source, ReadingError, "time 'broken' in row 4", Selection("garage"))
    refused(source, ReadingError, "'bad' in row 5", Selection("kitchen", "outdoor"))


def test_several_series_need_a_selection(written: Any) -> None:
    source = written(ROWS + "3,2024-01-01T00:20:00,garage,5,outdoor,9\n")
    refused(source, SourceError, r"holds 2 series .*'garage'/'outdoor'.*--user and --tag")
    refused(source, SourceError, "no rows for user 'garag'.*did you mean 'garage'", Selection("garag"))


def test_a_simulated_table_survives_the_way_through_a_file(tmp_path: Path) -> None:
    uri = "simulated://lab?days=3&gaps=2&duplicates=0.1"
    simulated_table(uri).to_csv(tmp_path / "a.csv.gz")
    pd.testing.assert_frame_equal(read_readings(str(tmp_path / "a.csv.gz"), ANY), read_readings(uri, ANY))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (gzip.compress(b""), "is empty"),
        (gzip.compress(ROWS.encode())[:-12], "damaged gzip"),
        (gzip.compress(ROWS.encode())[:20] + b"\0" * 40, "damaged gzip"),
        (bytes(range(256)) * 4, "not a CSV file: expected text in UTF-8"),
        (b"PAR1\0\0,\0\0\0", "not a CSV file"),
        (ROWS.encode("utf-16"), "not a CSV file: expected text in UTF-8"),
        (b"only\n1\n2\n", "has one column, 'only': expected columns separated by commas"),
        (b"time_point;value\n2024-01-01;20\n", "has one column, 'time_point;value'"),
        (b"time_point,value\n2024-01-01,20\n2024-01-01,20,1,2,3\n", "not a CSV file.*line 3"),
        (b"time_point,value\n", "holds no rows"),
        (b"when,value\n2024-01-01,20\n", r"lacks the column\(s\) 'time_point': its columns are 'when', 'value'"),
    ],
)
def test_files_that_are_no_readings_are_refused(written: Any, content: bytes, message: str) -> None:
    refused(written(content), SourceError, message)


@pytest.mark.parametrize("read", [read_readings, fingerprint])
def test_paths_that_are_no_files_are_refused(tmp_path: Path, read: Any) -> None:
    with pytest.raises(SourceError, match=r"none\.csv' cannot be read \(No such file"):
        read(str(tmp_path / "none.csv"), ANY)
    with pytest.raises(SourceError, match="is a directory: give the path of a CSV file"):
        read(str(tmp_path), ANY)
    with pytest.raises(SourceError, match="cannot be read"):
        read("a\0b", ANY)


def test_a_selected_column_must_be_there(written: Any) -> None:
    source = written("time_point,value\n2024-01-01,20\n")
    refused(source, SourceError, r"lacks the column\(s\) 'user'", Selection("a"))
    refused(source, SourceError, r"lacks the column\(s\) 'tag'", Selection(None, "a"))


def test_the_fingerprint_follows_the_bytes(written: Any) -> None:
    first = fingerprint(written(ROWS, "a.csv"), ANY)
    assert fingerprint(written(ROWS, "b.csv"), ANY) == first
    assert fingerprint(written(ROWS.replace("20.5", "20.6"), "a.csv"), ANY) != first


def column(*cells: Any) -> pd.Series:
    return pd.Series(list(cells), dtype=object)


@pytest.mark.parametrize(
    ("times", "first"),
    [
        (["2024-01-01T00:00:00+02:00", "2024-01-01 00:10:00.5+0200"], "2023-12-31T22:00:00"),
        (["2024-01-01T00:00:00Z", "2024-01-01T00:10:00+00:00"], "2024-01-01T00:00:00"),
        (["2024-01-01T00:00:00.1234567"], "2024-01-01T00:00:00.123456"),
        ([datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))], "2024-01-01T00:00:00"),
        ([datetime(2024, 1, 1)], "2024-01-01T00:00:00"),  # noqa: DTZ001
    ],
)
def test_one_offset_becomes_utc_and_none_stays_as_it_is(times: list[Any], first: str) -> None:
    parsed = parse_times(column(*times))
    assert parsed.dtype == "datetime64[us]"
    assert parsed.iloc[0] == pd.Timestamp(first)


def test_timestamp_columns_are_taken_as_they_are() -> None:
    times = pd.Series(pd.date_range("2024-01-01", periods=3, freq="h"), index=[5, 6, 7])
    pd.testing.assert_series_equal(parse_times(times), times.astype("datetime64[us]"))
    berlin = parse_times(times.dt.tz_localize("Europe/Berlin"))
    assert berlin.iloc[0] == pd.Timestamp("2023-12-31T23:00:00")


@pytest.mark.parametrize(
    "times",
    [
        ["2024-01-01T00:00:00Z", "2024-01-01T00:10:00"],
        ["2024-01-01T00:00:00", "2024-01-01T00:10:00Z"],
        ["2024-01-01T00:00:00+01:00", "2024-01-01T00:10:00+02:00"],
        ["2024-01-01T00:00:00", datetime(2024, 1, 1, tzinfo=UTC)],
        [datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)],  # noqa: DTZ001
    ],
)
def test_two_clocks_in_one_series_are_refused(times: list[Any]) -> None:
    with pytest.raises(ReadingError, match=r"different offsets or only some have one, .* in row 1 and .* in row 2"):
        parse_times(column(*times))


@pytest.mark.parametrize(
    "time", ["", "n/a", "now", "2024", "20240101", "01.02.2024", "2024-13-01", "2024-01-01T25:00", "9999-01-01", None]
)
def test_the_first_time_that_is_none_is_shown_with_its_row(time: Any) -> None:
    with pytest.raises(ReadingError, match="in row 2 is not a time: expected ISO 8601") as caught:
        parse_times(column("2024-01-01", time, "worse"))
    assert f"time {time!r}" in str(caught.value)


@pytest.mark.parametrize("time", [5.0, 1704067200, pd.NaT])
def test_what_only_resembles_a_time_is_refused(time: Any) -> None:
    with pytest.raises(ReadingError, match="in row 2 is not a time"):
        parse_times(column(datetime(2024, 1, 1), time))  # noqa: DTZ001


def test_missing_timestamps_in_a_timestamp_column_are_refused() -> None:
    with pytest.raises(ReadingError, match="in row 2 is not a time"):
        parse_times(pd.Series([pd.Timestamp("2024-01-01"), pd.NaT]))


@pytest.mark.parametrize("wrong", ["", "warm", "nan", "NaN", "inf", "-Infinity", "1e999", "20,5", None, np.nan, np.inf])
def test_values_that_are_no_numbers_are_counted_and_the_first_is_shown(wrong: Any) -> None:
    with pytest.raises(ReadingError, match=r"2 of 4 values are not finite numbers, the first is .* in row 2") as caught:
        parse_values(column("20.5", wrong, "1e1", wrong))
    assert f"the first is {wrong!r} in row" in str(caught.value)


def test_values_of_every_numeric_kind_are_read() -> None:
    parsed = parse_values(column("20.5", " 21 ", "1e1", Decimal("19.25"), 3, 4.5))
    assert parsed.tolist() == [20.5, 21.0, 10.0, 19.25, 3.0, 4.5]
    assert parse_values(pd.Series([1, 2])).dtype == np.float64
