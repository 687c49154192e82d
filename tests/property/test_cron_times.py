"""One expression fires at the same times by our reading, by croniter, and by systemd's calendar events."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from forecaster.errors import ConfigError
from pipelines.cron import FIELDS, Cron, Field, parse

COUNT = 8
# The next day that fits may be years away; croniter gives up after the number of years it is told.
YEARS = 40


def words(field: Field) -> st.SearchStrategy[str]:
    """Everything a field may hold: lists of values, names, ranges and steps."""
    number = st.integers(field.low, field.high)
    name = st.sampled_from(field.names) if field.names else number.map(str)
    bounds = st.tuples(number, number).map(sorted).filter(lambda pair: pair[0] < pair[1])  # croniter takes 0-0 for *
    ranged = bounds.map(lambda pair: f"{pair[0]}-{pair[1]}")
    step = st.integers(1, max(field.every) - field.low)
    stepped = st.tuples(bounds, st.integers(1, 9)).filter(lambda drawn: drawn[1] <= max(drawn[0][1] - drawn[0][0], 1))
    part = st.one_of(
        number.map(str),
        name,
        ranged,
        step.map(lambda by: f"*/{by}"),
        stepped.map(lambda drawn: f"{drawn[0][0]}-{drawn[0][1]}/{drawn[1]}"),
    )
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


expressions = st.tuples(*(words(field) for field in FIELDS)).map(" ".join)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1)).map(lambda at: at.replace(microsecond=0))  # noqa: DTZ001


def read(expression: str) -> Cron:
    """The expression, drawn anew where it is one that is refused."""
    try:
        return parse(expression)
    except ConfigError:
        assume(False)
        raise


@given(expressions, moments)
@example("0 3 29 2 *", datetime(2024, 2, 29, 3))  # noqa: DTZ001
@example("0 0 1,15 * mon", datetime(2026, 1, 1))  # noqa: DTZ001
@settings(max_examples=200)
def test_croniter_fires_at_the_same_times(expression: str, after: datetime) -> None:
    cron = read(expression)
    witness = croniter(expression, after, max_years_between_matches=YEARS)
    assert cron.upcoming(after, COUNT) == [witness.get_next(datetime) for _ in range(COUNT)]


@given(expressions, moments)
@settings(max_examples=100)
def test_the_written_forms_say_the_same(expression: str, after: datetime) -> None:
    cron = read(expression)
    assert parse(cron.five_fields()) == cron
    second, _, rest = cron.six_fields().partition(" ")
    assert (second, rest) == ("0", cron.five_fields())
    assume(not cron.either_day)
    minute, hour, day, month, weekday, year = cron.eventbridge().split()
    assert (day == "?") != (weekday == "?")
    assert year == "*"
    assert parse(" ".join("*" if word == "?" else word for word in (minute, hour, day, month, weekday))) == cron


def elapses(calendar: str, after: datetime) -> list[datetime]:
    """The next times of a calendar event by systemd itself."""
    base = f"--base-time={after:%Y-%m-%d %H:%M:%S} UTC"
    done = subprocess.run(
        ["systemd-analyze", "calendar", base, f"--iterations={COUNT}", calendar],
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = re.findall(r"(?:Next elapse|Iter\. #\d+): \w+ (\S+ \S+) UTC", done.stdout)
    return [datetime.fromisoformat(text) for text in found]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here: its package is systemd")
@given(expressions, moments)
@example("0 0 1,15 * mon", datetime(2026, 1, 1))  # noqa: DTZ001
@example("*/7 */5 */3 */2 *", datetime(2026, 1, 1))  # noqa: DTZ001
@settings(max_examples=100)
def test_systemd_fires_at_the_same_times(expression: str, after: datetime) -> None:
    cron = read(expression)
    expected = cron.upcoming(after, COUNT)
    assume(expected[-1] - after < timedelta(days=365 * 20))
    by_event = [elapses(calendar, after) for calendar in cron.calendars()]
    assert sorted({at for event in by_event for at in event})[:COUNT] == expected


def test_times_keep_the_zone_they_are_asked_in() -> None:
    after = datetime(2026, 11, 22, 5, tzinfo=UTC)
    assert parse("0 3 * * *").upcoming(after, 1) == [datetime(2026, 11, 23, 3, tzinfo=UTC)]
