"""The fidelity benchmark: what it trains, what it measures, and when it fails."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import fidelity
from benchmarks.fidelity import LIMITS, Row, exceeded


def row(kind: str, growth: float) -> Row:
    return Row("gru 16 seed 1", kind, 0.1273, 0.1273 * (1 + growth), growth, 0.001, 0.05)


def test_the_limits_are_those_of_the_readme() -> None:
    assert (LIMITS["int8"], LIMITS["int16x8"]) == (0.01, 0.005)


@pytest.mark.parametrize("kind", ["float32", "int8", "int16x8"])
def test_a_growth_up_to_its_limit_passes_and_beyond_it_is_named(kind: str) -> None:
    limit = LIMITS[kind]
    assert exceeded([row(kind, limit), row(kind, -0.5)]) == []
    (wrong,) = exceeded([row(kind, 1.01 * limit), row(kind, 0.0)])
    assert wrong.sentence().startswith(f"MAE growth of gru 16 seed 1 in {kind} is ")
    assert len(exceeded([row(kind, float("nan"))])) == 1


@pytest.fixture
def place(monkeypatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(fidelity, "ROOT", tmp_path)
    return tmp_path


def stand_in(monkeypatch, growth: float) -> list[Path]:
    measured: list[Path] = []

    def prove(release: Path, *_: Any) -> Any:
        measured.append(release)
        figures = {
            "keras": {"mae": 0.1},
            "types": {
                "int8": {
                    "metrics": {"mae": 0.1 * (1 + growth)}, "mae_growth": growth,
                    "error": {"mean": 0.001, "largest": {"celsius": 0.2}},
                }
            },
        }  # fmt: skip
        return SimpleNamespace(figures=figures)

    monkeypatch.setattr(fidelity, "prove", prove)
    return measured


def test_given_releases_are_measured_and_nothing_is_trained(monkeypatch, place: Path, capsys) -> None:
    measured = stand_in(monkeypatch, 0.004)
    monkeypatch.setattr(fidelity, "train_releases", lambda *_: pytest.fail("trained"))
    assert fidelity.main(["a/kitchen", "b/attic"]) == 0
    assert measured == [Path("a/kitchen"), Path("b/attic")]
    printed = capsys.readouterr().out
    assert "kitchen" in printed
    assert "+0.40" in printed
    written = json.loads((place / "build" / "bench" / "fidelity.json").read_text())
    assert [(line["name"], line["kind"], line["growth"]) for line in written] == [
        ("kitchen", "int8", 0.004), ("attic", "int8", 0.004),
    ]  # fmt: skip


@pytest.mark.usefixtures("place")
def test_a_growth_beyond_its_limit_is_an_exit_code(monkeypatch, capsys) -> None:
    stand_in(monkeypatch, 0.02)
    assert fidelity.main(["kitchen"]) == 1
    assert "fidelity: MAE growth of kitchen in int8 is 2 %, must be at most 1 %" in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_without_a_release_every_form_size_and_seed_is_trained(monkeypatch) -> None:
    from deployers.protocol.manifest import verify_manifest

    monkeypatch.setattr(fidelity, "UPDATES", 2)
    names: list[tuple[str, int]] = []

    def prove(release: Path, *_: Any) -> Any:
        facts = verify_manifest(release)["facts"]
        names.append((release.name, facts["macs_per_forecast"]))
        return SimpleNamespace(figures={"keras": {"mae": 1.0}, "types": {}})

    monkeypatch.setattr(fidelity, "prove", prove)
    source = ["--source", "simulated://lab?days=40&seed=1", "--user", "lab"]
    assert fidelity.main([*source, "--forms", "gru,gru_gru", "--units", "4", "--seeds", "2"]) == 0
    assert [name for name, _ in names] == ["gru 4 seed 2", "gru_gru 4 seed 2"]
    assert names[0][1] < names[1][1]
