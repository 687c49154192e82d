"""The manifest proves a release folder, and names every file that is not as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployers.protocol.manifest import NAME, ManifestError, verify_manifest, write_manifest


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    (folder / "inner").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"model")
    (folder / "inner" / "golden.json").write_text("{}")
    write_manifest(folder, {"digest": "abc"})
    return folder


def test_what_was_written_verifies(release: Path) -> None:
    manifest = verify_manifest(release)
    assert manifest["facts"] == {"digest": "abc"}
    assert sorted(manifest["files"]) == ["inner/golden.json", "model.onnx"]
    assert manifest["files"]["model.onnx"] == {
        "bytes": 5,
        "sha256": "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4",
    }


def test_a_changed_byte_is_noticed(release: Path) -> None:
    (release / "model.onnx").write_bytes(b"modem")
    with pytest.raises(ManifestError, match=r"model\.onnx differs"):
        verify_manifest(release)


def test_every_wrong_file_is_named(release: Path) -> None:
    (release / "model.onnx").unlink()
    (release / "extra").write_text("")
    with pytest.raises(ManifestError, match=r"model\.onnx is missing; extra is not in the manifest"):
        verify_manifest(release)


def test_no_manifest_means_not_written_to_the_end(release: Path) -> None:
    (release / NAME).unlink()
    with pytest.raises(ManifestError, match="not written to its end"):
        verify_manifest(release)


def test_the_folder_is_named_as_it_was_given(release: Path) -> None:
    (release / "model.onnx").unlink()
    with pytest.raises(ManifestError, match=f"^release '{release}' does not match its manifest"):
        verify_manifest(release)


def test_a_manifest_that_cannot_be_read(release: Path) -> None:
    (release / NAME).unlink()
    (release / NAME).mkdir()
    with pytest.raises(ManifestError, match=r"cannot be read \(Is a directory\): check the folder"):
        verify_manifest(release)


def test_half_a_manifest(release: Path) -> None:
    (release / NAME).write_text((release / NAME).read_text()[:40])
    with pytest.raises(ManifestError, match="is not JSON"):
        verify_manifest(release)


@pytest.mark.parametrize("content", [[], {"format": "edgeloop-release", "version": 2, "files": {}}, {"format": "x"}])
def test_another_format_is_refused(release: Path, content: object) -> None:
    (release / NAME).write_text(json.dumps(content))
    with pytest.raises(ManifestError, match="expected"):
        verify_manifest(release)
