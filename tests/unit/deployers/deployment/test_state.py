"""What a hub answers: read, or refused with a line that says what to do."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.deployment.state import HubThere, ModelThere, parse_hub
from deployers.exceptions import ServiceUnavailable

WHOLE: dict[str, Any] = {
    "hub": {"revision": "abc", "started_ms": 1},
    "active": 5,
    "active_since_ms": 9,
    "new": "field",
    "models": [
        {"version": 5, "release_sha256": "ab" * 32, "image_sha256": "cd" * 32, "model": "m", "model_version": "7"},
        {"version": 6, "release_sha256": "12" * 32, "way_back_for": 5},
    ],
    "boards": [{"id": "board-1", "online": True, "confirmed": 4, "test": 9, "state": "test", "busy": None}],
}
FIELDS = st.sampled_from(["active", "models", "boards", "id", "version"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=3),
    max_leaves=12,
)


def test_a_whole_answer() -> None:
    there = parse_hub(json.dumps(WHOLE), "kitchen")
    assert (there.active, there.highest, there.board("board-1").test) == (5, 9, 9)
    model = there.model_of(5)
    assert model is not None
    assert model.name == "m 7"
    assert there.model_of(6) is not None
    assert there.model_of(7) is None


def test_lines_before_the_answer_are_passed_over() -> None:
    assert parse_hub(f"Welcome to Jetson\n{json.dumps(WHOLE)}\n", "kitchen").active == 5


def test_a_board_that_the_hub_does_not_know_has_no_model() -> None:
    board = HubThere().board("board-9")
    assert (board.confirmed, board.test, board.online) == (0, None, False)
    assert HubThere().highest == 0


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", "null", '{"active": 1', '"text"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ServiceUnavailable, match=r"'kitchen' answered .*expected one JSON object"):
        parse_hub(text, "kitchen")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"active": -1}, "active -1"),
        ({"active": "x"}, "active 'x'"),
        ({"models": [{"version": 2**32}]}, "models.0.version"),
        ({"models": [{"version": 1, "image_sha256": "../../x"}]}, "image_sha256"),
        ({"boards": [{}]}, "boards.0.id"),
    ],
)
def test_a_value_that_is_none_is_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ServiceUnavailable, match=told):
        parse_hub(json.dumps({**WHOLE, **change}), "kitchen")


@given(JSON)
def test_any_answer_is_read_or_refused(found: Any) -> None:
    with suppress(ServiceUnavailable):
        assert parse_hub(json.dumps(found), "kitchen").highest >= 0


@pytest.mark.parametrize(
    ("description", "same"),
    [("m 7, conversion 12345678", True), ("m 7, conversion 87654321", False), ("by hand", True), ("", True)],
)
def test_a_model_is_of_a_conversion_as_far_as_its_image_says(description: str, same: bool) -> None:
    model = ModelThere(version=1, release_sha256="ab" * 32, description=description)
    assert model.is_of("ab" * 32, "12345678" + "0" * 56) == same
    assert not model.is_of("cd" * 32, "12345678" + "0" * 56)
