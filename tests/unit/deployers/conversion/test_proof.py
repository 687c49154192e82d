"""Conversion and its proof in one go, and the page that tells of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployers.conversion import proof as proof_module
from deployers.conversion.budget import ConversionConfig
from deployers.conversion.converter import Process
from deployers.conversion.proof import Proof, prove
from deployers.exceptions import ConversionError, GateFailed, ReleaseError
from deployers.protocol.manifest import NAME, verify_manifest, write_manifest


def test_every_type_is_made_measured_and_priced(proof: Proof, release: Path) -> None:
    assert list(proof.files) == list(proof.figures["types"]) == ["float32", "int8", "int16x8"]
    facts = verify_manifest(release)["facts"]
    assert proof.figures["macs"] == facts["macs_per_forecast"]
    assert proof.figures["digest"] == facts["digest"]
    for kind, found in proof.figures["types"].items():
        assert found["instructions"] > 0
        assert found["file_bytes"] == len(proof.files[kind])
        assert len(found["error"]["by_horizon"]) == proof.figures["test_part"]["horizon"]
    assert proof.require() == proof.chosen


def test_the_float_cell_is_as_good_as_keras_on_the_truth(proof: Proof) -> None:
    assert proof.figures["types"]["float32"]["metrics"]["mae"] == pytest.approx(proof.figures["keras"]["mae"], rel=1e-5)


def test_the_days_of_the_test_part_add_up_to_it(proof: Proof) -> None:
    days = proof.figures["days"]
    counts = [day["count"] for day in days]
    assert sum(counts) == proof.figures["keras"]["count"]
    assert [day["day"] for day in days] == sorted(day["day"] for day in days)
    for name, part in (("model", "keras"), ("persistence", "persistence")):
        mean = sum(day[name] * day["count"] for day in days) / sum(counts)
        assert mean == pytest.approx(proof.figures[part]["mae"])


def test_nothing_within_budget_names_every_figure(proof: Proof) -> None:
    none = replace(proof, chosen=None)
    with pytest.raises(GateFailed) as caught:
        none.require()
    assert str(caught.value).startswith("no type is within the fidelity budget: MAE growth of float32 is ")
    assert str(caught.value).count("MAE growth of") == 3
    assert str(caught.value).endswith(": train again or raise the budget")
    assert caught.value.exit_code == 3


def test_float_is_made_although_only_another_type_is_asked_for(monkeypatch, release: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def converted(_release: Any, _out: Any, kinds: Any, *_: Any) -> None:
        asked.append(kinds)
        msg = "far enough"
        raise ConversionError(msg)

    monkeypatch.setattr(proof_module, "convert", converted)
    with pytest.raises(ConversionError, match="far enough"):
        prove(release, ConversionConfig(types=("int16x8",)))
    assert asked == [("float32", "int16x8")]


def test_the_time_allowed_is_that_of_the_settings(release: Path) -> None:
    with pytest.raises(ConversionError, match=r"longer than 0\.2 s at stage"):
        prove(release, ConversionConfig(timeout_seconds=0.2))


def test_a_crash_of_the_converter_is_no_crash_here(release: Path) -> None:
    with pytest.raises(ConversionError, match="crashed with SIGSEGV"):
        prove(release, ConversionConfig(), process=Process(("/bin/bash", "-c", "kill -SEGV $$")))


@pytest.mark.parametrize("name", ["model.keras", "calibration.npz", "test.npz", "features.json"])
def test_a_tampered_release_is_refused_before_any_work(copied_release: Path, name: str) -> None:
    with (copied_release / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ReleaseError, match=f"does not match its manifest: {re.escape(name)} differs: fetch it again"):
        prove(copied_release, ConversionConfig(), process=Process(("false",)))


def test_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=f"has no {NAME}"):
        prove(tmp_path, ConversionConfig())


def test_a_network_without_a_cell_is_refused_in_the_childs_words(copied_release: Path) -> None:
    import keras

    facts = verify_manifest(copied_release)["facts"]
    model = keras.Sequential(
        [keras.Input((None, 2)), keras.layers.LSTM(3, return_sequences=True), keras.layers.Dense(3)]
    )
    model.save(copied_release / "model.keras")
    (copied_release / NAME).unlink()
    write_manifest(copied_release, facts)
    with pytest.raises(ConversionError, match=r"^layers \['LSTM', 'Dense'\] have no cell, expected"):
        prove(copied_release, ConversionConfig())


# The page


def test_the_page_has_every_part_of_the_report(proof: Proof) -> None:
    for heading in (
        "Types", "Difference from float Keras", "Where the difference is largest", "Drift of the carried state",
        "Saturation",
    ):  # fmt: skip
        assert f"<h2>{heading}</h2>" in proof.page
    assert proof.page.count('src="data:image/png;base64,') == 4
    assert f"Passed: {proof.chosen} is deployed, the cheapest type; every type is within budget." in proof.page
    assert "<th>Instructions, about</th>" in proof.page
    assert "which runtime made the forecasts of this page" in proof.page
    assert "<th>Detail</th>" not in proof.page
    assert re.search(r'<td class="n">[-0-9.e]+ %</td>', proof.page)
    for found in proof.figures["types"].values():
        assert found["error"]["largest"]["time"] in proof.page


def test_the_page_needs_no_network_and_no_script(proof: Proof) -> None:
    without_images = re.sub(r"base64,[^\"]*", "", proof.page)
    assert "http" not in without_images
    assert "<script" not in without_images
    assert "@media print" in without_images


@pytest.mark.parametrize(
    ("failing", "words"),
    [
        ({"int8"}, "float32 is deployed, the cheapest type within budget; over budget: int8."),
        ({"int8", "int16x8"}, "float32 is deployed, the cheapest type within budget; over budget: int8, int16x8."),
        (set(), "Passed: float32 is deployed, the cheapest type; every type is within budget."),
    ],
)
def test_the_verdict_names_the_types_over_budget(proof: Proof, failing: set[str], words: str) -> None:
    from deployers.conversion.page import Page
    from deployers.conversion.report import _verdict

    page = Page("t")
    conditions = {
        kind: replace(each, value=100.0 if kind in failing else 0.0) for kind, each in proof.conditions.items()
    }
    _verdict(page, "float32", conditions)
    assert words in page.render()
    assert ("Passed" in page.render()) is not bool(failing)


def test_a_page_of_a_failure_says_so(proof: Proof, release: Path) -> None:
    from deployers.conversion.report import fidelity_page

    figures = {**proof.figures, "chosen": None}
    figures["types"] = {kind: {**found, "arena_bytes": None} for kind, found in figures["types"].items()}
    from deployers.conversion.fidelity import Fidelity, TestPart

    part = TestPart.load(release)
    import numpy as np

    zeros = np.zeros(part.truth.shape)
    drift = (np.arange(3), np.zeros(3))
    measured = [Fidelity(kind, figures["types"][kind], zeros, drift) for kind in figures["types"]]
    page = fidelity_page(figures, proof.conditions, measured, part, zeros)
    assert "Failed: no type is within budget" in page
    assert page.count("engine not built") == 3
