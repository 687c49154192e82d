"""Messages, whatever names and reasons hold."""

from __future__ import annotations

import json

from deployers.hub.alerts.wording import SUBJECT_MAX, Wording, as_json
from tests.alerting import HOSTILE, WORDS, change


def test_a_change_for_programs_has_everything() -> None:
    assert WORDS.as_dict(change()) == {
        "event": "raised",
        "hub": "jetson-1",
        "series": "board-1",
        "test": "stuck",
        "level": "alarm",
        "since": "2024-05-01T12:00:00",
        "reason": "stuck at 21 °C for 70 readings",
        "numbers": {"readings": 70},
        "time": "2024-05-01T13:00:00+00:00",
        "link": "https://jetson-1.example/",
    }


def test_a_change_for_people_is_a_line() -> None:
    assert WORDS.line(change()) == "board-1 stuck alarm: stuck at 21 °C for 70 readings, since 2024-05-01T12:00"
    assert (
        WORDS.line(change(kind="repeat", since_ms=None)) == "board-1 stuck still alarm: stuck at 21 °C for 70 readings"
    )
    assert WORDS.line(change(kind="resolved", level="ok", reason="")) == (
        "board-1 stuck well again, since 2024-05-01T12:00"
    )
    assert WORDS.line(change("", kind="test", reason="a test")) == "a test"


def test_the_subject_of_many_counts_them_and_names_some() -> None:
    changes = [change(name) for name in "abcde"]
    assert WORDS.subject(changes) == "[jetson-1] 5 in trouble: a, b, c and 2 more"
    well = [change(name, "resolved", "ok") for name in "ab"]
    assert WORDS.subject(well) == "[jetson-1] 2 well again: a, b"
    assert WORDS.subject([*changes[:1], *well]) == "[jetson-1] 1 in trouble, 2 well again: a, b"
    assert len(WORDS.subject([change(reason="x" * 999)])) == SUBJECT_MAX


def test_a_chat_is_told_one_change_once() -> None:
    assert WORDS.post([change(since_ms=None)]) == (
        "[jetson-1] board-1 stuck alarm: stuck at 21 °C for 70 readings\nhttps://jetson-1.example/"
    )
    assert WORDS.post([change("a"), change("b")]).splitlines()[0] == "[jetson-1] 2 in trouble: a, b"
    assert len(WORDS.post([change("a"), change("b")]).splitlines()) == 5


def test_what_would_end_a_line_does_not() -> None:
    words = Wording("hub\r\nX: y", "https://x/\n")
    said = change(HOSTILE, reason="one\u2028two\x85three")
    assert len(words.subject([said]).splitlines()) == 1
    assert len(words.line(said).splitlines()) == 1
    assert len(words.text([said, said]).splitlines()) == 4


def test_json_is_what_every_parser_takes() -> None:
    said = as_json(WORDS.as_dict(change(HOSTILE, numbers={"deficit": float("nan"), "limit": float("inf"), "days": 3})))
    found = json.loads(said, parse_constant=lambda name: 1 / 0)
    assert found["series"] == HOSTILE
    assert found["numbers"] == {"deficit": None, "limit": None, "days": 3}
    assert said.isascii()
