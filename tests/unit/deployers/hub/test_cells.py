"""Which runtime computes, and that its carried state is the state."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployers.conversion.runtimes import LiteRT
from deployers.exceptions import ConversionError, InputError, MissingTool
from deployers.hub import cells
from deployers.hub.cells import LiteCell, cell_maker, chosen_runtime
from tests import board_image
from tests.hub_models import CELLS, Kind, upload


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in names else None)


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (("ai_edge_litert", "tflite_runtime", "onnxruntime"), "litert"),
        (("tflite_runtime", "onnxruntime"), "tflite"),
        (("onnxruntime",), "onnx"),
    ],
)
def test_the_first_that_is_installed_is_taken(monkeypatch, there: tuple[str, ...], expected: str) -> None:
    installed(monkeypatch, *there)
    assert chosen_runtime("auto") == expected


def test_a_named_one_is_taken_or_missed(monkeypatch) -> None:
    installed(monkeypatch, "ai_edge_litert", "onnxruntime")
    assert chosen_runtime("onnx") == "onnx"
    with pytest.raises(MissingTool, match="'tflite': tflite_runtime is installed, expected one of them"):
        chosen_runtime("tflite")


def test_none_at_all_is_said(monkeypatch) -> None:
    installed(monkeypatch)
    with pytest.raises(MissingTool, match="ai_edge_litert nor tflite_runtime nor onnxruntime"):
        chosen_runtime("auto")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match="runtime 'cuda': expected auto, litert, tflite, onnx"):
        chosen_runtime("cuda")


@pytest.mark.parametrize("chosen", CELLS)
def test_steps_carried_are_the_steps_of_a_stream(chosen: str) -> None:
    file = board_image.cell(CELLS[chosen])
    cell, whole = LiteCell(file), LiteRT(file)
    features = np.random.default_rng(2).normal(size=(30, 4)).astype(np.float32)
    x, states = cell.inputs[0].quantise(features), [end.nothing for end in cell.inputs[1:]]
    y, states = cell.carry(x[:20], states)
    assert cell.outputs[0].real(y)[0] == pytest.approx(whole.stream(features[:20])[-1], abs=0)
    y, _ = cell.carry(x[20:], states)
    assert cell.outputs[0].real(y)[0] == pytest.approx(whole.stream(features)[-1], abs=0)


def test_a_maker_makes_one_cell_after_the_other_without_the_folder(tmp_path: Path) -> None:
    folder = upload(tmp_path / "up", 1, Kind("int8"))
    maker, kind = cell_maker(folder, "int8", "litert")
    (folder / "cell_int8.tflite").unlink()
    first, second = maker(), maker()
    assert kind == "int8"
    assert first is not second


def test_the_onnx_maker_computes_in_float_whatever_was_chosen(tmp_path: Path, monkeypatch) -> None:
    made: list[bytes] = []
    monkeypatch.setattr("deployers.hub.onnx_cell.OnnxCell", made.append)
    (tmp_path / "model.onnx").write_bytes(b"a model")
    maker, kind = cell_maker(tmp_path, "int8", "onnx")
    maker()
    assert (made, kind) == ([b"a model"], "float32")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cell_int8.tflite").write_bytes(b"no model at all")
    maker, _ = cell_maker(tmp_path, "int8", "litert")
    with pytest.raises(ConversionError, match="LiteRT refuses the file"):
        maker()


def test_the_hub_runs_without_what_only_conversion_and_deployer_need() -> None:
    """What locks/hub.txt does not have, and what would make the Jetson a larger target."""
    absent = ["tensorflow", "keras", "mlflow", "paramiko", "zenml", "flatbuffers", "matplotlib", "onnx", "pandas"]
    code = (
        f"import deployers.hub.server, deployers.hub.onnx_cell, sys; print([n for n in {absent} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_the_named_wheel_is_loaded(monkeypatch) -> None:
    asked: list[Any] = []

    def refuse(name: str) -> Any:
        asked.append(name)
        raise ImportError

    monkeypatch.setattr("deployers.conversion.runtimes.importlib.import_module", refuse)
    with pytest.raises(MissingTool):
        LiteCell(b"", wheels=(cells.MODULES["tflite"],))
    assert asked == ["tflite_runtime.interpreter"]
