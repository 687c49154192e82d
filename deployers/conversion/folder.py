"""The folder that a conversion leaves, written whole or not at all.

cell_TYPE.tflite         the cell of each type
model.h, model.c         the chosen one as C source
model.onnx               the sequence model with a real GRU operator, for the Jetson
features.json            feature program, scaler, cleaning, architecture
program.bin              the feature program as a board reads it
golden.json              readings in, the forecasts of float Keras out
golden_TYPE.bin          the same readings, the forecasts of each type, as a board reads them
fidelity.json, .html     what each type costs and how far it is from float Keras
manifest.json            size and SHA-256 of each of these
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployers.conversion.c_object import c_header, c_source
from deployers.conversion.conditions import finite
from deployers.conversion.features import FeatureProgram, encode_program
from deployers.conversion.golden import board_golden, golden_series, keras_difference
from deployers.conversion.page import named
from deployers.exceptions import InputError, ServiceUnavailable
from deployers.protocol.manifest import CONVERSION, NAME, ManifestError, verify_manifest, write_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployers.conversion.proof import Proof

COPIED = ("model.onnx", "features.json", "golden.json")


def require_free(out: Path, *, force: bool = False) -> None:
    """Refuse a folder that would be overwritten; before the work, so that nobody waits for a refusal.

    Raises:
        InputError: something is there, and it is no conversion or `force` is not given; or it cannot be renamed.
        ServiceUnavailable: nothing can be written beside it.
    """
    with _explained(out):
        _require_unused(out, force=force)
        target, here = out.resolve(), Path.cwd()
        if target == here or target in here.parents:
            msg = f"--out {str(out)!r} is the current folder or above it, and is replaced as a whole: give one in it"
            raise InputError(msg)
        if os.path.ismount(target):
            msg = f"--out {str(out)!r} is a mount point, expected a folder that can be renamed: give one in it"
            raise InputError(msg)
        _try_beside(target)


def _try_beside(target: Path) -> None:
    """Make and remove a folder with as long a name as the one that is written first: permissions alone do not tell."""
    parent = next(folder for folder in target.parents if folder.exists())
    probe = parent / _name_beside(target, "new")
    probe.mkdir()
    probe.rmdir()


def _require_unused(out: Path, *, force: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        msg = f"--out {str(out)!r} is no folder, expected one that is empty or does not exist: give another"
        raise InputError(msg)
    if not any(out.iterdir()):
        return
    if not force:
        msg = f"--out {str(out)!r} is not empty, expected an empty or new folder: give another, or --force"
        raise InputError(msg)
    if not _is_conversion(out):
        msg = f"--out {str(out)!r} holds no conversion, which alone --force replaces: give another folder"
        raise InputError(msg)


def _is_conversion(folder: Path) -> bool:
    """Whether the files are those of a conversion: a changed one may be replaced, a folder with others may not."""
    try:
        listed = json.loads((folder / NAME).read_text(encoding="utf-8"))
        known = {NAME, *listed["files"]}
        return bool(listed["format"] == CONVERSION.format) and {p.name for p in folder.iterdir()} <= known
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_conversion(release: Path, proof: Proof, out: Path, facts: dict[str, Any], *, force: bool = False) -> str:
    """Write everything that a deployment needs.

    Args:
        release: the verified release folder.
        proof: what came of its conversion.
        out: folder that appears when it is complete.
        facts: more facts for the manifest.
        force: replace a conversion that is there.

    Returns:
        The chosen type.

    Raises:
        GateFailed: no type is within budget; nothing is written.
        InputError: see `require_free`.
        ServiceUnavailable: the disk is full or not writable.
    """
    chosen = proof.require()
    require_free(out, force=force)
    with _explained(out), _whole(out.resolve()) as folder:  # a link stays one
        for name in COPIED:
            shutil.copyfile(release / name, folder / name)
        fields = json.loads((release / "features.json").read_text(encoding="utf-8"))
        program = FeatureProgram.from_dict(fields["program"])
        (folder / "program.bin").write_bytes(encode_program(program, fields["cleaning"]))
        golden = json.loads((release / "golden.json").read_text(encoding="utf-8"))
        series = golden_series(golden, program, fields["cleaning"])
        for kind, file in proof.files.items():
            (folder / f"cell_{kind}.tflite").write_bytes(file)
            (folder / f"golden_{kind}.bin").write_bytes(board_golden(file, series, program))
        (folder / "model.h").write_text(c_header(), encoding="utf-8")
        (folder / "model.c").write_text(c_source(proof.files[chosen]), encoding="utf-8")
        apart = {kind: keras_difference(file, series, program) for kind, file in proof.files.items()}
        figures = finite({**proof.figures, "golden_difference": apart})
        report = json.dumps(figures, indent=1, sort_keys=True, allow_nan=False)
        (folder / "fidelity.json").write_text(report, encoding="utf-8")
        (folder / "fidelity.html").write_text(named(proof.page, facts), encoding="utf-8")
        write_manifest(folder, {**_facts(proof, chosen, program), **facts}, CONVERSION)
        verify_manifest(folder, CONVERSION)
    return chosen


def _facts(proof: Proof, chosen: str, program: FeatureProgram) -> dict[str, Any]:
    arenas = {kind: found["arena_bytes"] for kind, found in proof.figures["types"].items()}
    return {
        "chosen": chosen,
        "types": list(proof.files),
        "digest": proof.figures["digest"],
        "horizon": program.horizon,
        "arena_bytes": {kind: size for kind, size in arenas.items() if size is not None},
        "buffer_bytes": program.buffer_bytes,
    }


def _name_beside(target: Path, what: str) -> str:
    return f".{target.name}.{secrets.token_hex(4)}.{what}"


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    """Turn what the disk refuses into our own error."""
    try:
        yield
    except (OSError, ManifestError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        advice = "free some space and run again" if full else "check the folder's permissions, or give another"
        msg = f"--out {str(out)!r} cannot be written ({reason}): {advice}"
        raise ServiceUnavailable(msg) from error


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name when everything in it is written."""
    folder, old = (out.parent / _name_beside(out, what) for what in ("new", "old"))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        yield folder
        if out.exists():
            out.replace(old)
        folder.replace(out)
    finally:
        if old.exists() and not out.exists():  # also when it is interrupted between the two
            old.replace(out)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
