"""Tensors between a dataset and the trainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecaster.arrays import Floats

# Marks a target that is not known; far above any scaled residual. Not NaN: a NaN must make the loss NaN.
MISSING = 1e30


@dataclass(frozen=True)
class Sequences:
    """Training windows and the validation streams.

    Attributes:
        features: `(sequences, steps, features)`, scaled.
        targets: `(sequences, steps, horizon)`, scaled residuals; `MISSING` where unknown.
        validation_features: `(steps, features, streams)`, each stream begins with a warm-up.
        validation_targets: `(steps, horizon, streams)`; the warm-up's are missing.
    """

    features: Floats
    targets: Floats
    validation_features: Floats
    validation_targets: Floats
