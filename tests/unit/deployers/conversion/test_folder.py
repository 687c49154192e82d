"""What convert writes: all of it or nothing, and nothing of anybody else's is lost."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployers.conversion import folder as folder_module
from deployers.conversion.c_object import c_source
from deployers.conversion.folder import require_free, write_conversion
from deployers.conversion.stream import decode_golden
from deployers.exceptions import GateFailed, InputError, ServiceUnavailable
from deployers.protocol.manifest import CONVERSION, ManifestError, verify_manifest

FILES = {
    "cell_float32.tflite", "cell_int8.tflite", "cell_int16x8.tflite", "model.h", "model.c", "model.onnx",
    "features.json", "program.bin", "golden.json", "golden_float32.bin", "golden_int8.bin", "golden_int16x8.bin",
    "fidelity.json", "fidelity.html", "manifest.json",
}  # fmt: skip


def test_everything_a_deployment_needs_is_there(conversion: Path) -> None:
    assert {path.name for path in conversion.iterdir()} == FILES


def test_the_manifest_has_every_hash_and_the_facts_of_an_image(conversion: Path, proof) -> None:
    manifest = verify_manifest(conversion, CONVERSION)
    assert set(manifest["files"]) == FILES - {"manifest.json"}
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == hashlib.sha256((conversion / name).read_bytes()).hexdigest()
    facts = manifest["facts"]
    assert (facts["chosen"], facts["version"], facts["model"]) == (proof.chosen, "3", "kitchen")
    assert set(facts["types"]) == set(facts["arena_bytes"]) == {"float32", "int8", "int16x8"}
    assert facts["buffer_bytes"] > 0


def test_a_conversion_is_no_release(conversion: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"has format \('edgeloop-conversion', 1\), expected \('edgeloop-release', 1\)"
    ):
        verify_manifest(conversion)


def test_the_c_source_is_the_chosen_cell(conversion: Path, proof) -> None:
    source = (conversion / "model.c").read_text()
    assert f"model_len = {len(proof.files[proof.chosen])};" in source


def test_the_report_is_plain_json(conversion: Path, proof) -> None:
    def refuse(text: str) -> None:
        pytest.fail(text)

    figures = json.loads((conversion / "fidelity.json").read_text(), parse_constant=refuse)
    assert figures["chosen"] == proof.chosen
    assert set(figures["golden_difference"]) == set(proof.files)
    assert "Fidelity of the converted model: kitchen version 3</h1>" in (conversion / "fidelity.html").read_text()


def test_the_golden_vectors_can_be_read_back(conversion: Path) -> None:
    horizon = verify_manifest(conversion, CONVERSION)["facts"]["horizon"]
    assert len(decode_golden((conversion / "golden_int8.bin").read_bytes(), horizon)) == 4


def test_the_release_is_handed_on_unchanged(conversion: Path, release: Path) -> None:
    for name in ("model.onnx", "golden.json", "features.json"):
        assert (conversion / name).read_bytes() == (release / name).read_bytes()


# Nothing by halves


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_within_budget_writes_nothing(release: Path, proof, tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match="no type is within the fidelity budget: MAE growth of float32 is"):
        write_conversion(release, replace(proof, chosen=None), tmp_path / "out", {})
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", ["board_golden", "c_source", "write_manifest", "verify_manifest"])
def test_whatever_fails_on_the_way_leaves_nothing(monkeypatch, release: Path, proof, tmp_path: Path, name: str) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module, name, full)
    with pytest.raises(
        ServiceUnavailable, match=r"^--out '.*' cannot be written \(.*No space left.*\): free some space"
    ):
        write_conversion(release, proof, tmp_path / "out", {})
    assert left(tmp_path) == []


def test_a_failure_leaves_the_conversion_that_was_there(monkeypatch, release: Path, proof, copied: Path) -> None:
    before = (copied / "manifest.json").read_bytes()

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folder_module, "c_source", fail)
    with pytest.raises(ServiceUnavailable, match="check the folder's permissions"):
        write_conversion(release, proof, copied, {}, force=True)
    assert (copied / "manifest.json").read_bytes() == before
    assert left(copied.parent) == ["out"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (OSError(5, "Input/output error"), pytest.raises(ServiceUnavailable, match="Input/output error")),
        (KeyboardInterrupt(), pytest.raises(KeyboardInterrupt)),
    ],
)
def test_a_failure_of_the_last_rename_puts_the_old_one_back(
    monkeypatch, release: Path, proof, copied: Path, fault: BaseException, told: Any
) -> None:
    rename = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise fault
        return rename(self, target)

    before = (copied / "manifest.json").read_bytes()
    monkeypatch.setattr(Path, "replace", fail)
    with told:
        write_conversion(release, proof, copied, {}, force=True)
    assert (copied / "manifest.json").read_bytes() == before
    assert left(copied.parent) == ["out"]


def test_an_interrupt_leaves_nothing(monkeypatch, release: Path, proof, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module, "c_source", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_conversion(release, proof, tmp_path / "deep" / "out", {})
    assert left(tmp_path / "deep") == []


# What is in the way


def test_a_new_or_empty_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    require_free(tmp_path / "empty")
    require_free(tmp_path / "new" / "deep")


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_the_c_source_is_of_the_chosen_type(release: Path, proof, tmp_path: Path, kind: str) -> None:
    assert write_conversion(release, replace(proof, chosen=kind), tmp_path / "out", {}) == kind
    assert (tmp_path / "out" / "model.c").read_text() == c_source(proof.files[kind])
    assert verify_manifest(tmp_path / "out", CONVERSION)["facts"]["chosen"] == kind


def test_an_empty_folder_becomes_the_conversion(release: Path, proof, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write_conversion(release, proof, tmp_path / "out", {}) == proof.chosen
    assert left(tmp_path) == ["out"]
    verify_manifest(tmp_path / "out", CONVERSION)


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="is no folder"):
        require_free(tmp_path / "out", force=True)


def test_a_dangling_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is no folder"):
        require_free(tmp_path / "out")


def test_a_conversion_is_replaced_only_by_force(release: Path, proof, copied: Path) -> None:
    with pytest.raises(InputError, match="is not empty, expected an empty or new folder: give another, or --force"):
        write_conversion(release, proof, copied, {})
    (copied / "model.c").write_text("changed")
    write_conversion(release, proof, copied, {"version": "4"}, force=True)
    assert verify_manifest(copied, CONVERSION)["facts"]["version"] == "4"
    assert left(copied.parent) == ["out"]


@pytest.mark.parametrize("name", ["notes.txt", "manifest.json"])
def test_force_does_not_take_other_peoples_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match="holds no conversion, which alone --force replaces"):
        require_free(tmp_path, force=True)


def test_the_current_folder_is_refused_and_one_in_it_is_not(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for given in (Path(), Path("../here"), tmp_path):
        with pytest.raises(InputError, match=r"current folder or above it|is not empty"):
            require_free(given)
    require_free(Path("out"))
    assert left(tmp_path / "here") == []


def test_a_mount_point_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(folder_module.os.path, "ismount", lambda _: True)
    with pytest.raises(InputError, match="is a mount point, expected a folder that can be renamed"):
        require_free(tmp_path / "out")


def test_a_link_to_an_empty_folder_stays_one(release: Path, proof, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    write_conversion(release, proof, tmp_path / "out", {})
    assert (tmp_path / "out").is_symlink()
    verify_manifest(tmp_path / "real", CONVERSION)


@pytest.mark.parametrize("name", ["file/out", "file/deep/out", "x" * 250])
def test_what_cannot_be_written_is_found_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceUnavailable, match=r"^--out '.*' cannot be written \(.*\): check the folder's"):
        require_free(tmp_path / name)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="where /proc is")
def test_a_file_system_that_takes_no_folders_is_found_before_the_work() -> None:
    with pytest.raises(ServiceUnavailable, match=r"^--out '/proc/x' cannot be written"):
        require_free(Path("/proc/x"))


def test_force_does_not_take_a_file_that_was_put_beside(copied: Path) -> None:
    require_free(copied, force=True)
    (copied / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no conversion"):
        require_free(copied, force=True)
