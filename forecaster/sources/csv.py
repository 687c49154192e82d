"""Readings from a CSV file, plain or gzipped, and the parsing of times and values that all sources share."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import warnings
import zlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forecaster.errors import ReadingError, SourceError
from forecaster.sources.selection import TAG, TIME, USER, VALUE, choose, quoted, require_columns

if TYPE_CHECKING:
    from forecaster.sources.selection import Selection

GZIP = b"\x1f\x8b"
# Only what pandas is too lenient about: it takes a bare year for a time, and a time without offset that follows one
# with 'Z' for UTC. The digits are left to it.
TIME_TEXT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]+ ?([Zz+-].*)?)?$")
EXPECTED_TIME = "expected ISO 8601 such as '2024-01-31T08:00:00'"


def read(source: str, selection: Selection) -> pd.DataFrame:
    """The readings of one series in a CSV file.

    The file has a header and at least the columns `time_point` and `value`; `user` and `tag` are needed where they
    are selected by, all other columns are ignored. gzip is recognised by content.

    Returns:
        Readings frame in file order.

    Raises:
        SourceError: no such file, not a CSV, columns or rows missing, several series.
        ReadingError: times or values that are none, each with its row (1 is the first one below the header).
    """
    table = _table(source)
    require_columns(list(table.columns), selection, source)
    series = {name: table[name] if name in table else pd.Series("", table.index) for name in (USER, TAG)}
    pairs = pd.DataFrame(series).drop_duplicates()
    user, tag = choose(zip(pairs[USER], pairs[TAG], strict=True), selection, source)
    rows = table[(series[USER] == user) & (series[TAG] == tag)]
    return readings_frame(rows[TIME], rows[VALUE])


def fingerprint(source: str, selection: Selection) -> str:
    """SHA-256 of the file's bytes and the selection.

    Raises:
        SourceError: the file cannot be read.
    """
    digest = hashlib.sha256(_bytes(source))
    digest.update(repr(selection).encode())
    return digest.hexdigest()


def readings_frame(times: pd.Series, values: pd.Series) -> pd.DataFrame:
    """Readings frame of times and values as a source has them.

    Raises:
        ReadingError: see `parse_times` and `parse_values`.
    """
    return pd.DataFrame({"time": parse_times(times).to_numpy(), "value": parse_values(values).to_numpy()})


def parse_times(times: pd.Series) -> pd.Series:
    """Times as datetime64[us] without time zone, with the index of `times`.

    Args:
        times: ISO 8601 text with 'T' or space, with fraction or without, also mixed; or timestamps. Wall clock times
            without offset stay as they are. Times that all have the same offset are converted to UTC.

    Raises:
        ReadingError: a time that is none (the first one, with its row), times with and without offset, or
            different offsets: such a series has no single clock.
    """
    if times.dtype.kind != "M":
        _require_one_clock(times)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parsed = pd.to_datetime(times, format="ISO8601")
    except (ValueError, FutureWarning):
        raise ReadingError(_time_error(times)) from None
    if parsed.isna().any():
        raise ReadingError(_time_error(times))
    if parsed.dt.tz is not None:
        parsed = parsed.dt.tz_convert("UTC").dt.tz_localize(None)
    return parsed.astype("datetime64[us]")


def parse_values(values: pd.Series) -> pd.Series:
    """Values as float64, with the index of `values`.

    Raises:
        ReadingError: text, nothing, NaN or an infinity among them (how many, and the first with its row).
    """
    parsed = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(parsed))
    if len(wrong):
        first = values.iloc[wrong[0]]
        message = (
            f"{len(wrong)} of {len(values)} values are not finite numbers, the first is {_shown(first)} in row "
            f"{_row(values, wrong[0])}: expected °C, remove or correct these rows"
        )
        raise ReadingError(message)
    return pd.Series(parsed, values.index)


def _bytes(source: str) -> bytes:
    path = Path(source)
    if path.is_dir():
        message = f"source {source!r} is a directory: give the path of a CSV file in it"
        raise SourceError(message)
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        message = (
            f"source {source!r} cannot be read ({reason}): give an existing CSV file, a database URL or simulated://"
        )
        raise SourceError(message) from None


def _unpacked(source: str) -> bytes:
    content = _bytes(source)
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            message = f"source {source!r} is damaged gzip ({error}): copy or write the file again"
            raise SourceError(message) from None
    if not content.strip():
        message = f"source {source!r} is empty: expected a CSV file with a header and readings"
        raise SourceError(message)
    return content


def _decoded(source: str) -> str:
    content = _unpacked(source)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # also UTF-16, and binary data that happens to decode
        message = f"source {source!r} is not a CSV file: expected text in UTF-8, found binary data"
        raise SourceError(message)
    return text


def _table(source: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(io.StringIO(_decoded(source)), dtype=str, na_filter=False)
    except pd.errors.ParserError as error:
        message = f"source {source!r} is not a CSV file ({' '.join(str(error).split())}): make all rows alike"
        raise SourceError(message) from None
    if len(table.columns) == 1:
        message = f"source {source!r} has one column, {quoted(table.columns)}: expected columns separated by commas"
        raise SourceError(message)
    return table


def _require_one_clock(times: pd.Series) -> None:
    kinds: dict[bool, int] = {}
    for at, time in enumerate(times.to_numpy(dtype=object)):
        offset = _offset(time)
        if offset is None:
            raise ReadingError(_not_a_time(times, _first_unparsable(times.iloc[:at], at)))
        kinds.setdefault(bool(offset), at)
    if len(kinds) > 1:
        raise ReadingError(_two_clocks(times, *kinds.values()))


def _offset(time: object) -> str | None:
    """The offset as text, "" for a wall clock time, None for what is no time."""
    if isinstance(time, str):
        text = TIME_TEXT.match(time)
        return (text[1] or "") if text else None
    if not isinstance(time, datetime):
        return None
    return "" if time.tzinfo is None else str(time.utcoffset())


def _first_unparsable(times: pd.Series, otherwise: int) -> int:
    parsed = pd.to_datetime(times, format="ISO8601", errors="coerce", utc=True)
    wrong = np.flatnonzero(parsed.isna())
    return int(wrong[0]) if len(wrong) else otherwise


def _time_error(times: pd.Series) -> str:
    """Why pandas refused the times: the first that is none, else their offsets."""
    wrong = _first_unparsable(times, -1)
    if wrong >= 0:
        return _not_a_time(times, wrong)
    offsets: dict[str | None, int] = {}
    for at, time in enumerate(times):
        offsets.setdefault(_offset(time), at)
    first, other = [*offsets.values(), len(times) - 1][:2]
    return _two_clocks(times, first, other)


def _two_clocks(times: pd.Series, first: int, other: int) -> str:
    shown = " and ".join(f"{_shown(times.iloc[at])} in row {_row(times, at)}" for at in (first, other))
    return f"times have different offsets or only some have one, {shown}: write all of them in one time zone"


def _not_a_time(times: pd.Series, at: int) -> str:
    return f"time {_shown(times.iloc[at])} in row {_row(times, at)} is not a time: {EXPECTED_TIME}"


def _shown(value: object) -> str:
    return repr(value.isoformat() if isinstance(value, datetime) else value)


def _row(column: pd.Series, at: int) -> int:
    """Row number from 1, by the index where a selection has left its row numbers there."""
    label = column.index[at]
    return int(label if isinstance(label, int | np.integer) else at) + 1
