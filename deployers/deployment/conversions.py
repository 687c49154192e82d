"""Conversions that were checked here and are kept, so that no deployment converts a release again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from deployers.exceptions import ReleaseError
from deployers.protocol.files import write_whole
from deployers.protocol.image import Policy, verify_image
from deployers.protocol.manifest import CONVERSION, ManifestError, verify_manifest, write_manifest
from deployers.protocol.tlv import ImageError

if TYPE_CHECKING:
    from pathlib import Path

FOLDER, IMAGES, IMAGE = "conversions", "images", "model.img"
KEPT = 20
# What a conversion takes over from the release as it is: whoever converts cannot deploy another model under its name.
COPIED = ("features.json", "golden.json", "model.onnx")


def kept(home: Path) -> frozenset[str]:
    """Keys of the conversions that are whole."""
    folder = home / FOLDER
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return frozenset(path.name for path in found if _is_whole(path))


def _is_whole(folder: Path) -> bool:
    try:
        verify_manifest(folder, CONVERSION)
    except ManifestError:
        return False
    return True


def made_of(home: Path, image_sha256: str) -> str | None:
    """The key of the conversion of which an image was made here; none if it is not known."""
    path = home / IMAGES / image_sha256
    return path.read_text(encoding="utf-8") if image_sha256 and path.is_file() else None


def remember(home: Path, image_sha256: str, key: str) -> None:
    """Note of which conversion an image was made."""
    (home / IMAGES).mkdir(parents=True, exist_ok=True)
    write_whole(home / IMAGES / image_sha256, key.encode(), 0o644)


def require_of_release(folder: Path, release: Path, release_sha256: str) -> None:
    """Refuse a conversion that is not of this release, whoever made it.

    Raises:
        ReleaseError: its golden vectors, features or ONNX model are not the release's, or it names another one.
    """
    facts = _facts(folder)
    if facts.get("release_sha256") not in {release_sha256, ""}:
        named = facts.get("release_sha256")
        msg = f"conversion {str(folder)!r} is of release {named!r}, expected {release_sha256!r}: convert it again"
        raise ReleaseError(msg)
    for name in COPIED:
        if (folder / name).read_bytes() != (release / name).read_bytes():
            expected = "expected the same bytes: look at the machine that converted it"
            msg = f"{name} of conversion {str(folder)!r} is not that of the release, {expected}"
            raise ReleaseError(msg)


def require_own(folder: Path, public: bytes, image_sha256: str) -> None:
    """Refuse what a hub handed out as running, unless this deployer signed an image of the same model.

    The image is removed then, for it is no part of a conversion.

    Args:
        folder: a conversion and its image.
        public: this deployer's public key.
        image_sha256: of the image that runs, as the hub says.

    Raises:
        ReleaseError: it is not so.
    """
    facts, kind = {}, ""
    try:
        image = (folder / IMAGE).read_bytes()
        parts = verify_image(image, Policy(keys=(public,)))
        (folder / IMAGE).unlink()
        facts = _facts(folder)
        kind = str(facts.get("chosen"))
        same = (
            parts.model == (folder / f"cell_{kind}.tflite").read_bytes()
            and parts.program == (folder / "program.bin").read_bytes()
            and parts.golden == (folder / f"golden_{kind}.bin").read_bytes()
            and parts.release_sha256.hex() == facts.get("release_sha256")
        )
    except (OSError, ImageError) as error:
        advice = "give the signing key that its image was signed with"
        msg = f"the model that runs cannot be taken as the way back ({error}): {advice}"
        raise ReleaseError(msg) from None
    if not same:
        expected = "expected the same model: look at that Jetson"
        msg = f"the files of {str(folder)!r} are not those of its image {image_sha256[:12]!r}, {expected}"
        raise ReleaseError(msg)


def label(folder: Path, model: str, version: str) -> None:
    """Name the registered version in a conversion's manifest: whoever converted a folder could not know it."""
    facts = _facts(folder)
    named = {**facts, "model": model, "version": version}
    if named != facts:
        write_manifest(folder, named, CONVERSION)


def adopt(unchecked: Path, home: Path, key: str) -> Path:
    """Keep a conversion that was checked; the oldest of many are dropped."""
    target = home / FOLDER / key
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    unchecked.replace(target)
    others = sorted(target.parent.iterdir(), key=lambda path: path.stat().st_mtime)
    for old in [path for path in others if path != target][: -KEPT or None]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def _facts(folder: Path) -> dict[str, object]:
    try:
        return dict(verify_manifest(folder, CONVERSION)["facts"])
    except ManifestError as error:
        raise ReleaseError(str(error)) from None
