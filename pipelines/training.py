"""The training pipeline: load → search → train → evaluate → package → convert → gate → register → promote."""

from __future__ import annotations

from typing import Any

from zenml import pipeline
from zenml.client import Client

from pipelines.config import TrainingConfig  # noqa: TC001 - ZenML reads the annotation at run time
from steps.promotion.promote import promote
from steps.promotion.register import register
from steps.training.convert import convert
from steps.training.evaluate import evaluate
from steps.training.gate import gate
from steps.training.load import load
from steps.training.package import package
from steps.training.search import WORKERS, search
from steps.training.train import train


@pipeline(name="training", enable_cache=True)
def training_pipeline(
    config: TrainingConfig, provenance: dict[str, Any], dataset: Any = None, cause: dict[str, str] | None = None
) -> None:
    """A dataset version becomes a registered model version.

    It is the one of `provenance`; without one, in a schedule, what `dataset` holds or the newest when the run begins.
    """
    if dataset is None:
        name, _, version = provenance.get("dataset_version", config.dataset).partition(":")
        dataset = Client().get_artifact_version(name, version or config.dataset_version)
    load(dataset)
    apart = search.with_options(extra={WORKERS: config.search.workers})  # as a parameter it would part the cache
    found, search_page = apart(dataset, config.search, config.seed, after="load")
    forecaster = train(dataset, found, config.search, config.candidate, config.seed, config.refit, config.seeds)
    evaluation, evaluation_page = evaluate(dataset, forecaster, config.gate, config.seed)
    release = package(dataset, forecaster, evaluation, found, provenance)
    fidelity, fidelity_page = convert(release, config.conversion)
    gate(evaluation, fidelity, config.gate)
    pages = (search_page, evaluation_page, fidelity_page)
    registration = register(config.model, release, evaluation, found, fidelity, *pages, after="gate")
    promote(registration, dataset, config.promotion, force=False, cause=cause or {})
