"""The manifest of a folder that is handed on: every file with its size and SHA-256, so that it can be proven whole.

`manifest.json`:

    {"format": "edgeloop-release", "version": 1, "facts": {…}, "files": {"model.onnx": {"bytes": n, "sha256": "…"}, …}}

`format` says what the folder is: a release, or what was converted from one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

NAME = "manifest.json"
VERSION = 1


@dataclass(frozen=True)
class Form:
    """What kind of folder a manifest is of.

    Attributes:
        format: its name in the manifest.
        noun: its name in messages.
        advice: what to do about a folder that is not whole.
    """

    format: str
    noun: str
    advice: str


RELEASE = Form("edgeloop-release", "release", "fetch it again from the registry")
CONVERSION = Form("edgeloop-conversion", "conversion", "convert the release again")


class ManifestError(Exception):
    """A folder is not what its manifest says."""


def write_manifest(folder: Path, facts: dict[str, Any], form: Form = RELEASE) -> dict[str, Any]:
    """List every file of a folder in `manifest.json`.

    Args:
        folder: files in it are hashed as they are now.
        facts: what a reader wants to know before opening any file; plain values.
        form: what the folder is.

    Returns:
        The manifest as written.
    """
    files = {path.relative_to(folder).as_posix(): _entry(path) for path in _files(folder)}
    manifest = {"format": form.format, "version": VERSION, "facts": facts, "files": files}
    (folder / NAME).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
    return manifest


def verify_manifest(folder: Path, form: Form = RELEASE, beside: Collection[str] = ()) -> dict[str, Any]:
    """Read the manifest and check the folder against it.

    Args:
        folder: what it is of.
        form: what the folder should be.
        beside: files that may lie there too, which it does not vouch for.

    Returns:
        The manifest.

    Raises:
        ManifestError: no manifest, another format, or files missing, changed or added; all are named.
    """
    manifest = _read(folder, form)
    listed = manifest["files"]
    present = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    present = {name: path for name, path in present.items() if name in listed or name not in beside}
    wrong = [f"{name} is missing" for name in sorted(listed.keys() - present.keys())]
    wrong += [f"{name} is not in the manifest" for name in sorted(present.keys() - listed.keys())]
    wrong += [
        f"{name} differs" for name in sorted(listed.keys() & present.keys()) if listed[name] != _entry(present[name])
    ]
    if wrong:
        msg = f"{form.noun} {str(folder)!r} does not match its manifest: {'; '.join(wrong)}: {form.advice}"
        raise ManifestError(msg)
    return manifest


def _read(folder: Path, form: Form) -> dict[str, Any]:
    path = folder / NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        again = "register the model again" if form is RELEASE else form.advice
        msg = f"{form.noun} {str(folder)!r} has no {NAME}, it was not written to its end: {again}"
        raise ManifestError(msg) from None
    except OSError as error:
        told = f"cannot be read ({error.strerror}): check the folder and its permissions"
        msg = f"{NAME} of {form.noun} {str(folder)!r} {told}"
        raise ManifestError(msg) from None
    except (ValueError, RecursionError) as error:
        msg = f"{NAME} of {form.noun} {str(folder)!r} is not JSON ({error}): {form.advice}"
        raise ManifestError(msg) from None
    found = (manifest.get("format"), manifest.get("version")) if isinstance(manifest, dict) else manifest
    expected = (form.format, VERSION)
    if found != expected:
        msg = f"{NAME} of {form.noun} {str(folder)!r} has format {found!r}, expected {expected!r}: give such a folder"
        raise ManifestError(msg)
    for name in ("facts", "files"):
        if not isinstance(manifest.get(name), dict):
            told = f"{name} {manifest.get(name)!r}, expected a JSON object: {form.advice}"
            msg = f"{NAME} of {form.noun} {str(folder)!r} has {told}"
            raise ManifestError(msg)
    return dict(manifest)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
