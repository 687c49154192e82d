"""A converted folder, checked: its golden vectors through three runtimes, and through the firmware's own check."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployers.conversion.board import HostBoard
from deployers.conversion.conditions import Condition, failures
from deployers.conversion.cost import TYPES
from deployers.conversion.features import FeatureProgram, encode_program
from deployers.conversion.golden import Series, golden_series, largest
from deployers.conversion.runtimes import RUNTIMES, Engine, LiteRT
from deployers.exceptions import GateFailed, ReleaseError
from deployers.protocol.manifest import CONVERSION, ManifestError, verify_manifest
from deployers.protocol.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What float arithmetic in another order may make, over a golden vector of a hundred steps: °C, and for outputs whose
# unit stands for more than 1 °C so many times as much.
FLOAT_TOLERANCE = 1e-5
# What becomes of reading fields that are not as convert writes them.
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, RecursionError, OSError)
# What a cell may be further from float Keras here than where it was converted: a sine may round otherwise there.
GROWTH, LEAST_GROWTH = 1.05, 1e-4  # share, °C


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
    types, report = _types(folder, facts), _report(folder, facts)
    try:
        fields = json.loads((folder / "features.json").read_text(encoding="utf-8"))
        program, cleaning = FeatureProgram.from_dict(fields["program"]), fields["cleaning"]
        golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
        series, tolerance = golden_series(golden, program, cleaning), float(golden["tolerance_celsius"]["float32"])
        payload = (folder / "program.bin").read_bytes()
    except UNREADABLE as error:
        msg = f"conversion {str(folder)!r} cannot be read ({error!r}): convert the release again"
        raise ReleaseError(msg) from error
    if payload != encode_program(program, cleaning):
        msg = f"program.bin of {str(folder)!r} is not the program of its features.json: convert the release again"
        raise ReleaseError(msg)
    _require_same(folder, "horizon", facts.get("horizon"), program.horizon, "program.bin")
    figures, conditions = dict[str, Any](), list[Condition]()
    for kind in types:
        progress(kind)
        file = (folder / f"cell_{kind}.tflite").read_bytes()
        figures[kind] = _compared(file, series, program)
        board, vectors = HostBoard(file, payload, program.horizon), (folder / f"golden_{kind}.bin").read_bytes()
        status, worst = board.golden(vectors)
        figures[kind]["board"] = {"status": status.name, "worst": worst}
        allowed = _conditions(kind, figures[kind], tolerance, FLOAT_TOLERANCE * max(1.0, program.target_scale))
        conditions += [*allowed, _known(kind, figures[kind], report[kind])]
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
    found, chosen = facts.get("types"), facts.get("chosen")
    expected = f"some of {', '.join(TYPES)}: convert the release again"
    if not isinstance(found, list) or not found or any(kind not in TYPES for kind in found):
        msg = f"types of conversion {str(folder)!r} are {found!r}, expected {expected}"
        raise ReleaseError(msg)
    if chosen not in found:
        expected = f"one of {', '.join(found)}: convert the release again"
        msg = f"chosen type of conversion {str(folder)!r} is {chosen!r}, expected {expected}"
        raise ReleaseError(msg)
    missing = [name for kind in found for name in _files(kind) if not (folder / name).is_file()]
    if missing:
        msg = f"conversion {str(folder)!r} has no {missing[0]!r}, expected one for each type: convert it again"
        raise ReleaseError(msg)
    return found


def _report(folder: Path, facts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """How far each type was from Keras when it was converted, of a report that goes with the manifest."""
    try:
        found = json.loads((folder / "fidelity.json").read_text(encoding="utf-8"))
        condition = Condition.from_dict(found["conditions"][found["chosen"]])
        passed, digest = condition.passed, found["digest"]
        apart = {kind: {**found["golden_difference"][kind]} for kind in facts["types"]}
        known = [(each["runtime"] in RUNTIMES, 0 <= float(each["celsius"]) < float("inf")) for each in apart.values()]
    except UNREADABLE as error:
        msg = f"fidelity.json of {str(folder)!r} cannot be read ({error!r}): convert the release again"
        raise ReleaseError(msg) from error
    if not all(map(all, known)):
        expected = "a runtime and °C of each type: convert the release again"
        msg = f"golden_difference in fidelity.json of {str(folder)!r} is {apart!r}, expected {expected}"
        raise ReleaseError(msg)
    _require_same(folder, "chosen type", facts["chosen"], found["chosen"], "fidelity.json")
    _require_same(folder, "digest", facts.get("digest"), digest, "fidelity.json")
    if not passed:
        msg = f"chosen type of {str(folder)!r} is over budget, {condition.sentence()}: convert the release again"
        raise ReleaseError(msg)
    return apart


def _require_same(folder: Path, what: str, found: object, expected: object, source: str) -> None:
    if found != expected:
        msg = f"{what} of conversion {str(folder)!r} is {found!r}, expected {expected!r} as in its {source}"
        msg = f"{msg}: convert the release again"
        raise ReleaseError(msg)


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
            beside = {"keras": largest(celsius[each.rows], each.keras), "tflm": largest(celsius, made["TFLM"])}
            found[name] = {key: max(found[name][key], value) for key, value in beside.items()}
    return {"runtimes": found}


def _conditions(kind: str, figures: dict[str, Any], tolerance: float, order: float) -> list[Condition]:
    """What has to hold of one type.

    Args:
        kind: of the type.
        figures: of its runtimes and of the firmware's own check.
        tolerance: from Keras in °C, of the release.
        order: what float arithmetic in another order may make in °C.
    """
    beside = figures["runtimes"]
    exact = order if kind == "float32" else 0.0
    conditions = [Condition(f"{kind}: {Engine.name} beside TFLM", beside[Engine.name]["tflm"], "at most", exact, "°C")]
    if kind == "float32":
        # The integer kernels of LiteRT round otherwise than TFLM's in places; its differences are told, not judged.
        pairs = ((LiteRT.name, "tflm", order), (Engine.name, "keras", tolerance))
        conditions += [
            Condition(f"float32: {name} beside {key}", beside[name][key], "at most", limit, "°C")
            for name, key, limit in pairs
        ]
    board = figures["board"]
    refused = 0.0 if board["status"] == Status.OK.name else 1.0
    detail = f"{board['status']}, {board['worst']:.3g} °C off"
    return [*conditions, Condition(f"{kind}: golden vectors the firmware refuses", refused, "at most", 0.0, "", detail)]


def _known(kind: str, figures: dict[str, Any], then: dict[str, Any]) -> Condition:
    """The cell is as far from Keras as the one that was converted, else it is another one."""
    name, celsius = then["runtime"], float(then["celsius"])
    found, limit = figures["runtimes"][name]["keras"], GROWTH * celsius + LEAST_GROWTH
    detail = f"{celsius:.3g} °C when it was converted"
    return Condition(f"{kind}: {name} beside Keras as it was converted", found, "at most", limit, "°C", detail)
