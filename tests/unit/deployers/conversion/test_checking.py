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
from deployers.conversion.features import FeatureProgram, encode_program
from deployers.conversion.flat import Graph
from deployers.conversion.golden import board_golden, golden_series
from deployers.conversion.runtimes import TFLM, Engine, LiteRT
from deployers.exceptions import ConversionError, GateFailed, MissingTool, ReleaseError
from deployers.protocol.manifest import CONVERSION, NAME, verify_manifest, write_manifest


def sealed(folder: Path, change: Callable[[Path], None], facts: dict[str, Any] | None = None) -> Path:
    """Change a folder, and let its manifest say so: what no hash finds."""
    known = verify_manifest(folder, CONVERSION)["facts"]
    change(folder)
    write_manifest(folder, {**known, **(facts or {})}, CONVERSION)
    return folder


def report(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change the fidelity report, and let the manifest say so."""

    def changed(folder: Path) -> None:
        found = json.loads((folder / "fidelity.json").read_text())
        change(found)
        (folder / "fidelity.json").write_text(json.dumps(found))

    return sealed(folder, changed)


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


@pytest.mark.parametrize("kind", ["float32", "int8", "int16x8"])
def test_another_cell_with_golden_vectors_of_its_own_is_further_from_keras(copied: Path, kind: str) -> None:
    def swap(folder: Path) -> None:
        fields, golden = (json.loads((folder / name).read_text()) for name in ("features.json", "golden.json"))
        program = FeatureProgram.from_dict(fields["program"])
        other = perturbed((folder / f"cell_{kind}.tflite").read_bytes(), 1)
        (folder / f"cell_{kind}.tflite").write_bytes(other)
        series = golden_series(golden, program, fields["cleaning"])
        (folder / f"golden_{kind}.bin").write_bytes(board_golden(other, series, program))

    wrong = failed(sealed(copied, swap))
    assert f"{kind}: golden vectors the firmware refuses" not in wrong
    assert f"{kind}: TFLM beside Keras as it was converted" in wrong
    with pytest.raises(GateFailed, match=rf"{kind}: TFLM beside Keras as it .* when it was converted\): convert"):
        check_conversion(copied).require()


def test_what_convert_wrote_is_exactly_as_far_from_keras_as_it_says(conversion: Path) -> None:
    then = json.loads((conversion / "fidelity.json").read_text())["golden_difference"]
    figures = check_conversion(conversion).figures
    assert {kind: found["runtimes"]["TFLM"]["keras"] for kind, found in figures.items()} == {
        kind: each["celsius"] for kind, each in then.items()
    }
    assert {each["runtime"] for each in then.values()} == {"TFLM"}


@pytest.mark.parametrize(("growth", "passes"), [(1.0, True), (1.04, True), (1.06, False)])
def test_a_type_may_be_a_twentieth_further_than_it_was(copied: Path, growth: float, *, passes: bool) -> None:
    report(copied, lambda found: found["golden_difference"]["int8"].update(celsius=_far(found, growth)))
    assert (failed(copied) == []) is passes


def _far(found: dict[str, Any], growth: float) -> float:
    return float((found["golden_difference"]["int8"]["celsius"] - checking.LEAST_GROWTH) / growth)


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_an_engine_that_is_one_bit_off_fails(monkeypatch, conversion: Path, kind: str) -> None:
    class Off(Engine):
        def stream(self, features, *, reset=True) -> Any:
            made = super().stream(features, reset=reset)
            made[-1, -1] = np.nextafter(made[-1, -1], np.float32(9))
            return made

    monkeypatch.setitem(checking.RUNTIMES, "engine", Off)
    assert f"{kind}: engine beside TFLM" in failed(conversion)


@pytest.mark.parametrize(("scale", "limit"), [(0.5, 1e-5), (3.0, 3e-5)])
def test_float_may_differ_by_so_much_of_what_an_output_stands_for(copied: Path, scale: float, limit: float) -> None:
    def scaled(folder: Path) -> None:
        fields = json.loads((folder / "features.json").read_text())
        fields["program"]["target_scale"] = scale
        (folder / "features.json").write_text(json.dumps(fields))
        program = FeatureProgram.from_dict(fields["program"])
        (folder / "program.bin").write_bytes(encode_program(program, fields["cleaning"]))

    found = {each.name: each.limit for each in check_conversion(sealed(copied, scaled)).conditions}
    names = ("float32: engine beside TFLM", "float32: LiteRT beside tflm", "int8: engine beside TFLM")
    assert [found[name] for name in names] == [pytest.approx(limit), pytest.approx(limit), 0.0]


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
    with pytest.raises(
        ReleaseError, match=r"^(types|chosen type) of conversion '.*/out' (are|is) .*, expected (some|one) of"
    ):
        check_conversion(copied)


def test_an_unknown_chosen_type_is_named_with_those_there_are(copied: Path) -> None:
    sealed(copied, lambda _: None, {"chosen": "int4"})
    expected = "'int4', expected one of float32, int8, int16x8: convert"
    with pytest.raises(ReleaseError, match=f"^chosen type of conversion '{copied}' is {expected}"):
        check_conversion(copied)


@pytest.mark.parametrize("horizon", ["x", None, 5, -5, 600_000, [3]])
def test_a_horizon_that_is_not_that_of_the_program_is_refused(copied: Path, horizon: object) -> None:
    sealed(copied, lambda _: None, {"horizon": horizon})
    with pytest.raises(
        ReleaseError, match=r"^horizon of conversion '.*' is .*, expected 3 as in its program\.bin: conv"
    ):
        check_conversion(copied)


def test_another_chosen_type_than_that_of_the_report_is_refused(copied: Path) -> None:
    chosen = verify_manifest(copied, CONVERSION)["facts"]["chosen"]
    other = next(kind for kind in ("float32", "int8") if kind != chosen)
    sealed(copied, lambda _: None, {"chosen": other})
    with pytest.raises(ReleaseError, match=f"is '{other}', expected '{chosen}' as in its fidelity.json: convert"):
        check_conversion(copied)


def test_a_chosen_type_over_budget_is_refused(copied: Path) -> None:
    def over(found: dict[str, Any]) -> None:
        found["conditions"][found["chosen"]].update(value=51.5, passed=True)

    with pytest.raises(ReleaseError, match=r"over budget, MAE growth of .* is 51\.5 %, must be at most 50 %: convert"):
        check_conversion(report(copied, over))


def test_a_report_of_another_release_is_refused(copied: Path) -> None:
    with pytest.raises(ReleaseError, match=r"^digest of conversion .* expected '00' as in its fidelity\.json"):
        check_conversion(report(copied, lambda found: found.update(digest="00")))


@pytest.mark.parametrize("celsius", [None, "x", {}])
def test_a_report_without_the_difference_of_a_type_cannot_be_read(copied: Path, celsius: object) -> None:
    report(copied, lambda found: found["golden_difference"]["int8"].update(celsius=celsius))
    with pytest.raises(ReleaseError, match=r"^fidelity\.json of .* cannot be read \(.*\): convert the release again"):
        check_conversion(copied)


@pytest.mark.parametrize("wrong", [{"celsius": -1}, {"celsius": float("nan")}, {"runtime": "ONNX"}])
def test_a_difference_that_says_nothing_is_refused(copied: Path, wrong: dict[str, Any]) -> None:
    report(copied, lambda found: found["golden_difference"]["int8"].update(wrong))
    with pytest.raises(ReleaseError, match=r"^golden_difference in fidelity\.json of .*, expected a runtime and °C"):
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
        ("golden.json", "[" * 100_000),
        ("features.json", "{}"),
        ("features.json", "[]"),
        ("fidelity.json", "{}"),
        ("fidelity.json", '{"chosen": "int8", "conditions": {"int8": []}}'),
        ("features.json", '{"program": {"names": [], "unknown": 1}, "cleaning": {}}'),
    ],
)
def test_fields_that_are_not_there_are_told(copied: Path, name: str, text: str) -> None:
    sealed(copied, lambda folder: (folder / name).write_text(text) and None)
    with pytest.raises(ReleaseError, match=r" '.*/out' cannot be read \(.*\): convert the release again"):
        check_conversion(copied)


def test_another_program_than_that_of_the_features_is_refused(copied: Path) -> None:
    sealed(copied, lambda folder: (folder / "program.bin").write_bytes(b"\0" * 56) and None)
    with pytest.raises(ReleaseError, match=r"program\.bin of '.*/out' is not the program of its features\.json"):
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
