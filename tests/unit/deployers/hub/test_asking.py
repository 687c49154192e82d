"""Questions by hand: everything that is no question is refused with what was expected."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.exceptions import InputError
from deployers.hub.asking import Question, answer, parse_question
from deployers.hub.live import Prediction
from deployers.hub.routes.predict import EXAMPLES
from deployers.hub.routes.predict import Question as Described
from deployers.hub.routes.temperatures import time_ms

NOON = 1_714_564_800_000  # 2024-05-01T12:00:00
ONE = {"time_point": "2024-05-01T12:00:00", "value": 21.5}


def asked(**fields: Any) -> Question:
    return parse_question(json.dumps(fields).encode())


def test_a_series_is_all_that_is_needed() -> None:
    assert asked(series="bench-1") == Question("bench-1")
    assert asked(series="bench-1", readings=None, steps=None, version=None) == Question("bench-1")


def test_readings_become_numbers_in_the_order_of_time() -> None:
    later = {"time_point": "2024-05-01T12:10:00", "value": 22}
    assert asked(readings=[later, ONE], steps=3, version=7) == Question(
        None, [(NOON, 21_500_000), (NOON + 600_000, 22_000_000)], 3, 7
    )


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T12:00:00", "2024-05-01 12:00:00", "2024-05-01T12:00", "2024-05-01T12:00:00Z",
        "2024-05-01T14:00:00+02:00", "2024-05-01T12:00:00.000", "2024-05-01T12:00:00.25",
    ],
)  # fmt: skip
def test_times_mean_here_what_they_mean_elsewhere(text: str) -> None:
    found = asked(readings=[{**ONE, "time_point": text}]).readings
    assert found == [(time_ms(text), 21_500_000)]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31, 23, 59, 59)))  # noqa: DTZ001 - a wall clock
def test_the_fast_way_to_read_a_time_is_the_way(time: Any) -> None:
    text = time.replace(microsecond=0).isoformat()
    assert asked(readings=[{**ONE, "time_point": text}]).readings == [(time_ms(text), 21_500_000)]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is no JSON"),
        (b"{", "the body is no JSON"),
        (b"\xff\xfe", "the body is no JSON"),
        (b"[" * 100_000, "the body is no JSON"),
        (b"[]", r"the body is \[\], expected an object"),
        (b"null", "the body is None, expected an object"),
        (b'{"serie": "x"}', "field 'serie' is unknown, expected some of series, readings, steps, version"),
        (b'{"series": ""}', "series is '', expected a name"),
        (b'{"series": 3}', "series is 3, expected a name"),
        (b'{"steps": "3"}', "steps is '3', expected a whole number from 1 to 65535"),
        (b'{"steps": 1.5}', "steps is 1.5"),
        (b'{"steps": true}', "steps is True"),
        (b'{"steps": 0}', "steps is 0"),
        (b'{"version": -1}', "version is -1, expected a whole number from 1 to 4294967295"),
        (b'{"version": 4294967296}', "version is 4294967296"),
        (b'{"readings": {}}', r"readings is \{\}, expected a list such as"),
        (b'{"readings": []}', r"readings is \[\], expected a list such as"),
        (b'{"readings": [[1, 2]]}', r"readings\[0\] is \[1, 2\], expected an object with time_point and value"),
        (b'{"readings": [{"time_point": "2024-05-01T12:00:00"}]}', r"readings\[0\] is .* expected an object"),
    ],
)
def test_what_is_no_question_is_refused(body: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_question(body)


@pytest.mark.parametrize("value", ["21.5", None, True, [], "NaN"])
def test_a_value_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"readings\[1\].value is .*, expected a number of °C from -2147"):
        asked(readings=[ONE, {**ONE, "value": value}])


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e300", b"2147.48365", b"-2148"])
def test_a_number_that_is_no_temperature_is_refused(number: bytes) -> None:
    body = b'{"readings": [{"time_point": "2024-05-01T12:00:00", "value": ' + number + b"}]}"
    with pytest.raises(InputError, match=r"readings\[0\].value is"):
        parse_question(body)


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2024-13-01T12:00:00",
        "1969-12-31T23:59:59",
        "2200-01-01T00:00:00",
        "2024-W01-1T10:00:00",
        17,
        None,
        {},
        "x" * 19,
    ],
)
def test_a_time_that_is_none_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match=r"readings\[0\].time_point is .*, expected an ISO 8601 time from 1970"):
        asked(readings=[{**ONE, "time_point": text}])


def test_long_values_are_not_sent_back() -> None:
    with pytest.raises(InputError) as caught:
        asked(series=["x" * 10_000])
    assert len(str(caught.value)) < 200


@given(st.binary(max_size=200))
def test_any_bytes_are_a_question_or_refused(body: bytes) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(parse_question(body), Question)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["series", "readings", "steps", "version", "time_point", "value", "x"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_question_or_refused(value: Any) -> None:
    try:
        found = parse_question(json.dumps(value).encode())
    except InputError:
        return
    assert found.readings is None or all(isinstance(each, int) for pair in found.readings for each in pair)


# The answer


def test_an_answer_says_all_of_it() -> None:
    made = Prediction("bench-1", 3, NOON, 600, (21.5, 21.600000381469727))
    assert json.loads(answer(made)) == {
        "series": "bench-1",
        "source": "stored",
        "version": 3,
        "made_at": "2024-05-01T12:00:00",
        "cadence_seconds": 600,
        "times": ["2024-05-01T12:10:00", "2024-05-01T12:20:00"],
        "celsius": [21.5, 21.6],
    }


def test_what_is_described_is_what_is_read() -> None:
    for example in EXAMPLES.values():
        parse_question(json.dumps(example["value"]).encode())
        Described.model_validate(example["value"])


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "a,b", "a/b/c", "n" * 200])
def test_a_name_that_no_series_has_is_refused_before_the_database_sees_it(name: str) -> None:
    with pytest.raises(InputError, match="name of a series"):
        asked(series=name)


def test_too_many_readings_are_refused_before_each_is_looked_at() -> None:
    with pytest.raises(InputError, match="10001 readings, expected 1 to 10000"):
        asked(readings=[0] * 10_001)
