"""Cron expressions: what is accepted, what is refused and why, and the forms in which they are written again."""

from __future__ import annotations

from datetime import datetime

import pytest

from forecaster.errors import ConfigError
from pipelines.cron import MACROS, parse


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("0 3 * * *", "0 3 * * *"),
        ("  5\t4 * * * ", "5 4 * * *"),
        ("*/15 9-17 * * mon-fri", "0,15,30,45 9-17 * * 1-5"),
        ("0 0 * JAN,Jun-aug sun", "0 0 * 1,6-8 0"),
        ("0 3 * * 5-7", "0 3 * * 0,5-6"),
        ("0 3 * * 7", "0 3 * * 0"),
        ("0 0 * * 0-7", "0 0 * * *"),
        ("0 0 * * */2", "0 0 * * 0,2,4,6"),
        ("1,*/20,59 * * * *", "0-1,20,40,59 * * * *"),
        ("0 1-9/2 * * *", "0 1,3,5,7,9 * * *"),
        ("0 0 1-31 * *", "0 0 * * *"),
        ("0-59 0-23 * 1-12 0-6", "* * * * *"),
        ("0 0 */1 * *", "0 0 * * *"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 31 1,2 *", "0 0 31 1-2 *"),
        ("0 0 31 2 1", "0 0 31 2 1"),
        ("@Weekly", "0 0 * * 0"),
    ],
)
def test_an_expression_is_written_with_numbers_ranges_and_lists(expression: str, written: str) -> None:
    assert parse(expression).five_fields() == written
    assert parse(written) == parse(expression)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "it has 0 fields, expected 5"),
        ("0 3 * *", "it has 4 fields, expected 5"),
        ("0 0 3 * * *", "it has 6 fields, expected 5"),
        ("@reboot", "'@reboot' is no time, known are @hourly"),
        ("60 * * * *", "minute '60' is not 0 to 59"),
        ("0 24 * * *", "hour '24' is not 0 to 23"),
        ("0 0 0 * *", "day of month '0' is not 1 to 31"),
        ("0 0 * 13 *", "month '13' is not 1 to 12 or jan to dec"),
        ("0 0 * * 8", "day of week '8' is not 0 to 7 or sun to sat"),
        ("0 0 * * monday", "day of week 'monday' is not"),
        ("0 0 jan * *", "day of month 'jan' is not 1 to 31"),
        ("-1 * * * *", "minute '-1' is not a number, a range"),
        ("1.5 * * * *", "minute '1.5' is not a number, a range"),
        ("٣ * * * *", "minute '٣' is not a number, a range"),
        ("1, * * * *", "minute '' is not a number, a range"),
        ("*-5 * * * *", "minute '*-5' is not a number, a range"),
        ("0 0 ? * *", "day of month '?' is not a number, a range"),
        ("0 0 L * *", "day of month 'L' is not 1 to 31"),
        ("0 0 * * 1#2", "day of week '1#2' is not a number, a range"),
        ("H H * * *", "minute 'H' is not 0 to 59"),
        ("9-5 * * * *", "minute '9-5' ends before it begins, write a list"),
        ("0 3 * * fri-SUN", "ends before it begins, write a list (a range may end with Sunday as 7)"),
        ("5/15 * * * *", "minute '5/15' has a step without a range"),
        ("*/0 * * * *", "minute '*/0' has step '0', expected 1 to 59"),
        ("*/60 * * * *", "minute '*/60' has step '60', expected 1 to 59"),
        ("*/x * * * *", "minute '*/x' has step 'x', expected 1 to 59"),
        ("0 8-10/3 * * *", "hour '8-10/3' has step '3', expected 1 to 2"),
        ("0 0 */2 * 1", "day of month '*/2' beside day of week '1' is read as 'both' by some"),
        ("0 0 1 * */2", "day of month '1' beside day of week '*/2' is read as 'both' by some"),
        ("0 0 */1 * 1", "day of month '*/1' beside day of week '1' is read as 'both' by some"),
        ("0 0 1-31 * 1", "day of month '1-31' beside day of week '1' is read as 'both' by some"),
        ("0 0 1 * 0-6", "day of month '1' beside day of week '0-6' is read as 'both' by some"),
        ("0 0 30 2 *", "no month of '2' has a day '30'"),
        ("0 0 31 4,6,9,11 *", "no month of '4,6,9,11' has a day '31'"),
    ],
)
def test_what_is_refused_is_told_with_expression_and_reason(expression: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(expression)
    assert str(caught.value).startswith(f"cron expression {expression!r} is refused: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_name_for_a_time_can_be_read() -> None:
    assert {name: parse(name).five_fields() for name in MACROS} == MACROS


@pytest.mark.parametrize(
    ("expression", "calendars"),
    [
        ("0 3 * * *", ["*-*-* 3:0:00"]),
        ("*/15 9-17 * * mon-fri", ["Mon,Tue,Wed,Thu,Fri *-*-* 9..17:0,15,30,45:00"]),
        ("30 6 1,15 1-6 *", ["*-1..6-1,15 6:30:00"]),
        ("0 0 1,15 * 0", ["*-*-1,15 0:0:00", "Sun *-*-* 0:0:00"]),
        ("* * * * *", ["*-*-* *:*:00"]),
    ],
)
def test_systemd_gets_two_events_where_either_day_will_do(expression: str, calendars: list[str]) -> None:
    assert parse(expression).calendars() == calendars


def test_kubeflow_gets_the_second_in_front() -> None:
    assert parse("5 4 * * sun").six_fields() == "0 5 4 * * 0"


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("0 3 * * *", "0 3 * * ? *"),
        ("0 3 1-7 feb *", "0 3 1-7 2 ? *"),
        ("*/30 3 * * 1-5", "0,30 3 ? * MON,TUE,WED,THU,FRI *"),
        ("0 3 * * 7", "0 3 ? * SUN *"),
    ],
)
def test_eventbridge_gets_six_fields_with_a_question_mark(expression: str, written: str) -> None:
    assert parse(expression).eventbridge() == written


def test_eventbridge_cannot_take_both_day_fields() -> None:
    with pytest.raises(ConfigError, match=r"'0 3 1 \* 1' chooses days of the month and of the week.*two schedules"):
        parse("0 3 1 * 1").eventbridge()


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 3 * * *", "2026-11-22 03:00", ["2026-11-23 03:00", "2026-11-24 03:00"]),
        ("0 3 * * *", "2026-11-22 02:59", ["2026-11-22 03:00", "2026-11-23 03:00"]),
        ("0 0 29 2 *", "2096-03-01 00:00", ["2104-02-29 00:00", "2108-02-29 00:00"]),
        ("0 0 13 * fri", "2026-11-12 12:00", ["2026-11-13 00:00", "2026-11-20 00:00"]),
    ],
)
def test_the_next_times_are_those_behind_a_moment(expression: str, after: str, expected: list[str]) -> None:
    upcoming = parse(expression).upcoming(datetime.fromisoformat(after), len(expected))
    assert [at.strftime("%Y-%m-%d %H:%M") for at in upcoming] == expected
