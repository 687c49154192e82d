"""Both pipelines as one, for a schedule: readings and dataset are those of the moment it runs."""

from __future__ import annotations

from typing import Any

from zenml import pipeline

from pipelines.config import DataConfig, TrainingConfig  # noqa: TC001 - ZenML reads the annotations at run time
from pipelines.data import data_pipeline
from pipelines.training import training_pipeline


@pipeline(name="all", enable_cache=True)
def all_pipeline(data: DataConfig, training: TrainingConfig, provenance: dict[str, Any]) -> None:
    """Readings become a versioned dataset, and that dataset a registered model version."""
    training_pipeline(training, provenance, data_pipeline(data, scheduled=True))
