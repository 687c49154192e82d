"""Conversion and its proof in one go: cells of every type, each measured, and the type that is deployed."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion import budget
from deployers.conversion.converter import Process, convert
from deployers.conversion.cost import instructions
from deployers.conversion.fidelity import (
    Fidelity,
    PartRun,
    TestPart,
    compared,
    errors_against_truth,
    errors_by_day,
    run_part,
)
from deployers.conversion.report import fidelity_page
from deployers.exceptions import GateFailed, ReleaseError
from deployers.protocol.manifest import ManifestError, verify_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.conversion.budget import ConversionConfig
    from deployers.conversion.conditions import Condition


@dataclass(frozen=True)
class Proof:
    """What came of a conversion.

    Attributes:
        files: cells by type; float32 is always there.
        conditions: what each type had to meet, by type.
        chosen: the type that is deployed, None if none is within budget.
        figures: the fidelity report as plain values.
        page: the same as an HTML page.
    """

    files: dict[str, bytes]
    conditions: dict[str, Condition]
    chosen: str | None
    figures: dict[str, Any]
    page: str

    def require(self) -> str:
        """The chosen type.

        Raises:
            GateFailed: no type is within budget; the message has every figure.
        """
        if self.chosen is not None:
            return self.chosen
        listed = "; ".join(condition.sentence() for condition in self.conditions.values())
        msg = f"no type is within the fidelity budget: {listed}: train again or raise the budget"
        raise GateFailed(msg)


def prove(
    release: Path,
    config: ConversionConfig,
    progress: Callable[[str], None] = lambda _: None,
    process: Process | None = None,
    *,
    build_engine: bool = True,
) -> Proof:
    """Convert a release to every type and measure each against the float Keras model.

    Args:
        release: a release folder.
        config: types and budget.
        progress: called with the name of each stage.
        process: how the converter's process is started.
        build_engine: whether the engine may be built for this machine; its arena is not known where it is not built.

    Raises:
        ReleaseError: the folder is no release, or has no test part.
        ConversionError: the converter crashed, took too long, or refused the model.
        MissingTool: LiteRT is not installed.
    """
    try:
        facts = verify_manifest(release)["facts"]
    except ManifestError as error:
        raise ReleaseError(str(error)) from None
    part = TestPart.load(release)
    files, made, reference = _convert(release, part, config, progress, process, build_engine=build_engine)
    measured = []
    for kind in config.types:
        progress(f"{kind} against Keras")
        measured.append(compared(made[kind], part, reference))
    return _proof(release.name, files, measured, part, config, facts, reference)


def _convert(  # noqa: PLR0913 - as prove
    release: Path,
    part: TestPart,
    config: ConversionConfig,
    progress: Callable[[str], None],
    process: Process | None,
    *,
    build_engine: bool,
) -> tuple[dict[str, bytes], dict[str, PartRun], Any]:
    """The cells, what each makes of the test part, and the changes in °C that Keras forecasts over it."""
    with tempfile.TemporaryDirectory(prefix="edgeloop-convert-") as scratch:
        folder = Path(scratch)
        np.savez(folder / "inputs.npz", features=part.features, starts=part.starts)
        made: dict[str, PartRun] = {}

        def run_finished(stage: str) -> None:
            """Run the cells that are whole while the converter is at its next stage: two cores are at work."""
            for kind in config.types:
                file = folder / f"cell_{kind}.tflite"
                if kind != stage and kind not in made and file.exists():
                    exact = (folder / "cell_float32.tflite").read_bytes()
                    made[kind] = run_part(kind, file.read_bytes(), exact, part, build_engine=build_engine)

        kinds = tuple(dict.fromkeys(("float32", *config.types)))

        def begin(stage: str) -> None:
            progress(stage)
            run_finished(stage)

        files = convert(release, folder, kinds, begin, process or Process(timeout=config.timeout_seconds))
        run_finished("")
        with np.load(folder / "reference.npz") as stored:
            reference = stored["residuals"].astype(np.float64) * part.program.target_scale
    return files, made, reference


def _proof(  # noqa: PLR0913, PLR0917 - everything that a report is made of
    name: str,
    files: dict[str, bytes],
    measured: list[Fidelity],
    part: TestPart,
    config: ConversionConfig,
    facts: dict[str, Any],
    reference: Any,
) -> Proof:
    types = {
        found.kind: {**found.figures, "instructions": instructions(found.kind, files[found.kind])} for found in measured
    }
    conditions, chosen = budget.conditions(types, config), budget.choose(types, config)
    figures = {
        "release": name,
        "digest": facts["digest"],
        "chosen": chosen,
        "budget": {"mae_growth": config.mae_growth},
        "conditions": {kind: condition.as_dict() for kind, condition in conditions.items()},
        "test_part": {"steps": len(part.time), "segments": len(part.starts), "horizon": part.program.horizon},
        "keras": errors_against_truth(reference, part.truth),
        "persistence": errors_against_truth(np.zeros_like(part.truth), part.truth),
        "days": errors_by_day(reference, part),
        "macs": int(facts["macs_per_forecast"]),
        "types": types,
    }
    json.dumps(figures, allow_nan=True)  # plain values only
    return Proof(files, conditions, chosen, figures, fidelity_page(figures, conditions, measured, part, reference))
