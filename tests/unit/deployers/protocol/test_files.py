"""Files are read with a plain message, and written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from deployers.protocol.files import read_file, require_absent, write_whole
from deployers.protocol.tlv import ImageError


def test_a_file_has_its_mode_from_the_start(tmp_path: Path) -> None:
    write_whole(tmp_path / "secret", b"data", 0o600)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert read_file(tmp_path / "secret", "secret") == b"data"


def test_a_file_is_replaced_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old", 0o644)
    with path.open("rb") as reader:
        write_whole(path, b"new", 0o644)
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old", 0o644)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImageError, match="No space left on device"):
        write_whole(path, b"new", 0o644)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"'.*missing/file' cannot be written \(No such file"):
        write_whole(tmp_path / "missing" / "file", b"", 0o644)


def test_a_folder_cannot_be_read_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"image '.*' cannot be read \(Is a directory\)"):
        read_file(tmp_path, "image")


def test_only_a_forced_write_may_hit_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    require_absent(path, "image", force=False)
    path.touch()
    with pytest.raises(ImageError, match="exists, expected a new file"):
        require_absent(path, "image", force=False)
    require_absent(path, "image", force=True)
    for force in (False, True):
        with pytest.raises(ImageError, match="is no file"):
            require_absent(tmp_path, "image", force=force)


def test_a_dangling_link_counts_as_being_there(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ImageError, match="is no file"):
        require_absent(link, "image", force=True)
