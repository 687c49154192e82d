"""Archives: the same bytes for the same files, and nothing unpacked beside the folder it is meant for."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.deployment import archive
from deployers.deployment.archive import pack, unpack
from deployers.exceptions import ReleaseError

NAMES = st.text("abcdefg.-_0", min_size=1, max_size=12).filter(
    lambda name: name.strip(".") and not name.startswith("-")
)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@given(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=6), st.binary(max_size=100))
def test_what_is_packed_comes_out(files: dict[str, bytes], image: bytes) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name) / "in"
        (folder / "more").mkdir(parents=True)
        for path, data in files.items():
            (folder / path).write_bytes(data)
        (folder / "more" / "deep").write_bytes(b"1")
        first = pack(folder, Path(name) / "1.tar", {"model.img": image}).read_bytes()
        assert pack(folder, Path(name) / "2.tar", {"model.img": image}).read_bytes() == first
        found = files_of(unpack(Path(name) / "1.tar", Path(name) / "out"))
        assert found == {**files, "more/deep": b"1", "model.img": image}


def tar_of(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for entry, data in entries:
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


@pytest.mark.parametrize(
    "bad",
    [entry("../out"), entry("/etc/out"), entry("a/../../out"), entry("link", tarfile.SYMTYPE, "/etc/passwd"),
     entry("link", tarfile.LNKTYPE, "a"), entry("pipe", tarfile.FIFOTYPE), entry("disk", tarfile.BLKTYPE)],
    ids=lambda found: f"{found.name} {found.type!r}",
)  # fmt: skip
def test_what_is_no_plain_file_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    tar_of(tmp_path / "t.tar", (entry("a"), b"1"), (bad, b""))
    with pytest.raises(ReleaseError, match="expected plain files only"):
        unpack(tmp_path / "t.tar", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
    assert not (tmp_path / "out").exists()


def test_an_archive_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar_of(tmp_path / "t.tar", (entry("a"), b"123"), (entry("b"), b"123"))
    monkeypatch.setattr(archive, "LARGEST_BYTES", 5)
    with pytest.raises(ReleaseError, match="2 files, 6 bytes"):
        unpack(tmp_path / "t.tar", tmp_path / "folder")
    monkeypatch.setattr(archive, "LARGEST_BYTES", 6)
    monkeypatch.setattr(archive, "MOST_FILES", 1)
    with pytest.raises(ReleaseError, match="2 files"):
        unpack(tmp_path / "t.tar", tmp_path / "folder")


def test_a_folder_that_is_there_stays_when_the_archive_is_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("1")
    (tmp_path / "t.tar").write_bytes(b"no archive")
    with pytest.raises(ReleaseError, match="is no archive"):
        unpack(tmp_path / "t.tar", tmp_path / "folder")
    assert files_of(tmp_path / "folder") == {"kept": b"1"}


@given(st.binary(max_size=1500), st.integers(0, 1400))
def test_any_bytes_are_unpacked_or_refused(noise: bytes, place: int) -> None:
    with TemporaryDirectory() as name:
        whole = tar_of(Path(name) / "t.tar", (entry("a"), b"1"), (entry("b/c"), b"2" * 600)).read_bytes()
        (Path(name) / "t.tar").write_bytes(whole[:place] + noise + whole[place + len(noise) :])
        before = {path.name for path in Path(name).iterdir()}
        with suppress(ReleaseError):
            unpack(Path(name) / "t.tar", Path(name) / "out")
        assert {path.name for path in Path(name).iterdir()} <= before | {"out", ".out.part"}
