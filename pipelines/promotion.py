"""Promotion of a version that is registered already."""

from __future__ import annotations

from typing import Any

from zenml import pipeline
from zenml.client import Client

from pipelines.config import TrainingConfig  # noqa: TC001 - ZenML reads the annotation at run time
from steps.promotion.promote import promote


@pipeline(name="promotion", enable_cache=False)
def promotion_pipeline(config: TrainingConfig, registration: dict[str, Any], dataset_version: str, force: bool) -> None:
    """A registered version becomes champion if it beats the present one."""
    name, _, version = dataset_version.partition(":")
    promote(registration, Client().get_artifact_version(name, version), config.promotion, force, cause={})
