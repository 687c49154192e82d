"""Conditions: NaN never passes, the limit itself does, and numbers as readers want them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.conversion.conditions import Bound, Condition, failures, finite

GOOD = Condition("spikes", 0.0, "at most", 0.001, "share")
HIGH = Condition("highest value", 75.2, "at most", 50.0, "°C", "values look like Fahrenheit")
FEW = Condition("number of readings", 12, "at least", 1000)


@pytest.mark.parametrize(
    ("value", "bound", "passed"),
    [
        (1.0, "at most", True),
        (2.0, "at most", True),
        (2.1, "at most", False),
        (2.0, "at least", True),
        (2.1, "at least", True),
        (1.9, "at least", False),
        (math.nan, "at most", False),
        (math.nan, "at least", False),
        (math.inf, "at most", False),
        (-math.inf, "at least", False),
        (-math.inf, "at most", False),
        (math.inf, "at least", False),
    ],
)
def test_limit_itself_passes_and_nan_never(value: float, bound: Bound, *, passed: bool) -> None:
    assert Condition("x", value, bound, 2.0).passed is passed


def test_sentence_has_value_limit_unit_and_reason() -> None:
    assert HIGH.sentence() == "highest value is 75.2 °C, must be at most 50 °C (values look like Fahrenheit)"


def test_sentence_without_unit_and_detail() -> None:
    assert FEW.sentence() == "number of readings is 12, must be at least 1,000"


def test_failures_keep_their_order() -> None:
    assert failures([FEW, GOOD, HIGH]) == [FEW, HIGH]
    assert failures([]) == []


conditions = st.builds(
    Condition,
    name=st.text(max_size=10),
    value=st.floats(allow_nan=False),
    bound=st.sampled_from(["at most", "at least"]),
    limit=st.floats(allow_nan=False, allow_infinity=False),
    unit=st.sampled_from(["", "°C"]),
    detail=st.text(max_size=10),
)


@given(condition=conditions)
def test_json_round_trip(condition: Condition) -> None:
    assert Condition.from_dict(json.loads(json.dumps(condition.as_dict()))) == condition


def test_what_json_does_not_know_becomes_none() -> None:
    nan, infinity = float("nan"), float("inf")
    assert finite({"a": [nan, 1.5, (infinity, "x")], "b": {"c": 2}}) == {"a": [None, 1.5, [None, "x"]], "b": {"c": 2}}


@given(condition=conditions)
def test_stored_verdict_is_worked_out_again(condition: Condition) -> None:
    stored = condition.as_dict()
    assert stored["passed"] is condition.passed
    stored["passed"] = not condition.passed
    assert Condition.from_dict(stored).passed is condition.passed


@given(condition=conditions)
def test_a_sentence_is_one_line_of_words(condition: Condition) -> None:
    assert condition.name in condition.sentence()
    assert condition.bound in condition.sentence()
