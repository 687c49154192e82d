"""A question for a forecast, read from the bytes of a request, and the answer's bytes.

By hand, for this is asked a thousand times a second: pydantic and FastAPI's own serialisation cost more than the
forecast does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from deployers.exceptions import InputError
from deployers.hub.export import time_point
from deployers.hub.live import READINGS_MAX
from deployers.hub.routes.temperatures import time_ms
from deployers.hub.store.records import checked_name

if TYPE_CHECKING:
    from deployers.hub.live import Prediction
    from deployers.hub.stepping import Pairs

FIELDS = ("series", "readings", "steps", "version")
READING_FIELDS = {"time_point", "value"}
MICRODEGREES = 1_000_000
# What 32 bits of micro-degrees hold.
LARGEST_CELSIUS = 2147.483647
LARGEST_VERSION = 0xFFFF_FFFF
SHOWN = 60
# A few grid points make up all answers of an hour.
_text = lru_cache(maxsize=4096)(time_point)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; the fields are those of `Live.predict`."""

    series: str | None = None
    readings: Pairs | None = None
    steps: int | None = None
    version: int | None = None


def parse_question(body: bytes) -> Question:
    """Read a request.

    Raises:
        InputError: it is no JSON object, has a field that is not known, or one of another type or range.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        msg = f'the body is no JSON ({str(error)[:SHOWN]}), expected an object such as {{"series": "bench-1"}}'
        raise InputError(msg) from None
    if not isinstance(asked, dict):
        msg = f'the body is {_shown(asked)}, expected an object such as {{"series": "bench-1"}}'
        raise InputError(msg)
    for name in asked:
        if name not in FIELDS:
            msg = f"field {_shown(name)} is unknown, expected some of {', '.join(FIELDS)}: leave it out"
            raise InputError(msg)
    return Question(
        _series(asked.get("series")),
        _readings(asked.get("readings")),
        _whole("steps", asked.get("steps"), 1, 65_535),
        _whole("version", asked.get("version"), 1, LARGEST_VERSION),
    )


def answer(made: Prediction) -> bytes:
    """The answer as JSON."""
    step_ms = made.cadence_seconds * 1000
    times = [_text(made.made_at_ms + k * step_ms) for k in range(1, len(made.celsius) + 1)]
    return json.dumps(
        {
            "series": made.series,
            "source": made.source,
            "version": made.version,
            "made_at": _text(made.made_at_ms),
            "cadence_seconds": made.cadence_seconds,
            "times": times,
            "celsius": [round(value, 6) for value in made.celsius],
        }
    ).encode()


def _series(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and value):
        msg = f'series is {_shown(value)}, expected a name such as "bench-1": see GET /temperatures/series'
        raise InputError(msg)
    # What no series can be called reaches no database, nor the turn in which the forecasts of others are made.
    return None if value is None else checked_name(value)


def _whole(name: str, value: Any, least: int, most: int) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        msg = f"{name} is {_shown(value)}, expected a whole number from {least} to {most}: correct it"
        raise InputError(msg)
    return value


def _readings(value: Any) -> Pairs | None:
    """In the order of time; a board's rules take care of the rest."""
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        expected = '[{"time_point": "2024-05-01T12:00:00", "value": 21.5}, …]'
        msg = f"readings is {_shown(value)}, expected a list such as {expected}"
        raise InputError(msg)
    if len(value) > READINGS_MAX:  # before each is looked at, in the event loop
        msg = f"{len(value)!r} readings, expected 1 to {READINGS_MAX}: give the latest ones"
        raise InputError(msg)
    return sorted(_reading(number, each) for number, each in enumerate(value))


def _reading(number: int, given: Any) -> tuple[int, int]:
    if not isinstance(given, dict) or given.keys() != READING_FIELDS:
        msg = f"readings[{number}] is {_shown(given)}, expected an object with time_point and value: correct it"
        raise InputError(msg)
    value = given["value"]
    # Also false for a number that is none.
    if type(value) not in {int, float} or not -LARGEST_CELSIUS <= value <= LARGEST_CELSIUS:
        expected = f"a number of °C from {-LARGEST_CELSIUS} to {LARGEST_CELSIUS}"
        msg = f"readings[{number}].value is {_shown(value)}, expected {expected}: correct it"
        raise InputError(msg)
    return _time(number, given["time_point"]), round(value * MICRODEGREES)


def _time(number: int, text: Any) -> int:
    try:
        return _known_time(text) if isinstance(text, str) else time_ms(text)
    except (TypeError, InputError):
        expected = "an ISO 8601 time from 1970 to 2199, such as 2024-05-01T12:00:00"
        msg = f"readings[{number}].time_point is {_shown(text)}, expected {expected}: correct it"
        raise InputError(msg) from None


@lru_cache(maxsize=8192)  # who asks again with a reading more sends the others again
def _known_time(text: str) -> int:
    return time_ms(text)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
