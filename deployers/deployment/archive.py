"""A folder as one file, the same bytes for the same files: one transfer, resumed and compared as a whole."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from deployers.exceptions import ReleaseError
from deployers.protocol.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

MODE = 0o644
# What is unpacked here came from a Jetson: more than this is no conversion.
LARGEST_BYTES, MOST_FILES = 256 << 20, 1000


def pack(folder: Path, archive: Path, beside: Mapping[str, bytes] | None = None) -> Path:
    """Write the files of a folder, sorted, without times and owners.

    Args:
        folder: its files, not those of folders in it that are links.
        archive: file to write; its folder exists.
        beside: more files by name.

    Returns:
        The archive.
    """
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in sorted({**files, **(beside or {})}.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), MODE
            tar.addfile(entry, io.BytesIO(data))
    write_whole(archive, buffer.getvalue(), MODE)
    return archive


def unpack(archive: Path, folder: Path) -> Path:
    """Write what is in an archive from a machine that is not trusted; the folder appears whole or not at all.

    Args:
        archive: as `pack` or another tar makes it.
        folder: replaced if it is there.

    Raises:
        ReleaseError: it is no archive, is too large, or has anything in it but plain files with plain names.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with tarfile.open(archive, "r:") as tar:
            for entry in _members(archive, tar):
                target = part / entry.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(_bytes_of(tar, entry))
    except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        msg = f"{str(archive)!r} is no archive of a folder ({error}): fetch it again"
        raise ReleaseError(msg) from None
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    return folder


def _members(archive: Path, tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    entries = [entry for entry in tar.getmembers() if not entry.isdir()]
    total = sum(entry.size for entry in entries)
    if total > LARGEST_BYTES or len(entries) > MOST_FILES:
        msg = f"{str(archive)!r} holds {len(entries)} files, {total} bytes, expected a conversion: look at that Jetson"
        raise ReleaseError(msg)
    for entry in entries:
        parts = Path(entry.name).parts
        if not entry.isreg() or Path(entry.name).is_absolute() or ".." in parts or not parts or "\0" in entry.name:
            msg = f"{str(archive)!r} holds {entry.name!r}, expected plain files only: look at that Jetson"
            raise ReleaseError(msg)
    return entries


def _bytes_of(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(entry)
    return stream.read() if stream is not None else b""
