"""The forecaster whose errors the monitor is measured on: trained, converted and stepped by the project's own code."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deployers.conversion.budget import ConversionConfig
from deployers.conversion.features import FeatureProgram
from deployers.conversion.proof import prove
from deployers.hub.cells import LiteCell
from deployers.hub.monitor.skill import of_release
from deployers.hub.monitor.watch import Model as Known
from deployers.hub.serving import Model
from deployers.protocol.files import write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.monitor_sites import Doubles, Readings

    Floats = NDArray[np.float32]

FEATURES = ("difference:1", "difference:18", "hour:1:sin", "hour:1:cos")
UNITS, UPDATES, SEED = 16, 240, 1
KIND = "float32"
VERSION = 1
MODE = 0o644
# As a hub has it for a float image: `ModelView.agreement_celsius` is the tolerance of its golden vectors.
AGREEMENT = 1e-3


@dataclass(frozen=True)
class Subject:
    """A model as the hub runs it, and what its monitor knows of it.

    Attributes:
        model: that steps.
        known: of its release.
        days: of the release's test part: mean errors of model and persistence.
        digest: of the cell and its program.
    """

    model: Model
    known: Known
    days: list[dict[str, Any]]
    digest: str


def trained(name: str, readings: Readings, folder: Path) -> Subject:
    """A small GRU with the standard recipe, from the folder if it was trained there on the same readings.

    Args:
        name: of what it is trained on.
        readings: training, validation and test part.
        folder: where it is kept.
    """
    digest = hashlib.sha256(readings.times.tobytes() + readings.celsius.tobytes() + repr(_recipe()).encode())
    kept = folder / f"{name}-{digest.hexdigest()[:12]}"
    if not (kept / "fidelity.json").exists():
        _train(readings, kept)
    return _loaded(kept)


def stepped(subject: Subject, readings: Readings, before: Readings | None, folder: Path) -> Doubles:
    """Forecasts in °C at each reading as the hub makes them, `(readings, horizon)`; NaN where it makes none.

    Args:
        subject: the model.
        readings: in the order of arrival.
        before: from which the state is rebuilt, as after a start of the hub.
        folder: where forecasts are kept for the next time.
    """
    digest = hashlib.sha256(subject.digest.encode())
    for part in (readings, before.part(-subject.model.replay_readings, len(before.times)) if before else ()):
        for column in part:
            digest.update(column.tobytes())
    kept = folder / f"forecasts-{digest.hexdigest()[:16]}.npy"
    if not kept.exists():
        file = io.BytesIO()
        np.save(file, _stepped(subject, readings, before))
        write_whole(kept, file.getvalue(), MODE)
    found: Doubles = np.load(kept).astype(np.float64)
    return found


def _stepped(subject: Subject, readings: Readings, before: Readings | None) -> Floats:
    track = subject.model.track()
    if before is not None:
        count = subject.model.replay_readings
        track.replay(_micro(before)[-count:])
    made = {each.time_ms: each.celsius for each in track.push_all(_micro(readings))}
    nothing = (float("nan"),) * subject.model.program.horizon
    return np.array([made.get(time, nothing) for time in readings.times.tolist()], np.float32)


def _micro(readings: Readings) -> list[tuple[int, int]]:
    values = np.round(readings.celsius * 1e6).astype(np.int64)
    return list(zip(readings.times.tolist(), values.tolist(), strict=True))


def _recipe() -> tuple[Any, ...]:
    return FEATURES, UNITS, UPDATES, SEED, KIND


def _train(readings: Readings, kept: Path) -> None:
    from forecaster.cleaning import clean  # noqa: PLC0415 - TensorFlow is not loaded where nothing is trained
    from forecaster.dataset import build_dataset  # noqa: PLC0415
    from forecaster.features import fit_program  # noqa: PLC0415
    from forecaster.genome import Candidate  # noqa: PLC0415
    from forecaster.gru.architecture import Recipe  # noqa: PLC0415
    from forecaster.model import train  # noqa: PLC0415
    from forecaster.release import write_release  # noqa: PLC0415
    from forecaster.splitting import split  # noqa: PLC0415
    from pipelines.config import load_config  # noqa: PLC0415

    config = load_config([]).data
    frame = pd.DataFrame({"time": readings.times.astype("datetime64[ms]").astype("datetime64[us]")})
    grid, report = clean(frame.assign(value=readings.celsius), config.cleaning)
    parts = split(grid, config.split)
    program = fit_program(parts, config.features, report.cadence_seconds, config.sequences.horizon)
    dataset = build_dataset(parts, program, config.sequences, {"cleaning": config.cleaning.model_dump(mode="json")})
    model = train(dataset, Candidate(FEATURES, "gru", UNITS, Recipe()), UPDATES, SEED, refit=True)
    with tempfile.TemporaryDirectory(prefix="edgeloop-monitor-") as scratch:
        release = Path(scratch) / "release"
        write_release(release, model, dataset, {}, {"dataset_version": "benchmark"})
        proof = prove(release, ConversionConfig(types=(KIND,)), build_engine=False)
        kept.mkdir(parents=True, exist_ok=True)
        write_whole(kept / f"cell_{KIND}.tflite", proof.files[KIND], MODE)
        write_whole(kept / "features.json", (release / "features.json").read_bytes(), MODE)
        write_whole(kept / "fidelity.json", json.dumps(proof.figures).encode(), MODE)


def _loaded(kept: Path) -> Subject:
    fields, cell = json.loads((kept / "features.json").read_bytes()), (kept / f"cell_{KIND}.tflite").read_bytes()
    program, fidelity = FeatureProgram.from_dict(fields["program"]), json.loads((kept / "fidelity.json").read_bytes())
    model = Model(VERSION, program, fields["cleaning"], lambda: LiteCell(cell), KIND)
    known = Known(model.cadence_ms, of_release(fidelity), AGREEMENT)
    digest = hashlib.sha256(cell + json.dumps(fields, sort_keys=True).encode()).hexdigest()
    return Subject(model, known, fidelity["days"], digest)
