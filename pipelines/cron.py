"""Cron expressions: read strictly, and written again for what fires them.

A field is a list of `*`, `3`, `1-5`, each range with a step (`*/15`, `1-9/2`); months and weekdays also by name. What
cron programs read differently (a step beside two day fields, a range that ends before it begins) is refused: one
expression means the same on a laptop, on Kubernetes and on Airflow.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import islice

from forecaster.errors import ConfigError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LEAP_YEAR = 2024
LONGEST_PAUSE_DAYS = 8 * 366  # from one 29 February to the next, where a century has no leap year
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\w+))?", re.ASCII)


@dataclass(frozen=True)
class Field:
    """One of the five fields: its name, bounds, and the names its numbers have."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first_name: int = 0

    @property
    def every(self) -> frozenset[int]:
        """All values; of the two Sundays of cron, 0."""
        return frozenset(range(self.low, self.high + 1)) - ({7} if self.names is WEEKDAYS else set())


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS, 1),
    Field("day of week", 0, 7, WEEKDAYS),
)


@dataclass(frozen=True)
class Cron:
    """When: the values of each field, weekdays from Sunday, 0.

    Attributes:
        either_day: a day is taken if day of month or day of week fits; else both have to.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def five_fields(self) -> str:
        """The expression in the form that every cron reads alike: numbers, ranges and lists."""
        return " ".join(_written(field, values) for field, values in zip(FIELDS, self._values(), strict=True))

    def six_fields(self) -> str:
        """With the second in front, as Kubeflow Pipelines reads it (it would take the minute for the second)."""
        return f"0 {self.five_fields()}"

    def eventbridge(self) -> str:
        """As EventBridge, and so SageMaker, reads it: weekdays by name, `?` for the day that does not matter.

        Raises:
            ConfigError: both day fields choose: EventBridge takes only one of them.
        """
        minute, hour, day, month, _ = self.five_fields().split()
        if self.either_day:
            msg = (
                f"cron expression {self.five_fields()!r} chooses days of the month and of the week, which EventBridge "
                "cannot: make two schedules, with one of them each"
            )
            raise ConfigError(msg)
        if self.weekdays == FIELDS[4].every:
            return f"{minute} {hour} {day} {month} ? *"
        return f"{minute} {hour} ? {month} {','.join(WEEKDAYS[day].upper() for day in sorted(self.weekdays))} *"

    def calendars(self) -> list[str]:
        """The same as systemd's calendar events: a timer fires at the next of them.

        Two only where a day fits by month or by week: a calendar event by itself wants both.
        """
        every_day, every_weekday = self.days == FIELDS[2].every, self.weekdays == FIELDS[4].every
        week = ",".join(WEEKDAYS[day].capitalize() for day in sorted(self.weekdays, key=lambda day: day or 7))
        minute, hour, day, month, _ = (_written(f, v, "..") for f, v in zip(FIELDS, self._values(), strict=True))
        by_week, by_month = f"{week} *-{month}-* {hour}:{minute}:00", f"*-{month}-{day} {hour}:{minute}:00"
        if self.either_day:
            return [by_month, by_week]
        return [by_month if every_weekday else by_week if every_day else f"{week} {by_month}"]

    def upcoming(self, after: datetime, count: int) -> list[datetime]:
        """The next times behind `after`, in its own zone and without regard to clocks that are changed in the night."""
        moments = [time(hour, minute) for hour in sorted(self.hours) for minute in sorted(self.minutes)]
        start = after.replace(hour=0, minute=0, second=0, microsecond=0)
        days = (start + timedelta(days=number) for number in range(count * LONGEST_PAUSE_DAYS + 1))
        fitting = (day for day in days if day.month in self.months and self._fits(day))
        times = (day.replace(hour=at.hour, minute=at.minute) for day in fitting for at in moments)
        return list(islice((at for at in times if at > after), count))

    def _fits(self, day: datetime) -> bool:
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either_day else by_month and by_week

    def _values(self) -> tuple[frozenset[int], ...]:
        return self.minutes, self.hours, self.days, self.months, self.weekdays


def parse(expression: str) -> Cron:
    """Read a cron expression of five fields, or one of the names such as `@daily`.

    Raises:
        ConfigError: it is none, cron programs read it differently, or it names a day that never comes.
    """
    text = MACROS.get(expression.strip().lower(), expression)
    words = text.split()
    if len(words) != len(FIELDS):
        raise _refused(expression, _count_reason(words))
    values = [_values(expression, field, word) for field, word in zip(FIELDS, words, strict=True)]
    both = words[2] != "*" and words[4] != "*"
    if both and any("*" in words[at] or values[at] == FIELDS[at].every for at in (2, 4)):
        reason = (
            f"day of month {words[2]!r} beside day of week {words[4]!r} is read as 'both' by some cron programs and as "
            "'either' by others: write the days out, and * where any day will do"
        )
        raise _refused(expression, reason)
    minutes, hours, days, months, weekdays = values
    cron = Cron(minutes, hours, days, months, weekdays, either_day=both)
    if not cron.either_day and min(cron.days) > max(monthrange(LEAP_YEAR, m)[1] for m in cron.months):
        raise _refused(expression, f"no month of {words[3]!r} has a day {words[2]!r}")
    return cron


def _count_reason(words: list[str]) -> str:
    if words and words[0].startswith("@"):
        return f"{words[0]!r} is no time, known are {', '.join(MACROS)}"
    return f"it has {len(words)} fields, expected 5: minute, hour, day of month, month, day of week ('0 3 * * *')"


def _values(expression: str, field: Field, word: str) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None or (match["first"] == "*" and match["last"]):
            raise _refused(expression, f"{field.name} {part!r} is not a number, a range or * (1, 1-5, */15, 1-9/2)")
        found.update(_range(expression, field, part, match))
    if field.names is WEEKDAYS:
        found = {value % 7 for value in found}
    return frozenset(found)


def _range(expression: str, field: Field, part: str, match: re.Match[str]) -> range:
    star = match["first"] == "*"
    low = field.low if star else _number(expression, field, match["first"])
    last = match["last"]
    high = _number(expression, field, last) if last else max(field.every) if star else low
    if high < low:
        reason = f"{field.name} {part!r} ends before it begins, write a list" + _sunday(field, last)
        raise _refused(expression, reason)
    if match["step"] is None:
        return range(low, high + 1)
    if not star and not last:
        raise _refused(expression, f"{field.name} {part!r} has a step without a range, such as */15 or 1-9/2")
    step = int(match["step"]) if match["step"].isdecimal() else 0
    if not 1 <= step <= max(high - low, 1):
        reason = f"{field.name} {part!r} has step {match['step']!r}, expected 1 to {max(high - low, 1)}"
        raise _refused(expression, reason)
    return range(low, high + 1, step)


def _sunday(field: Field, last: str | None) -> str:
    return (
        " (a range may end with Sunday as 7)"
        if field.names is WEEKDAYS and (last or "").lower() in ("0", "sun")
        else ""
    )


def _number(expression: str, field: Field, word: str) -> int:
    if word.lower() in field.names:
        return field.names.index(word.lower()) + field.first_name
    if not (word.isdecimal() and field.low <= int(word) <= field.high):
        named = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise _refused(expression, f"{field.name} {word!r} is not {field.low} to {field.high}{named}")
    return int(word)


def _written(field: Field, values: frozenset[int], dash: str = "-") -> str:
    if values == field.every:
        return "*"
    return ",".join(str(a) if a == b else f"{a}{dash}{b}" for a, b in _spans(values))


def _spans(values: frozenset[int]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for value in sorted(values):
        if spans and spans[-1][1] == value - 1:
            spans[-1] = (spans[-1][0], value)
        else:
            spans.append((value, value))
    return spans


def _refused(expression: str, reason: str) -> ConfigError:
    return ConfigError(f"cron expression {expression!r} is refused: {reason}")
