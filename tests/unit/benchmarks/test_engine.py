"""The engine's benchmark: budgets, the table of costs, one real measurement."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from benchmarks import engine

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


def test_the_table_of_costs_is_renewed_and_then_agrees(tmp_path, monkeypatch):
    table = tmp_path / "engine_cost.json"
    table.write_text(engine.COSTS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(engine, "COSTS", table)
    assert engine.cost_differences(RESULTS["instructions"])
    engine.write_cost_table(RESULTS["instructions"])
    assert engine.cost_differences(RESULTS["instructions"]) == []
    assert json.loads(table.read_text(encoding="utf-8"))["macs"] == {"16": 1104, "32": 3744}


def test_a_cost_that_differs_is_named(tmp_path, monkeypatch):
    table = tmp_path / "engine_cost.json"
    table.write_text(json.dumps({"instructions": changed("instructions", "int8", "16", value=1)["instructions"]}))
    monkeypatch.setattr(engine, "COSTS", table)
    said = "int8 with 16 units takes 5000 instructions, engine_cost.json says 1: --write-costs"
    assert engine.cost_differences(RESULTS["instructions"]) == [said]


def test_one_cell_is_measured_as_the_table_of_costs_says(tmp_path):
    measured = engine.measure(tmp_path, "float32", 16)
    stored = json.loads(engine.COSTS.read_text(encoding="utf-8"))["instructions"]["float32"]["16"]
    # Another compiler places a few instructions elsewhere.
    assert measured["instructions"] == pytest.approx(stored, rel=0.03)
    assert 0 < measured["arena_bytes"] <= engine.ARENA_BUDGET


def test_the_tables_show_every_figure(capsys):
    engine.show(RESULTS)
    printed = capsys.readouterr().out
    for text in ("this engine, int16x8", "keras2c 2.0", "11,000", "17,000", "1,500", "100,000 bytes of flash"):
        assert text in printed


def test_a_command_that_fails_ends_the_benchmark_with_its_output():
    with pytest.raises(SystemExit, match="no-such-target"):
        engine._make("no-such-target")
