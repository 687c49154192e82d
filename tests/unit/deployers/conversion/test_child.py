"""What the child does, in this process: it converts, and refuses a cell that is another function."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deployers.conversion import child
from deployers.conversion.cell import Cell
from deployers.conversion.quantisation import finish_cell
from deployers.conversion.runtimes import LiteRT
from deployers.exceptions import ConversionError
from tests.unit.deployers.conftest import FORMS, sequences


@pytest.mark.parametrize("form", FORMS)
def test_the_float_cell_of_each_form_is_accepted(forms, form: str) -> None:
    found = forms[form]
    child._require_same(LiteRT(found.files["float32"]), found.model, found.features[0])  # noqa: SLF001


@pytest.mark.parametrize("form", FORMS)
def test_a_cell_that_differs_in_one_weight_is_refused(forms, form: str) -> None:
    found = forms[form]
    kernel, bias = found.cell.output
    other = replace(found.cell, output=(kernel, bias + np.float32(0.001)))
    file = finish_cell(child.unfinished_cell(other, "float32"), other, "float32")
    with pytest.raises(
        ConversionError, match=r"differs from the '.*' model by 0\.001 scaled units, allowed are 0\.0001"
    ):
        child._require_same(LiteRT(file), found.model, found.features[0])  # noqa: SLF001


def test_two_states_that_changed_places_are_noticed(forms) -> None:
    found = forms["gru_gru"]

    class Swapped(LiteRT):
        def step(self, x) -> Any:
            y = super().step(x)
            self.state = self.state[::-1]
            return y

    with pytest.raises(ConversionError, match="allowed are"):
        child._require_same(Swapped(found.files["float32"]), found.model, found.features[0])  # noqa: SLF001


def test_a_cell_that_says_nothing_of_use_is_refused(forms) -> None:
    found = forms["gru"]

    class Silent(LiteRT):
        def stream(self, features, *, reset=True) -> Any:
            return super().stream(features, reset=reset) * np.float32("nan")

    with pytest.raises(ConversionError, match="by nan scaled units"):
        child._require_same(Silent(found.files["float32"]), found.model, found.features[0])  # noqa: SLF001


def test_the_sequence_model_starts_from_nothing_where_a_segment_begins(forms) -> None:
    found, features = forms["gru"], sequences(2)[0]
    made = child.sequence_residuals(found.model, features, np.array([0, 20]))
    alone = child.sequence_residuals(found.model, features[20:], np.array([0]))
    through = child.sequence_residuals(found.model, features, np.array([0]))
    assert np.allclose(made[20:], alone, atol=1e-6)
    assert np.allclose(made[:20], through[:20], atol=1e-6)
    assert np.abs(made[20:] - through[20:]).max() > 1e-3


def test_no_type_is_written_of_a_cell_that_differs(monkeypatch, release: Path, tmp_path: Path) -> None:
    def other(model: Any) -> Cell:
        cell = Cell.of(model)
        kernel, bias = cell.output
        return replace(cell, output=(kernel, bias + np.float32(0.01)))

    monkeypatch.setattr(child, "Cell", SimpleNamespace(of=other))
    with pytest.raises(ConversionError, match=r"allowed are 0\.0001: report this model"):
        child.convert(release, tmp_path, ["float32", "int8"], lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_everything_is_written_and_told(release: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    features = np.zeros((5, 2), np.float32)
    np.savez(tmp_path / "inputs.npz", features=features, starts=np.array([0, 3]))
    child.convert(release, tmp_path, ["float32", "int8"], stages.append)
    assert stages == ["TensorFlow", "float32", "float32", "int8", "Keras"]
    assert {path.name for path in tmp_path.glob("*.tflite")} == {"cell_float32.tflite", "cell_int8.tflite"}
    made = np.load(tmp_path / "reference.npz")["residuals"]
    assert np.allclose(made[3:], made[:2], atol=1e-6)
    assert np.allclose(
        LiteRT((tmp_path / "cell_float32.tflite").read_bytes()).stream(features[:3]), made[:3], atol=1e-6
    )


def test_a_refusal_is_an_object_on_standard_output(tmp_path: Path) -> None:
    """Run as the parent runs it, with descriptors of its own."""
    read, write = os.pipe()
    kept = os.dup(1), os.dup(2)
    os.dup2(write, 1)
    try:
        code = child.main([str(tmp_path), str(tmp_path), "int8"])
    finally:
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        os.close(write)
    with os.fdopen(read) as told:
        lines = [json.loads(line) for line in told]
    assert code == 7
    assert lines[0] == {"stage": "TensorFlow"}
    assert lines[-1]["error"].startswith("model.keras of ")
