"""The manifest of a release folder: every file with its size and SHA-256, so that each hand-over can prove it.

`manifest.json`:

    {"format": "edgeloop-release", "version": 1, "facts": {…}, "files": {"model.onnx": {"bytes": n, "sha256": "…"}, …}}
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

NAME = "manifest.json"
FORMAT = "edgeloop-release"
VERSION = 1


class ManifestError(Exception):
    """A release folder is not what its manifest says."""


def write_manifest(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """List every file of a folder in `manifest.json`.

    Args:
        folder: a release folder; files in it are hashed as they are now.
        facts: what a reader wants to know before opening any file; plain values.

    Returns:
        The manifest as written.
    """
    files = {path.relative_to(folder).as_posix(): _entry(path) for path in _files(folder)}
    manifest = {"format": FORMAT, "version": VERSION, "facts": facts, "files": files}
    (folder / NAME).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
    return manifest


def verify_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest and check the folder against it.

    Returns:
        The manifest.

    Raises:
        ManifestError: no manifest, an unknown format, or files missing, changed or added; all are named.
    """
    manifest = _read(folder)
    listed = manifest["files"]
    present = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    wrong = [f"{name} is missing" for name in sorted(listed.keys() - present.keys())]
    wrong += [f"{name} is not in the manifest" for name in sorted(present.keys() - listed.keys())]
    wrong += [
        f"{name} differs" for name in sorted(listed.keys() & present.keys()) if listed[name] != _entry(present[name])
    ]
    if wrong:
        msg = (
            f"release {folder.name!r} does not match its manifest: {'; '.join(wrong)}: fetch it again from the registry"
        )
        raise ManifestError(msg)
    return manifest


def _read(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"release {folder.name!r} has no {NAME}, it was not written to its end: register the model again"
        raise ManifestError(msg) from None
    except ValueError as error:
        msg = f"{NAME} of release {folder.name!r} is not JSON ({error}): fetch it again from the registry"
        raise ManifestError(msg) from None
    form = (manifest.get("format"), manifest.get("version")) if isinstance(manifest, dict) else manifest
    if form != (FORMAT, VERSION) or not isinstance(manifest.get("files"), dict):
        expected = (FORMAT, VERSION)
        msg = f"{NAME} of release {folder.name!r} has format {form!r}, expected {expected!r}: use a matching edgeloop"
        raise ManifestError(msg)
    return dict(manifest)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
