"""A converted folder, checked: its golden vectors through three runtimes, and through the firmware's own check."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.board import HostBoard
from deployers.conversion.conditions import Condition, failures
from deployers.conversion.cost import TYPES
from deployers.conversion.features import FeatureProgram, encode_program
from deployers.conversion.golden import Series, golden_series
from deployers.conversion.runtimes import RUNTIMES, Engine, LiteRT
from deployers.exceptions import GateFailed, ReleaseError
from deployers.protocol.manifest import CONVERSION, ManifestError, verify_manifest
from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

# °C that float arithmetic in another order may make, over a golden vector of a hundred steps.
FLOAT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        figures: of each type: of each runtime the largest difference in °C from `keras` and from `tflm`; `board` has
            the firmware's `status` and its `worst` difference from the vectors of the image.
        conditions: what had to hold, type by type.
    """

    figures: dict[str, Any]
    conditions: list[Condition]

    def require(self) -> None:
        """Raise what failed.

        Raises:
            GateFailed: the message has every condition that does not hold.
        """
        wrong = failures(self.conditions)
        if wrong:
            listed = "; ".join(condition.sentence() for condition in wrong)
            msg = f"the runtimes do not agree: {listed}: convert the release again, and do not deploy this one"
            raise GateFailed(msg)


def check_conversion(folder: Path, progress: Callable[[str], None] = lambda _: None) -> Checked:
    """Verify a folder that `convert` wrote, and run its golden vectors.

    Args:
        folder: the folder.
        progress: called with the name of each stage.

    Raises:
        ReleaseError: it is no such folder; missing, changed and added files are named.
        MissingTool: a runtime or a compiler is not on this machine.
        ConversionError: a runtime refuses a cell.
    """
    facts = _facts(folder)
    try:
        fields = json.loads((folder / "features.json").read_text(encoding="utf-8"))
        program, cleaning = FeatureProgram.from_dict(fields["program"]), fields["cleaning"]
        golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
        series, tolerance = golden_series(golden, program, cleaning), float(golden["tolerance_celsius"]["float32"])
        payload = (folder / "program.bin").read_bytes()
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        msg = f"conversion {folder.name!r} cannot be read ({error!r}): convert the release again"
        raise ReleaseError(msg) from error
    if payload != encode_program(program, cleaning):
        msg = f"program.bin of {folder.name!r} is not the program of its features.json: convert the release again"
        raise ReleaseError(msg)
    figures, conditions = dict[str, Any](), list[Condition]()
    for kind in _types(folder, facts):
        progress(kind)
        file = (folder / f"cell_{kind}.tflite").read_bytes()
        figures[kind] = _compared(file, series, program)
        board, vectors = HostBoard(file, payload, program.horizon), (folder / f"golden_{kind}.bin").read_bytes()
        status, worst = board.golden(vectors)
        figures[kind]["board"] = {"status": status.name, "worst": worst}
        conditions += _conditions(kind, figures[kind], tolerance)
    return Checked(figures, conditions)


def _facts(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        msg = f"{str(folder)!r} is no folder, expected one that python -m deployers convert wrote: give another"
        raise ReleaseError(msg)
    try:
        return dict(verify_manifest(folder, CONVERSION)["facts"])
    except ManifestError as error:
        raise ReleaseError(str(error)) from None


def _types(folder: Path, facts: dict[str, Any]) -> list[str]:
    found = facts.get("types")
    if not isinstance(found, list) or not found or not set(found) <= set(TYPES) or facts.get("chosen") not in found:
        what = (found, facts.get("chosen"))
        msg = f"types and chosen type of {folder.name!r} are {what!r}, expected some of {TYPES!r}: convert it again"
        raise ReleaseError(msg)
    missing = [name for kind in found for name in _files(kind) if not (folder / name).is_file()]
    if missing:
        msg = f"conversion {folder.name!r} has no {missing[0]!r}, expected one for each type: convert it again"
        raise ReleaseError(msg)
    return found


def _files(kind: str) -> tuple[str, str]:
    return f"cell_{kind}.tflite", f"golden_{kind}.bin"


def _compared(file: bytes, series: list[Series], program: FeatureProgram) -> dict[str, Any]:
    """Largest differences in °C of each runtime, over all vectors."""
    Engine(file)  # it checks every byte before work, the other two trust the file
    runtimes = {name: make(file) for name, make in RUNTIMES.items()}
    found = {name: {"keras": 0.0, "tflm": 0.0} for name in runtimes}
    for each in series:
        made = {name: each.forecasts(runtime, program) for name, runtime in runtimes.items()}
        for name, celsius in made.items():
            beside = {"keras": _largest(celsius[each.rows], each.keras), "tflm": _largest(celsius, made["TFLM"])}
            found[name] = {key: max(found[name][key], value) for key, value in beside.items()}
    return {"runtimes": found}


def _largest(one: Doubles, other: Doubles) -> float:
    """Infinite if either has a value that is not finite: `max` would pass over NaN."""
    difference = np.abs(one - other)
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")


def _conditions(kind: str, figures: dict[str, Any], tolerance: float) -> list[Condition]:
    beside = figures["runtimes"]
    exact = FLOAT_TOLERANCE if kind == "float32" else 0.0
    conditions = [Condition(f"{kind}: {Engine.name} beside TFLM", beside[Engine.name]["tflm"], "at most", exact, "°C")]
    if kind == "float32":
        # The integer kernels of LiteRT round otherwise than TFLM's in places; its differences are told, not judged.
        pairs = ((LiteRT.name, "tflm", FLOAT_TOLERANCE), (Engine.name, "keras", tolerance))
        conditions += [
            Condition(f"float32: {name} beside {key}", beside[name][key], "at most", limit, "°C")
            for name, key, limit in pairs
        ]
    board = figures["board"]
    refused = 0.0 if board["status"] == Status.OK.name else 1.0
    detail = f"{board['status']}, {board['worst']:.3g} °C off"
    return [*conditions, Condition(f"{kind}: golden vectors the firmware refuses", refused, "at most", 0.0, "", detail)]
