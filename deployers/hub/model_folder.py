"""One model's folder on the hub: what `convert` wrote, the signed image of it, and what the hub notes down.

model.img        the image as boards take it
hub.json         when it was installed and activated, which version it is the way back for, why it failed
everything else  a conversion, which its manifest.json vouches for
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter

from deployers.conversion.features import decode_program
from deployers.conversion.stream import decode_golden
from deployers.exceptions import GateFailed, InputError, ServiceUnavailable
from deployers.hub.cells import cell_maker, kind_in
from deployers.hub.serving import INTEGER_SLACK, Model
from deployers.protocol.files import write_whole
from deployers.protocol.image import ModelType, Policy, verify_image
from deployers.protocol.manifest import CONVERSION, ManifestError, verify_manifest
from deployers.protocol.signature import load_public_key
from deployers.protocol.tlv import ImageError

if TYPE_CHECKING:
    from pathlib import Path

    from deployers.conversion.stream import GoldenVector
    from deployers.protocol.image import ImageParts

IMAGE, NOTES = "model.img", "hub.json"
TYPES = {ModelType.FLOAT32: "float32", ModelType.INT8: "int8", ModelType.INT16X8: "int16x8"}
# What becomes of reading fields that are not as convert writes them.
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, RecursionError)
IMAGE_BYTES_MAX = 1 << 24  # four times the flash of any board

State = Literal["installed", "active", "failed", "retired"]


@dataclass(frozen=True)
class Notes:
    """What the hub notes down about a version.

    Attributes:
        image_sha256: of its image.
        installed_ms, activated_ms: ms since 1970; activated the last time, None if never.
        way_back_for: the version after which this one runs again, if that fails.
        failed: why it could not be activated the last time that was tried.
    """

    image_sha256: str
    installed_ms: int
    activated_ms: int | None = None
    way_back_for: int | None = None
    failed: str | None = None


NOTES_FORM = TypeAdapter(Notes)


@dataclass(frozen=True)
class ModelView:
    """What a version is, for people and programs.

    Attributes:
        version: of the image.
        state: installed (never active), active, failed (could not be activated) or retired (was active).
        reason: why it failed.
        chosen: the type that runs.
        types: of each type `mae` in °C over the test part, `mae_growth` beside float Keras as a share, and the
            `largest` difference from it in °C, `file_bytes` and estimated `instructions` of one step on a board.
        keras_mae: MAE of float Keras over the same part in °C.
        agreement_celsius: how far forecasts of hub and board may be apart.
        model, model_version: in MLflow.
        description: of the image, for people.
    """

    version: int
    state: State
    reason: str | None
    chosen: str
    types: dict[str, dict[str, int | float | None]]
    keras_mae: float | None
    mae_growth: float | None
    agreement_celsius: float
    horizon: int
    cadence_seconds: int
    model: str | None
    model_version: str | None
    description: str
    release_sha256: str
    image_sha256: str
    image_bytes: int
    way_back_for: int | None
    installed_ms: int
    activated_ms: int | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Installable:
    """A folder that was verified.

    Attributes:
        folder: where it is.
        facts: of the conversion's manifest.
        fidelity: the fidelity report.
        parts: what the image carries.
        image_sha256, image_bytes: of the image.
    """

    folder: Path
    facts: dict[str, Any]
    fidelity: dict[str, Any]
    parts: ImageParts
    image_sha256: str
    image_bytes: int

    @property
    def chosen(self) -> str:
        """The type that runs."""
        return TYPES[self.parts.model_type]

    def load(self, runtime: str) -> Model:
        """The model in memory, proven by its golden vectors.

        Raises:
            GateFailed: they come out otherwise.
            MissingTool, ConversionError: the runtime is not there, or refuses the cell.
        """
        try:
            maker, kind = cell_maker(self.folder, self.chosen, runtime)
            program, cleaning = decode_program(self.parts.program)
            vectors = self.vectors(kind)
        except (OSError, InputError) as error:
            msg = f"version {self.parts.version!r} cannot be read ({error}): install it again"
            raise GateFailed(msg) from None
        model = Model(self.parts.version, program, cleaning, maker, kind)
        _require_widths(model)
        model.prove(vectors)
        return model

    def image(self) -> bytes:
        """The image, as it was verified.

        Raises:
            ServiceUnavailable: its file is not there any more, or another.
        """
        data = b""
        with suppress(OSError):
            data = (self.folder / IMAGE).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.image_sha256:
            told = "is not the one that was verified, or is gone: install the version again"
            msg = f"{IMAGE} of version {self.parts.version!r} {told}"
            raise ServiceUnavailable(msg)
        return data

    def vectors(self, kind: str) -> list[GoldenVector]:
        """The golden vectors that the cell of a type must reproduce."""
        horizon = decode_program(self.parts.program)[0].horizon
        if kind == self.chosen:
            return decode_golden(self.parts.golden, horizon)
        return decode_golden((self.folder / f"golden_{kind}.bin").read_bytes(), horizon)

    def view(self, notes: Notes, state: State, runtime: str = "") -> ModelView:
        """What is told about it, on a hub that computes forecasts with this runtime."""
        same, other = self._agreements
        return replace(
            self._seen,
            state=state,
            reason=notes.failed,
            agreement_celsius=same if kind_in(runtime, self.chosen) == self.chosen else other,
            way_back_for=notes.way_back_for,
            installed_ms=notes.installed_ms,
            activated_ms=notes.activated_ms,
        )

    @cached_property
    def _seen(self) -> ModelView:
        """What does not change."""
        program = decode_program(self.parts.program)[0]
        types = {kind: _figures(found) for kind, found in self.fidelity["types"].items()}
        return ModelView(
            version=self.parts.version,
            state="installed",
            reason=None,
            chosen=self.chosen,
            types=types,
            keras_mae=self.fidelity["keras"]["mae"],
            mae_growth=types[self.chosen]["mae_growth"],
            agreement_celsius=self._agreements[0],
            horizon=program.horizon,
            cadence_seconds=program.cadence_seconds,
            model=self.facts.get("model"),
            model_version=self.facts.get("version"),
            description=self.parts.description,
            release_sha256=self.parts.release_sha256.hex(),
            image_sha256=self.image_sha256,
            image_bytes=self.image_bytes,
            way_back_for=None,
            installed_ms=0,
            activated_ms=None,
        )

    @cached_property
    def _agreements(self) -> tuple[float, float]:
        """How far a board may be from a hub that runs the same cell, and from one that runs the float model.

        The same cell: as far as golden vectors may be off. What the type was off by at most from Keras is tens of times
        that, and would let the forecasts of another model pass; only beside the float model there is nothing closer.
        """
        slack = 1.0 if self.chosen == "float32" else INTEGER_SLACK
        same = slack * max(vector.tolerance for vector in self.vectors(self.chosen))
        return same, max(same, _figures(self.fidelity["types"][self.chosen])["largest"] or 0.0)


def verified(folder: Path, keys: Path) -> Installable:
    """Check all of a folder but the forecasts: manifest, signature of the image, and that the two are of one model.

    Args:
        folder: a conversion with its model.img.
        keys: folder with the public keys of who may sign.

    Raises:
        GateFailed: it is not what it should be; the message names the file or the key.
        ServiceUnavailable: a public key cannot be read, or there is none.
    """
    try:
        _require_plain(folder)
        facts = verify_manifest(folder, CONVERSION, beside=(IMAGE, NOTES))["facts"]
        image = _image(folder)
        parts = verify_image(image, Policy(keys=public_keys(keys)))
        fidelity = json.loads((folder / "fidelity.json").read_text(encoding="utf-8"))
        found = Installable(folder, facts, fidelity, parts, hashlib.sha256(image).hexdigest(), len(image))
        _require_one_model(found)
        found.view(Notes(found.image_sha256, 0), "installed")  # every field of it can be read
    except ImageError as error:
        msg = f"{IMAGE} of {folder.name!r} is refused, {error}"
        raise GateFailed(msg) from None
    except (ManifestError, InputError) as error:
        raise GateFailed(str(error)) from None
    except (*UNREADABLE, OSError) as error:
        msg = f"model {folder.name!r} cannot be read ({error!r}): convert the release again"
        raise GateFailed(msg) from None
    return found


def public_keys(folder: Path) -> tuple[bytes, ...]:
    """The public keys in a folder, as `image keygen` writes them: every *.pub.

    Raises:
        ServiceUnavailable: there is none, or one is no key.
    """
    try:
        points = tuple(load_public_key(path) for path in sorted(folder.glob("*.pub")))
    except ImageError as error:
        raise ServiceUnavailable(str(error)) from None
    if not points:
        msg = f"no public key in {str(folder)!r}, expected *.pub of who signs images: run python -m deployers setup"
        raise ServiceUnavailable(msg)
    return points


def read_notes(folder: Path, image_sha256: str) -> Notes:
    """What the hub noted down about the version in a folder; as if just installed where that is lost."""
    try:
        notes = NOTES_FORM.validate_json((folder / NOTES).read_bytes())
    except (OSError, ValueError):
        return Notes(image_sha256, int(folder.stat().st_mtime * 1000))
    return replace(notes, image_sha256=image_sha256)


def write_notes(folder: Path, notes: Notes) -> None:
    """Write them whole or not at all.

    Raises:
        ServiceUnavailable: the disk does not take them.
    """
    write_json(folder / NOTES, asdict(notes))


def write_json(path: Path, fields: dict[str, Any]) -> None:
    """Write a file of the hub's own whole or not at all, and have the disk keep it.

    Raises:
        ServiceUnavailable: the disk does not take it.
    """
    try:
        write_whole(path, json.dumps(fields, sort_keys=True).encode(), 0o640)
        sync_folder(path.parent)
    except ImageError as error:
        raise ServiceUnavailable(str(error)) from None
    except OSError as error:
        msg = f"{str(path.parent)!r} cannot be written ({error.strerror}): check the folder and free space"
        raise ServiceUnavailable(msg) from None


def sync_folder(folder: Path) -> None:
    """Have the disk keep a folder's names, after files in it were added or renamed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(folder: Path) -> None:
    """Have the disk keep every file of a folder."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def _require_plain(folder: Path) -> None:
    """Refuse what a rename would not take along, or a manifest does not see."""
    if not folder.is_dir() or folder.is_symlink():
        msg = f"{str(folder)!r} is no folder, expected a conversion with its {IMAGE}: upload one"
        raise InputError(msg)
    other = [path.name for path in folder.iterdir() if path.is_symlink() or not path.is_file()]
    if other:
        msg = f"{min(other)!r} in {str(folder)!r} is no plain file, expected files only: upload the folder again"
        raise InputError(msg)


def _image(folder: Path) -> bytes:
    path = folder / IMAGE
    if not path.is_file():
        msg = f"{str(folder)!r} has no {IMAGE}, expected the signed image beside the conversion: upload it"
        raise InputError(msg)
    if path.stat().st_size > IMAGE_BYTES_MAX:
        msg = f"{IMAGE} has {path.stat().st_size!r} bytes, expected at most {IMAGE_BYTES_MAX}: give another"
        raise InputError(msg)
    return path.read_bytes()


def _require_one_model(found: Installable) -> None:
    """Refuse an image of another conversion than the one it lies in."""
    chosen, folder, parts = found.chosen, found.folder, found.parts
    pairs = {
        f"cell_{chosen}.tflite": parts.model,
        "program.bin": parts.program,
        f"golden_{chosen}.bin": parts.golden,
    }
    other = [name for name, data in pairs.items() if (folder / name).read_bytes() != data]
    if found.facts["chosen"] != chosen:
        other.append(f"chosen type {found.facts['chosen']!r}")
    if found.facts["release_sha256"] != parts.release_sha256.hex():
        other.append("release_sha256")
    if other:
        msg = f"{IMAGE} of {folder.name!r} is of another conversion: {', '.join(other)} differ: make the image again"
        raise InputError(msg)


def _require_widths(model: Model) -> None:
    ends = (model.cell.inputs[0].width, model.cell.outputs[0].width)
    expected = (len(model.program.names), model.program.horizon)
    if ends != expected:
        msg = f"the cell of version {model.version!r} has {ends!r} inputs and outputs, expected {expected!r}"
        msg = f"{msg} by its feature program: convert the release again"
        raise GateFailed(msg)


def _figures(found: dict[str, Any]) -> dict[str, int | float | None]:
    return {
        "mae": found["metrics"]["mae"],
        "mae_growth": found["mae_growth"],
        "largest": found["error"]["largest"]["celsius"],
        "file_bytes": found["file_bytes"],
        "instructions": found["instructions"],
    }
