"""A folder is what it says, or it is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import GateFailed, MissingTool, ServiceUnavailable
from deployers.hub import model_folder
from deployers.hub.model_folder import (
    IMAGE,
    NOTES,
    Notes,
    public_keys,
    read_notes,
    verified,
    write_notes,
)
from deployers.protocol.manifest import CONVERSION, write_manifest
from tests import board_image, hub_models
from tests.hub_models import CELLS, Kind, upload


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return hub_models.keys(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return upload(tmp_path / "up", 4)


def rewritten(folder: Path, **facts: Any) -> None:
    """The manifest anew, with other facts."""
    known = json.loads((folder / "manifest.json").read_text())["facts"]
    image = (folder / IMAGE).read_bytes()
    (folder / IMAGE).unlink()
    write_manifest(folder, {**known, **facts}, CONVERSION)
    (folder / IMAGE).write_bytes(image)


@pytest.mark.parametrize("chosen", CELLS)
def test_a_sound_folder_is_read_and_its_model_runs(tmp_path: Path, keys: Path, chosen: str) -> None:
    found = verified(upload(tmp_path / "up", 4, Kind(chosen)), keys)
    assert (found.chosen, found.parts.version) == (chosen, 4)
    model = found.load("litert")
    assert (model.version, model.kind, model.program.horizon) == (4, chosen, hub_models.HORIZON)
    assert found.image() == (found.folder / IMAGE).read_bytes()


def test_what_is_told_of_it(folder: Path, keys: Path) -> None:
    found = verified(folder, keys)
    notes = Notes(found.image_sha256, 1000, activated_ms=2000, way_back_for=3, failed="why")
    view = found.view(notes, "failed").as_dict()
    assert view["types"] == {
        "float32": {"mae": 0.15, "mae_growth": 0.002, "largest": 0.005, "file_bytes": 9472, "instructions": 5981}
    }
    expected = {
        "version": 4, "state": "failed", "reason": "why", "chosen": "float32", "keras_mae": 0.1497, "mae_growth": 0.002,
        "agreement_celsius": pytest.approx(0.01), "horizon": 6, "cadence_seconds": 600, "model": "kitchen",
        "model_version": "7", "description": "for a test", "release_sha256": "5a" * 32, "way_back_for": 3,
        "image_bytes": len((folder / IMAGE).read_bytes()), "installed_ms": 1000, "activated_ms": 2000,
    }  # fmt: skip
    assert {name: view[name] for name in expected} == expected
    assert json.loads(json.dumps(view))["image_sha256"] == found.image_sha256


def test_integer_cells_of_hub_and_board_may_be_further_apart(tmp_path: Path, keys: Path) -> None:
    found = verified(upload(tmp_path / "int", 1, Kind("int8")), keys)
    assert found.view(Notes("", 0), "installed").agreement_celsius == pytest.approx(0.02)


def test_the_error_beside_keras_bounds_only_who_runs_another_cell_than_the_board(tmp_path: Path, keys: Path) -> None:
    found = verified(upload(tmp_path / "int", 1, Kind("int16x8")), keys)
    figures = found.fidelity["types"]["int16x8"] | {"error": {"largest": {"celsius": 0.5}}}
    found = replace(found, fidelity={**found.fidelity, "types": {"int16x8": figures}})
    bounds = [found.view(Notes("", 0), "installed", each).agreement_celsius for each in ("litert", "tflite", "onnx")]
    assert bounds == [pytest.approx(0.02), pytest.approx(0.02), 0.5]


def test_an_image_signed_by_a_stranger_is_refused(tmp_path: Path, keys: Path) -> None:
    folder = upload(tmp_path / "up", 1, Kind(seed=2))
    with pytest.raises(GateFailed, match=r"model.img of 'up' is refused, signed with key '.*', accepted are"):
        verified(folder, keys)
    hub_models.keys(keys, 1, 2)
    assert verified(folder, keys).parts.version == 1


@pytest.mark.parametrize("name", ["cell_float32.tflite", "program.bin", "fidelity.json", "golden_float32.bin"])
def test_one_changed_file_is_named(folder: Path, keys: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(GateFailed, match=f"{name} differs"):
        verified(folder, keys)


def test_missing_and_added_files_are_named(folder: Path, keys: Path) -> None:
    (folder / "program.bin").unlink()
    (folder / "more.txt").write_text("")
    with pytest.raises(GateFailed, match=r"program.bin is missing; more.txt is not in the manifest"):
        verified(folder, keys)


@pytest.mark.parametrize("place", [0, 60, -70, -1])
def test_every_byte_of_the_image_counts(folder: Path, keys: Path, place: int) -> None:
    data = bytearray((folder / IMAGE).read_bytes())
    data[place] ^= 0x10
    (folder / IMAGE).write_bytes(data)
    with pytest.raises(GateFailed, match=r"model.img of 'up' is refused"):
        verified(folder, keys)


def test_an_image_of_another_model_is_refused(tmp_path: Path, folder: Path, keys: Path) -> None:
    other = upload(tmp_path / "other", 4, Kind(target_scale=0.02))
    (folder / IMAGE).write_bytes((other / IMAGE).read_bytes())
    told = r"model.img of 'up' is of another conversion: program.bin, golden_float32.bin differ: make the image again"
    with pytest.raises(GateFailed, match=told):
        verified(folder, keys)


@pytest.mark.parametrize(
    ("facts", "told"),
    [({"chosen": "int8"}, "chosen type 'int8' differ"), ({"release_sha256": "5b" * 32}, "release_sha256 differ")],
)
def test_a_manifest_with_other_facts_than_the_image_is_refused(folder, keys, facts: dict[str, str], told: str) -> None:
    rewritten(folder, **facts)
    with pytest.raises(GateFailed, match=told):
        verified(folder, keys)


def test_a_folder_without_an_image_is_refused(folder: Path, keys: Path) -> None:
    (folder / IMAGE).unlink()
    with pytest.raises(GateFailed, match=r"has no model.img, expected the signed image beside the conversion"):
        verified(folder, keys)


def test_an_image_beyond_any_board_is_not_even_read(folder: Path, keys: Path, monkeypatch) -> None:
    monkeypatch.setattr(model_folder, "IMAGE_BYTES_MAX", 100)
    with pytest.raises(GateFailed, match=r"model.img has \d+ bytes, expected at most 100"):
        verified(folder, keys)


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_links_and_folders_in_it_are_refused(folder: Path, keys: Path, tmp_path: Path, kind: str) -> None:
    (folder / "inner").symlink_to(tmp_path / "elsewhere") if kind == "link" else (folder / "inner").mkdir()
    with pytest.raises(GateFailed, match=r"'inner' in .* is no plain file"):
        verified(folder, keys)


def test_what_is_no_folder_is_refused(folder: Path, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    for path in (tmp_path / "link", tmp_path / "gone", folder / IMAGE):
        with pytest.raises(GateFailed, match="is no folder, expected a conversion"):
            verified(path, keys)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"types": {}, "keras": {"mae": 1}}', '{"types": {"float32": 3}, "keras": {"mae": 1}}']
)
def test_a_report_that_cannot_be_read_is_refused(folder: Path, keys: Path, text: str) -> None:
    (folder / "fidelity.json").write_text(text)
    rewritten(folder)
    with pytest.raises(GateFailed, match="model 'up' cannot be read"):
        verified(folder, keys)


def test_golden_vectors_that_come_out_otherwise_are_refused(tmp_path: Path, keys: Path) -> None:
    found = verified(upload(tmp_path / "off", 6, Kind(shift=0.02)), keys)
    with pytest.raises(GateFailed, match=r"golden vector 0 of version 6 comes out 0.02 °C off in LiteRT"):
        found.load("litert")


def test_a_cell_that_does_not_go_with_its_program_is_refused(tmp_path: Path, keys: Path, monkeypatch) -> None:
    monkeypatch.setitem(CELLS, "other", "gru float32 5x13x3")
    found = verified(upload(tmp_path / "up", 6), keys)
    (found.folder / "cell_float32.tflite").write_bytes(board_image.cell(CELLS["other"]))
    with pytest.raises(GateFailed, match=r"has \(5, 3\) inputs and outputs, expected \(4, 6\)"):
        found.load("litert")


def test_a_file_that_is_gone_when_it_is_loaded_is_said(folder: Path, keys: Path) -> None:
    found = verified(folder, keys)
    (folder / "cell_float32.tflite").unlink()
    with pytest.raises(GateFailed, match="version 4 cannot be read"):
        found.load("litert")


def test_a_runtime_that_is_not_there_is_no_fault_of_the_folder(folder: Path, keys: Path) -> None:
    with pytest.raises(MissingTool, match="tflite_runtime"):
        verified(folder, keys).load("tflite")


def test_an_image_that_changed_since_is_not_given(folder: Path, keys: Path) -> None:
    found = verified(folder, keys)
    (folder / IMAGE).write_bytes(b"another")
    with pytest.raises(ServiceUnavailable, match=r"model.img of version 4 is not the one that was verified"):
        found.image()
    (folder / IMAGE).unlink()
    with pytest.raises(ServiceUnavailable, match="or is gone"):
        found.image()


# Keys and notes


def test_without_a_key_nothing_is_believed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ServiceUnavailable, match=r"no public key in .*, expected"):
        verified(folder, tmp_path / "empty")


def test_a_file_that_is_no_key_is_named(tmp_path: Path, keys: Path) -> None:
    (keys / "broken.pub").write_bytes(b"\x04" * 65)
    with pytest.raises(ServiceUnavailable, match=r"broken.pub' holds no public key"):
        public_keys(keys)


def test_notes_survive(folder: Path) -> None:
    notes = Notes("aa", 5, 6, 7, "8")
    write_notes(folder, notes)
    assert read_notes(folder, "aa") == notes
    assert read_notes(folder, "bb").image_sha256 == "bb"


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", '{"installed_ms": 1', '{"image_sha256": 1, "installed_ms": {}}']
)
def test_notes_that_are_lost_are_made_anew(folder: Path, text: str | None) -> None:
    if text is not None:
        (folder / NOTES).write_text(text)
    found = read_notes(folder, "cc")
    assert (found.image_sha256, found.activated_ms, found.failed) == ("cc", None, None)
    assert isinstance(found.installed_ms, int)


def test_notes_of_a_newer_hub_are_read_as_far_as_they_are_known(folder: Path) -> None:
    (folder / NOTES).write_text('{"image_sha256": "x", "installed_ms": 9, "colour": "red"}')
    assert read_notes(folder, "x") == Notes("x", 9)
