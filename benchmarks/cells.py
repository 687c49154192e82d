"""Converted cells of every form with random weights: what the engine's cost is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deployers.conversion.calibration import calibration_steps
from deployers.conversion.cell import Cell
from deployers.conversion.child import unfinished_cell
from deployers.conversion.cost import TYPES
from deployers.conversion.quantisation import finish_cell
from deployers.conversion.runtimes import LiteRT
from forecaster.gru.architecture import Architecture
from forecaster.gru.keras_model import keras_model

FORMS = ("gru", "conv_gru", "gru_dense", "gru_gru")


@dataclass(frozen=True)
class Converted:
    """One network in every type.

    Attributes:
        model: the Keras sequence model.
        cell: its step.
        features: calibration sequences, `(sequences, steps, inputs)`.
        files: by type.
    """

    model: Any
    cell: Cell
    features: Any
    files: dict[str, bytes]


def random_cell(form: str, inputs: int, units: int, horizon: int) -> Converted:
    """Convert a network with random weights, in this process."""
    architecture = Architecture(inputs, horizon, units, form)
    weights = np.random.default_rng(1).normal(size=architecture.parameters) * 0.5
    model = keras_model(architecture, weights.astype(np.float32))
    cell, features = Cell.of(model), sequences(inputs)
    files = {"float32": finish_cell(unfinished_cell(cell, "float32"), cell, "float32")}
    runtime = LiteRT(files["float32"])
    for kind in TYPES[1:]:
        samples = list(calibration_steps(runtime, cell.states, features, kind))
        files[kind] = finish_cell(unfinished_cell(cell, kind, samples), cell, kind)
    return Converted(model, cell, features, files)


def sequences(inputs: int, seed: int = 0, steps: int = 48) -> Any:
    """Features that walk, with jumps."""
    rng = np.random.default_rng(seed)
    jumps = rng.normal(size=(4, steps, inputs)) * (rng.random((4, steps, inputs)) < 0.1) * 3
    return (np.sin(np.arange(steps)[None, :, None] / 7 + rng.normal(size=(4, 1, inputs))) + jumps).astype(np.float32)
