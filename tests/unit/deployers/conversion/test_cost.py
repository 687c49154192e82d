"""What a forecast costs: terms of a cell, and what the engine was measured to take for each."""

from __future__ import annotations

import json

import pytest

from deployers.conversion.cost import TABLE, TYPES, instructions, terms
from tests.unit.deployers.conftest import HORIZON, INPUTS, UNITS
from tests.vectors.cells import gru_cell

TABLED = json.loads(TABLE.read_text())


def test_the_table_has_every_term_of_every_type() -> None:
    cell = gru_cell("float32", 4, 16, 6, seed=1).file
    for kind in TYPES:
        assert set(TABLED["instructions"][kind]) == set(terms(kind, cell))
        assert TABLED["largest_error"][kind] <= 0.06


def test_the_terms_of_a_plain_cell() -> None:
    cell = gru_cell("int8", 6, 16, 5, seed=1).file
    assert terms("int8", cell) == {
        "step": 1, "gru_layers": 1, "gru_units": 16, "dense_layers": 1, "dense_rows": 5,
        "products": 48 * 1 + 48 * 4 + 5 * 4, "leftovers": 48 * 2, "copies": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "layers", "dense", "moves"),
    [("gru", 1, 1, 0), ("gru_dense", 1, 2, 0), ("gru_gru", 2, 1, 0), ("conv_gru", 1, 2, 1)],
)
def test_every_form_is_taken_apart(forms, form: str, layers: int, dense: int, moves: int) -> None:
    found = terms("float32", forms[form].files["float32"])
    assert (found["gru_layers"], found["gru_units"], found["dense_layers"]) == (layers, layers * UNITS, dense)
    assert (found["copies"] > 0) == bool(moves)
    assert found["dense_rows"] >= HORIZON
    assert found["products"] >= 3 * UNITS * (INPUTS + UNITS)


@pytest.mark.parametrize(("kind", "dtype"), [("float32", "float32"), ("int8", "int8"), ("int16x8", "int16")])
def test_more_costs_more(kind: str, dtype: str) -> None:
    costs = [instructions(kind, gru_cell(dtype, 4, units, 6, seed=1).file) for units in (8, 16, 24, 32)]
    assert costs == sorted(set(costs))


def test_the_sizes_of_the_documents_are_estimated_closely() -> None:
    """The measured figures are in README.md, by make bench-engine."""
    measured = {("float32", "float32"): 10_188, ("int8", "int8"): 11_772, ("int16x8", "int16"): 11_703}
    for (kind, dtype), count in measured.items():
        assert instructions(kind, gru_cell(dtype, 4, 32, 6, seed=3).file) == pytest.approx(count, rel=0.08)
