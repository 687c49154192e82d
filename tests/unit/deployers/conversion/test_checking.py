"""The check of a converted folder: it passes what convert wrote, and each of its guards fails when it should."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployers.conversion import checking
from deployers.conversion.checking import check_conversion
from deployers.conversion.flat import Graph
from deployers.conversion.runtimes import TFLM, Engine, LiteRT
from deployers.exceptions import ConversionError, GateFailed, MissingTool, ReleaseError
from deployers.protocol.manifest import CONVERSION, NAME, verify_manifest, write_manifest


def sealed(folder: Path, change: Callable[[Path], None], facts: dict[str, Any] | None = None) -> Path:
    """Change a folder, and let its manifest say so: what no hash finds."""
    known = verify_manifest(folder, CONVERSION)["facts"]
    change(folder)
    write_manifest(folder, {**known, **(facts or {})}, CONVERSION)
    return folder


def failed(folder: Path) -> list[str]:
    return [condition.name for condition in check_conversion(folder).conditions if not condition.passed]


# What convert wrote


def test_what_convert_wrote_passes(conversion: Path) -> None:
    stages: list[str] = []
    found = check_conversion(conversion, stages.append)
    found.require()
    assert stages == list(found.figures) == ["float32", "int8", "int16x8"]
    for kind in ("int8", "int16x8"):
        assert found.figures[kind]["runtimes"]["engine"]["tflm"] == 0
    for figures in found.figures.values():
        assert set(figures["runtimes"]) == {"LiteRT", "TFLM", "engine"}
        assert figures["board"]["status"] == "OK"
    assert found.figures["float32"]["runtimes"]["engine"]["keras"] < 2e-6


# Guards


def perturbed(file: bytes, amount: int) -> bytes:
    """The cell with one weight of its output changed."""
    graph = Graph(file)
    index = int(graph.maker(graph.outputs[0]).inputs[1])
    values = graph.constant(index).copy()
    values.flat[0] = (
        values.flat[0] + amount if values.dtype == np.float32 else np.clip(int(values.flat[0]) + 60, -127, 127)
    )
    graph.model.buffers[graph.tensor(index).buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    return graph.pack(["x", "h0", "y", "h0_next"])


@pytest.mark.parametrize("kind", ["float32", "int8", "int16x8"])
def test_a_perturbed_cell_fails_on_its_golden_vectors(copied: Path, kind: str) -> None:
    path = copied / f"cell_{kind}.tflite"
    sealed(copied, lambda _: path.write_bytes(perturbed(path.read_bytes(), 1)) and None)
    assert f"{kind}: golden vectors the firmware refuses" in failed(copied)


def test_a_perturbed_float_cell_is_not_keras_either(copied: Path) -> None:
    path = copied / "cell_float32.tflite"
    sealed(copied, lambda _: path.write_bytes(perturbed(path.read_bytes(), 1)) and None)
    assert "float32: engine beside keras" in failed(copied)
    with pytest.raises(GateFailed, match=r"the runtimes do not agree: float32: engine beside keras is .*: convert the"):
        check_conversion(copied).require()


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_an_engine_that_is_one_bit_off_fails(monkeypatch, conversion: Path, kind: str) -> None:
    class Off(Engine):
        def stream(self, features, *, reset=True) -> Any:
            made = super().stream(features, reset=reset)
            made[-1, -1] = np.nextafter(made[-1, -1], np.float32(9))
            return made

    monkeypatch.setitem(checking.RUNTIMES, "engine", Off)
    assert f"{kind}: engine beside TFLM" in failed(conversion)


def test_a_runtime_that_says_nothing_of_use_fails(monkeypatch, conversion: Path) -> None:
    class Lost(Engine):
        def stream(self, features, *, reset=True) -> Any:
            return super().stream(features, reset=reset) * np.float32("nan")

    monkeypatch.setitem(checking.RUNTIMES, "engine", Lost)
    wrong = failed(conversion)
    assert {"float32: engine beside TFLM", "int8: engine beside TFLM", "int16x8: engine beside TFLM"} <= set(wrong)


def test_litert_may_differ_in_integers_and_not_in_float(monkeypatch, conversion: Path) -> None:
    class Off(LiteRT):
        def stream(self, features, *, reset=True) -> Any:
            return super().stream(features, reset=reset) + np.float32(0.01)

    monkeypatch.setitem(checking.RUNTIMES, "LiteRT", Off)
    assert failed(conversion) == ["float32: LiteRT beside tflm"]


def test_golden_vectors_of_another_release_fail(copied: Path) -> None:
    def other(folder: Path) -> None:
        (folder / "golden_int8.bin").write_bytes((folder / "golden_float32.bin").read_bytes())
        golden = json.loads((folder / "golden.json").read_text())
        for vector in golden["vectors"]:
            vector["forecasts"] = [[value + 0.01 for value in row] for row in vector["forecasts"]]
        (folder / "golden.json").write_text(json.dumps(golden))

    assert "float32: engine beside keras" in failed(sealed(copied, other))


# Folders that are not what they should be


@pytest.mark.parametrize("name", ["cell_int8.tflite", "golden_int8.bin", "program.bin", "model.c", "fidelity.html"])
def test_a_changed_file_is_named(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(ReleaseError, match=rf"does not match its manifest: {name} differs: convert the release again"):
        check_conversion(copied)


def test_missing_and_added_files_are_named(copied: Path) -> None:
    (copied / "cell_int8.tflite").unlink()
    (copied / "extra.txt").write_text("")
    with pytest.raises(ReleaseError, match=r"cell_int8\.tflite is missing; extra\.txt is not in the manifest"):
        check_conversion(copied)


def test_no_folder_and_no_manifest_are_told(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is no folder, expected one that python -m deployers convert wrote"):
        check_conversion(tmp_path / "nowhere")
    with pytest.raises(ReleaseError, match=f"has no {NAME}, it was not written to its end: convert the release again"):
        check_conversion(tmp_path)


def test_a_release_is_no_conversion(release: Path) -> None:
    with pytest.raises(ReleaseError, match=r"has format .'edgeloop-release', 1.*expected .'edgeloop-conversion', 1"):
        check_conversion(release)


@pytest.mark.parametrize(
    "facts",
    [{"types": []}, {"types": "int8"}, {"types": ["int4"]}, {"types": ["int8"]}, {"chosen": "int4"}, {"types": None}],
)
def test_unknown_types_are_named(copied: Path, facts: dict[str, Any]) -> None:
    sealed(copied, lambda _: None, {"chosen": "float32", **facts})
    with pytest.raises(ReleaseError, match=r"^types and chosen type of 'out' are .*, expected some of"):
        check_conversion(copied)


def test_a_type_without_its_cell_is_named(copied: Path) -> None:
    sealed(copied, lambda folder: (folder / "golden_int8.bin").unlink())
    with pytest.raises(ReleaseError, match=r"has no 'golden_int8\.bin', expected one for each type"):
        check_conversion(copied)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("golden.json", "{}"),
        ("golden.json", "no json"),
        ("features.json", "{}"),
        ("features.json", '{"program": {"names": [], "unknown": 1}, "cleaning": {}}'),
    ],
)
def test_fields_that_are_not_there_are_told(copied: Path, name: str, text: str) -> None:
    sealed(copied, lambda folder: (folder / name).write_text(text) and None)
    with pytest.raises(ReleaseError, match=r"conversion 'out' cannot be read \(.*\): convert the release again"):
        check_conversion(copied)


def test_another_program_than_that_of_the_features_is_refused(copied: Path) -> None:
    sealed(copied, lambda folder: (folder / "program.bin").write_bytes(b"\0" * 56) and None)
    with pytest.raises(ReleaseError, match=r"program\.bin of 'out' is not the program of its features\.json"):
        check_conversion(copied)


@pytest.mark.parametrize("keep", [0, 7, 1000])
def test_a_truncated_cell_is_refused_by_the_engine_before_the_others_see_it(
    copied: Path, monkeypatch, keep: int
) -> None:
    path = copied / "cell_float32.tflite"
    sealed(copied, lambda _: path.write_bytes(path.read_bytes()[:keep]) and None)
    monkeypatch.setitem(checking.RUNTIMES, "TFLM", lambda _: pytest.fail("TFLM saw it"))
    with pytest.raises(ConversionError, match="the engine refuses the file"):
        check_conversion(copied)


def test_without_the_wheel_there_is_no_check(monkeypatch, conversion: Path) -> None:
    def missing(_: bytes) -> TFLM:
        msg = "tflite_micro is not installed"
        raise MissingTool(msg)

    monkeypatch.setitem(checking.RUNTIMES, "TFLM", missing)
    with pytest.raises(MissingTool):
        check_conversion(conversion)
