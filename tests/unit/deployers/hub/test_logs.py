from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from deployers.hub.auth import make_token
from deployers.hub.logs import masked, start_logging


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def line(call) -> dict[str, str]:
    stream = io.StringIO()
    start_logging(stream)
    call(logging.getLogger("deployers.hub.test"))
    (text,) = stream.getvalue().splitlines()
    found: dict[str, str] = json.loads(text)
    return found


def test_a_record_is_one_line_of_json() -> None:
    found = line(lambda log: log.warning("board %r\nis away", "a"))
    assert (found["level"], found["part"], found["message"]) == ("warning", "hub.test", "board 'a'\nis away")
    assert found["time"].endswith("Z")


def test_a_traceback_is_part_of_the_line() -> None:
    def fail(log: logging.Logger) -> None:
        try:
            1 / 0  # noqa: B018 - it fails
        except ZeroDivisionError:
            log.exception("failed")

    assert "ZeroDivisionError" in line(fail)["trace"]


def test_secrets_are_masked_in_messages_and_tracebacks() -> None:
    token = make_token()[0]
    assert token not in line(lambda log: log.info("with %s", token))["message"]

    def fail(log: logging.Logger) -> None:
        try:
            int(token)  # its message has the value
        except ValueError:
            log.exception("failed")

    assert token not in line(fail)["trace"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***"),
        ("postgresql+psycopg://hub:secret@db/hub", "postgresql+psycopg://hub:***@db/hub"),
        ("http://hub:8484/x@y", "http://hub:8484/x@y"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_what_is_a_secret_goes_and_the_rest_stays(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_the_chatter_of_libraries_is_left_out() -> None:
    stream = io.StringIO()
    start_logging(stream)
    logging.getLogger("httpx").info("GET http://secret")
    assert stream.getvalue() == ""
