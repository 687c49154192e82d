"""What a forecast costs: measured for two sizes, on a line for the others."""

from __future__ import annotations

import json

import pytest

from deployers.conversion.cost import TABLE, TYPES, instructions

MEASURED = json.loads(TABLE.read_text())


def test_the_table_has_every_type_in_both_sizes() -> None:
    assert set(MEASURED["instructions"]) == set(TYPES)
    for row in MEASURED["instructions"].values():
        assert set(row) == set(MEASURED["macs"]) == {"16", "32"}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("size", ["16", "32"])
def test_a_measured_size_costs_what_was_measured(kind: str, size: str) -> None:
    assert instructions(kind, MEASURED["macs"][size]) == MEASURED["instructions"][kind][size]


@pytest.mark.parametrize("kind", TYPES)
def test_another_size_lies_on_the_line(kind: str) -> None:
    small, large = MEASURED["macs"]["16"], MEASURED["macs"]["32"]
    low, high = MEASURED["instructions"][kind]["16"], MEASURED["instructions"][kind]["32"]
    assert instructions(kind, (small + large) // 2) == pytest.approx((low + high) / 2, abs=1)
    assert instructions(kind, 2 * large - small) == pytest.approx(2 * high - low, abs=1)


def test_no_size_costs_less_than_nothing() -> None:
    assert all(instructions(kind, -(10**6)) == 0 for kind in TYPES)
