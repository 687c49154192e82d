"""The type that is deployed: the cheapest within budget."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from deployers.conversion.budget import ConversionConfig, choose, conditions
from deployers.conversion.cost import TYPES

COST = {"float32": 4000, "int16x8": 5000, "int8": 6000}


def figures(**growth: float) -> dict[str, dict[str, Any]]:
    return {
        kind: {"mae_growth": value, "file_bytes": 1000 + n, "instructions": COST[kind]}
        for n, (kind, value) in enumerate(growth.items())
    }


def test_by_default_one_percent_more_is_allowed_in_any_type() -> None:
    config = ConversionConfig()
    assert (config.mae_growth, config.types) == (0.01, TYPES)


def test_the_cheapest_within_budget_is_chosen() -> None:
    found = figures(float32=0.0, int8=0.001, int16x8=0.001)
    assert choose(found, ConversionConfig()) == "float32"
    found["float32"]["mae_growth"] = 0.0100001
    assert choose(found, ConversionConfig()) == "int16x8"
    found["int8"]["instructions"] = 4999
    assert choose(found, ConversionConfig()) == "int8"


def test_only_the_given_types_are_chosen_from() -> None:
    found = figures(float32=0.0, int8=0.001, int16x8=0.001)
    assert choose(found, ConversionConfig(types=("int8",))) == "int8"


@pytest.mark.parametrize("growth", [0.010000001, 1.0, math.nan, math.inf, -math.inf])
def test_beyond_the_budget_nothing_is_chosen(growth: float) -> None:
    assert choose(figures(float32=growth), ConversionConfig(types=("float32",))) is None


@pytest.mark.parametrize("growth", [0.01, 0.0, -0.5])
def test_up_to_the_budget_it_is(growth: float) -> None:
    assert choose(figures(int8=growth), ConversionConfig(types=("int8",))) == "int8"


def test_a_negative_budget_asks_for_an_improvement() -> None:
    config = ConversionConfig(types=("int8",), mae_growth=-0.01)
    assert choose(figures(int8=0.0), config) is None
    assert choose(figures(int8=-0.02), config) == "int8"


def test_a_condition_tells_percent() -> None:
    (condition,) = conditions(figures(int8=0.0125), ConversionConfig(types=("int8",))).values()
    assert condition.sentence() == "MAE growth of int8 is 1.25 %, must be at most 1 %"


def test_equal_cost_is_decided_by_the_file() -> None:
    found = figures(float32=0.0, int8=0.0)
    found["int8"] |= {"file_bytes": 10, "instructions": COST["float32"]}
    assert choose(found, ConversionConfig(types=("float32", "int8"))) == "int8"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"types": ("int4",)}, "type 'int4' is unknown, choose from float32, int8, int16x8"),
        ({"types": ()}, "at least 1 item"),
        ({"mae_growth": 1.5}, "less than or equal to 1"),
        ({"mae_growth": math.nan}, "finite number"),
        ({"timeout_seconds": 0}, "greater than 0"),
        ({"timeout_seconds": math.inf}, "finite number"),
        ({"budget": 0.1}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ConversionConfig(**fields)
