"""Files are read with a plain message, and written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from deployers.protocol.files import (
    DiskError,
    NewFile,
    read_file,
    require_absent,
    require_other,
    write_together,
    write_whole,
)
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


def test_a_read_only_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(DiskError, match=r"'.*file' cannot be written \(Read-only file system\): check the folder"):
        write_whole(tmp_path / "file", b"", 0o644)


@pytest.mark.parametrize("name", ["missing/file", "taken/file", "x" * 300])
def test_a_wrong_path_is_not_the_disks_fault(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(ImageError, match=r"cannot be written \(.*\): give a file in a folder that exists") as caught:
        write_whole(tmp_path / name, b"", 0o644)
    assert not isinstance(caught.value, DiskError)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", range(5))
def test_files_are_written_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, fault: BaseException
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    before, steps = contents(tmp_path), list[str]()

    def failing(name: str, call: object) -> object:
        def made(*arguments: object, **options: object) -> object:
            steps.append(name)
            if len(steps) == step + 1:
                raise fault
            return call(*arguments, **options)  # type: ignore[operator]

        return made

    files = NewFile(tmp_path / "a", b"new", 0o600), NewFile(tmp_path / "b", b"new", 0o644)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing("fsync", os.fsync))
        patch.setattr(Path, "replace", failing("replace", Path.replace))
        with pytest.raises((DiskError, KeyboardInterrupt)):
            write_together(*files)
    assert contents(tmp_path) == before
    assert steps[: step + 1] == ["fsync", "fsync", "replace", "replace", "replace"][: step + 1]
    write_together(*files)
    assert contents(tmp_path) == {"a": b"new", "b": b"new"}


def test_another_file_is_known_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("a", "b", "c", "../" + tmp_path.name + "/a"):
        with pytest.raises(ImageError, match=r"^model '.*' is the image '.*a', expected two files: give another name"):
            require_other(tmp_path / name, "model", tmp_path / "a", "image")
    for name in ("d", "loop", "a.pub"):
        require_other(tmp_path / name, "model", tmp_path / "a", "image")


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
