"""The engine's benchmark: budgets, the table of costs, one real measurement."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks import engine
from deployers.conversion.cost import instructions
from tests.vectors.cells import gru_cell

RESULTS: dict[str, Any] = {
    "instructions": {
        "float32": {"16": 4000, "32": 10000},
        "int8": {"16": 5000, "32": 11000},
        "int16x8": {"16": 5000, "32": 11000},
    },
    "arena_bytes": {kind: {"16": 700, "32": 1500} for kind in engine.TYPES},
    "code_bytes": {"all": 17000, "float32": 9000, "int8": 12000, "int16x8": 11000},
    "firmware": {"flash": 100_000, "ram": 90_000},
}


def changed(*path: str, value: int) -> dict[str, Any]:
    results = copy.deepcopy(RESULTS)
    part = results
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return results


def test_figures_within_budget_are_no_complaint():
    assert engine.exceeded(RESULTS) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("instructions", "int8", "32"), 12001, "int8 with 32 units takes 12001 instructions, allowed are 12000"),
        (("instructions", "float32", "16"), 6001, "float32 with 16 units takes 6001 instructions, allowed are 6000"),
        (("code_bytes", "all"), 20481, "the engine with all takes 20481 bytes, allowed are 20480"),
        (("code_bytes", "int8"), 12289, "the engine with int8 takes 12289 bytes, allowed are 12288"),
        (
            ("arena_bytes", "int16x8", "32"),
            2049,
            "int16x8 with 32 units needs an arena of 2049 bytes, allowed are 2048",
        ),
    ],
)
def test_a_figure_beyond_its_budget_is_named(path, value, said):
    assert engine.exceeded(changed(*path, value=value)) == [said]


def test_costs_are_fitted_by_relative_error():
    exact = {"step": 100.0, "gru_units": 50.0, "products": 1.5}
    rows = []
    for units, products in ((6, 90), (16, 400), (28, 2000), (32, 900)):
        found = {"step": 1, "gru_units": units, "products": products}
        rows.append((found, round(sum(exact[name] * amount for name, amount in found.items()))))
    fitted, error = engine.fit_terms(rows)
    assert fitted == pytest.approx(exact, rel=0.01)
    assert error < 0.001


def test_an_estimate_that_is_far_off_is_named(tmp_path):
    cell = gru_cell("float32", 4, 16, 6, seed=3).file
    (tmp_path / "float32_16.tflite").write_bytes(cell)
    estimate = instructions("float32", cell)
    assert engine.cost_differences(tmp_path, {"float32": {"16": round(estimate * 1.05)}}) == []
    (line,) = engine.cost_differences(tmp_path, {"float32": {"16": 2 * estimate}})
    assert line.startswith(f"float32 with 16 units takes {2 * estimate} instructions, estimated are {estimate}")


def test_one_cell_is_measured_about_as_estimated(tmp_path):
    measured = engine.measure(tmp_path, "float32", 16)
    estimate = instructions("float32", (tmp_path / "float32_16.tflite").read_bytes())
    assert measured["instructions"] == pytest.approx(estimate, rel=engine.ESTIMATE_ERROR)
    assert 0 < measured["arena_bytes"] <= engine.ARENA_BUDGET


def test_the_tables_show_every_figure(capsys):
    engine.show(RESULTS)
    printed = capsys.readouterr().out
    for text in ("this engine, int16x8", "keras2c 2.0", "11,000", "17,000", "1,500", "100,000 bytes of flash"):
        assert text in printed


def test_a_command_that_fails_ends_the_benchmark_with_its_output():
    with pytest.raises(SystemExit, match="no-such-target"):
        engine._make("no-such-target")
