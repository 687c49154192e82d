"""A trained forecaster: network, weights and feature program, from readings to °C."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from forecaster.errors import ForecasterError
from forecaster.features import FeatureProgram
from forecaster.genome import Candidate, columns
from forecaster.gru.architecture import Architecture
from forecaster.gru.network import stream_network
from forecaster.gru.trainer import fit
from forecaster.streaming import stream_forecasts
from forecaster.trials import SEED_STEP

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from forecaster.arrays import Doubles, Floats
    from forecaster.dataset import Dataset
    from forecaster.gru.trainer import Fit


class Forecaster:
    """A network that forecasts; never changed once made (a plain class for the reason `Dataset` is one).

    Args:
        architecture: sizes of the network.
        program: the features it reads, with their scales.
        weights: flat vector, `architecture.parameters` values.
        training: how it came about: seed, parts, updates, recipe, curves, cpu_seconds.
    """

    def __init__(
        self, architecture: Architecture, program: FeatureProgram, weights: Floats, training: dict[str, Any]
    ) -> None:
        self.architecture, self.program, self.weights, self.training = architecture, program, weights, training

    def forecasts(self, grid: pd.DataFrame) -> Doubles:
        """Forecasts in °C made at every row of a grid frame, `(rows, horizon)`."""
        return stream_forecasts(grid, self.program, stream_network(self.architecture, self.weights))

    @property
    def digest(self) -> str:
        """SHA-256 over weights, sizes and feature program: the identity of what is deployed."""
        head = json.dumps([self.architecture.as_dict(), self.program.as_dict()], sort_keys=True)
        return hashlib.sha256(head.encode() + self.weights.astype("<f4").tobytes()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """Figures a reviewer wants to see."""
        return {
            "digest": self.digest,
            "features": list(self.program.names),
            **{key: value for key, value in self.architecture.as_dict().items() if key != "inputs"},
            "parameters": self.architecture.parameters,
            "macs_per_forecast": self.architecture.macs_per_forecast,
            "trained_on": self.training["parts"],
            "updates": self.training["updates"],
        }

    def save(self, folder: Path) -> None:
        """Write into an existing folder."""
        np.save(folder / "weights.npy", self.weights)
        fields = {
            "architecture": self.architecture.as_dict(),
            "program": self.program.as_dict(),
            "training": self.training,
            "digest": self.digest,
        }
        (folder / "forecaster.json").write_text(json.dumps(fields, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Forecaster:
        """Read what `save` wrote.

        Raises:
            ForecasterError: the files do not belong together.
        """
        fields = json.loads((folder / "forecaster.json").read_text(encoding="utf-8"))
        loaded = cls(
            Architecture(**fields["architecture"]),
            FeatureProgram.from_dict(fields["program"]),
            np.load(folder / "weights.npy"),
            fields["training"],
        )
        if loaded.digest != fields["digest"]:
            msg = f"forecaster digest is {loaded.digest[:12]!r}, stored was {fields['digest'][:12]!r}: train again"
            raise ForecasterError(msg)
        return loaded


def train(  # noqa: PLR0913 - data, recipe, length, seeds and parts
    dataset: Dataset, candidate: Candidate, best_update: int, seed: int, *, refit: bool, seeds: int = 1
) -> Forecaster:
    """The final training of the search's winner.

    With `refit` the network learns from training and validation part together, on the schedule of the
    search and for as many updates as were best there; no part is left to choose a checkpoint by, and the
    scaler stays that of the training part. Without, it learns from the training part and keeps the
    checkpoint with the lowest validation error.

    Args:
        dataset: the one of the search.
        candidate: what to train.
        best_update: how long, with `refit`.
        seed: of the first training.
        refit: learn from the validation part, too.
        seeds: trainings, each on a seed of its own; the one with the median error on the validation part is kept,
            for a lucky one promises what the next training does not keep.

    Raises:
        ForecasterError: the training diverged.
    """
    began = time.process_time()
    parts = ("train", "validation") if refit else ("train",)
    program = dataset.program.select(candidate.features)
    architecture = candidate.architecture(program.horizon)
    chosen = columns(dataset.program.names, candidate.features)
    recipe = candidate.recipe
    stop = best_update if refit else None
    sequences = dataset.training_sequences(parts)
    fits = {
        each: fit(sequences, chosen, architecture, recipe, each, stop_after=stop)
        for each in range(seed, seed + seeds * SEED_STEP, SEED_STEP)
    }
    kept = _median(fits, recipe.learning_rate)
    training = {
        "seed": seed,
        "parts": list(parts),
        "candidate": candidate.as_dict(),
        "recipe": recipe.as_dict(),
        **_course(fits, kept, program.target_scale),
        "cpu_seconds": time.process_time() - began,
    }
    return Forecaster(architecture, program, fits[kept].weights, training)


def _median(fits: dict[int, Fit], learning_rate: float) -> int:
    """Seed of the one with the median error, the lower one of two; refuses one that diverged."""
    kept = sorted(fits, key=lambda seed: fits[seed].validation_rmse)[(len(fits) - 1) // 2]
    if not np.isfinite(fits[kept].validation_rmse):
        msg = f"training diverged with learning rate {learning_rate!r}, lower search.space.learning_rate"
        raise ForecasterError(msg)
    return kept


def _course(fits: dict[int, Fit], kept: int, scale: float) -> dict[str, Any]:
    """How the trainings went, in °C; the error of a seed that diverged is None."""
    errors = {str(seed): made.validation_rmse for seed, made in fits.items()}
    return {
        "kept_seed": kept,
        "validation_rmse_by_seed": {seed: e * scale if np.isfinite(e) else None for seed, e in errors.items()},
        "updates": fits[kept].best_update,
        "curves": _in_celsius(fits[kept].curves, scale),
    }


def _in_celsius(curves: dict[str, list[float]], scale: float) -> dict[str, list[float]]:
    """Training curves with the loss as RMSE, both errors in °C."""
    return {
        "update": curves["update"],
        "train_rmse": [float(np.sqrt(loss)) * scale for loss in curves["train_loss"]],
        "validation_rmse": [error * scale for error in curves["validation_rmse"]],
    }
