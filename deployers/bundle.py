"""The code that runs on a Jetson: the deployers package without the lab, as one archive that is the same everywhere.

Its name is the SHA-256 of what it holds, so that the same code is never sent twice.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from deployers.exceptions import InputError

PACKAGE = Path(__file__).resolve().parent
SUFFIXES = frozenset((".py", ".json", ".html", ".css", ".js", ".svg", ".mako", ".ini", ".sql"))
OUTSIDE = frozenset(("lab", "__pycache__"))
# The page's chart library comes from Debian's libjs-dygraphs; its licence goes with the copy.
VENDOR = {
    "hub/page/vendor/dygraph.min.js": Path("/usr/share/javascript/dygraphs/dygraph.min.js"),
    "hub/page/vendor/dygraph.copyright": Path("/usr/share/doc/libjs-dygraphs/copyright"),
}
HASH_DIGITS = 16


@dataclass(frozen=True)
class Bundle:
    """An archive of code.

    Attributes:
        data: a tar file, compressed by gzip.
        digest: first 16 digits of the SHA-256 of the tar file; compression may differ between versions of zlib.
        files: what is in it.
    """

    data: bytes
    digest: str
    files: tuple[str, ...]


def make_bundle(package: Path = PACKAGE, vendor: dict[str, Path] | None = None) -> Bundle:
    """Pack the code.

    Args:
        package: folder of the deployers package.
        vendor: files from elsewhere by their place in the package; those that are not on this machine are left out.

    Raises:
        InputError: the package is not there.
    """
    if not (package / "__init__.py").is_file():
        msg = f"{str(package)!r} is no package, expected the folder of deployers: run from a checkout"
        raise InputError(msg)
    found = {
        path.relative_to(package).as_posix(): path for path in sorted(package.rglob("*")) if _belongs(package, path)
    }
    found |= {name: path for name, path in (VENDOR if vendor is None else vendor).items() if path.is_file()}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(found):
            _add(tar, f"deployers/{name}", found[name].read_bytes())
    plain = archive.getvalue()
    digest = hashlib.sha256(plain).hexdigest()[:HASH_DIGITS]
    return Bundle(gzip.compress(plain, mtime=0), digest, tuple(sorted(found)))


def _belongs(package: Path, path: Path) -> bool:
    parts = path.relative_to(package).parts
    inside = not OUTSIDE & set(parts) and not any(part.startswith(".") for part in parts)
    return inside and path.suffix in SUFFIXES and path.is_file() and parts[:3] != ("hub", "page", "vendor")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """One file without owner and time, which differ from machine to machine."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))
