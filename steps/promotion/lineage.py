"""Ties what ZenML knows to what MLflow registered: the same version on both sides."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from zenml import add_tags, get_step_context, log_metadata
from zenml.client import Client
from zenml.exceptions import EntityExistsError
from zenml.metadata.metadata_types import Uri
from zenml.model.utils import link_artifact_version_to_model_version
from zenml.models import ModelVersionPipelineRunRequest

from steps.metadata import beside
from steps.promotion.links import mlflow_run_url, mlflow_version_url, zenml_run_url
from steps.promotion.registry import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from steps.promotion.registry import Registration, TrackedRun

REPORT = "data_quality_report"
DESCRIPTION = "A streaming GRU forecaster of temperature. Version vN is version N of the MLflow model of this name."


def data_report(dataset_version: str) -> str | None:
    """The data quality page of the run that made a dataset version, given as `name:version`."""
    name, _, version = dataset_version.partition(":")
    made = Client().get_artifact_version(name, version or None)
    if made.producer_pipeline_run_id is None:
        return None
    run = Client().get_pipeline_run(made.producer_pipeline_run_id)
    step = run.steps.get("validate")
    return None if step is None else str(step.outputs[REPORT][0].load())


def version_name(version: str) -> str:
    """ZenML's name of MLflow's version: ZenML keeps bare numbers to itself."""
    return f"v{version}"


def run_tags(name: str) -> dict[str, str]:
    """The id and the page of a ZenML run; nothing if somebody has deleted it."""
    found = Client().list_pipeline_runs(name=name).items
    return {"zenml_run_id": str(found[0].id), "zenml_run_url": zenml_run_url(found[0])} if found else {}


def link_version(uri: str, registration: Registration, tracked: TrackedRun) -> None:
    """Tie a version that MLflow registered to ZenML.

    The Model Control Plane gets the version, with this run and its artifacts. This run, and the one that made the
    release if it was another, tell where MLflow's run and version are.

    Args:
        uri: MLflow's tracking URI.
        registration: the version.
        tracked: what was written to MLflow about it.
    """
    client, run = Client(), get_step_context().pipeline_run
    version = _model_version(client, registration, tracked)
    for step in run.steps.values():
        for artifact in chain(*step.outputs.values(), *step.inputs.values()):
            link_artifact_version_to_model_version(artifact, version)
    client.zen_store.create_model_version_pipeline_run_link(
        ModelVersionPipelineRunRequest(model_version=version.id, pipeline_run=run.id)
    )
    figures = shown(uri, registration, tracked)
    log_metadata(metadata=figures, model_name=registration.model, model_version=version.name)
    for each in {str(run.id), tracked.tags.get("zenml_run_id", str(run.id))}:
        log_metadata(metadata=figures, run_id_name_or_prefix=each)
    beside(registration.as_dict(), "registration")
    add_tags(tags=[registration.model, tracked.tags["dataset_version"]], run=run.id)


def show_outcome(outcome: Mapping[str, Any]) -> None:
    """Show what became of a challenger beside the artifact and the run; the run of a new champion is tagged."""
    run = get_step_context().pipeline_run
    told = {name: value for name, value in outcome.items() if value is not None}  # ZenML refuses None inside a dict
    beside(told, "promotion", "promotion_report")
    log_metadata(metadata={"promotion": told}, run_id_name_or_prefix=str(run.id))
    if outcome["promoted"]:
        add_tags(tags=["promoted"], run=run.id)


def shown(uri: str, registration: Registration, tracked: TrackedRun) -> dict[str, Any]:
    """What ZenML tells about a version: its dataset, its errors on the test part, and where MLflow has it."""
    dataset, _, version = tracked.tags["dataset_version"].partition(":")  # together they would read as an address
    return {
        "dataset": dataset,
        "dataset_version": version,
        "deployed_type": tracked.tags["deployed_type"],
        "mlflow_model": registration.model_uri,
        "mlflow_run": Uri(mlflow_run_url(uri, registration)),
        "mlflow_run_id": registration.run_id,
        "mlflow_uri": CREDENTIALS.sub(r"\1***@", uri),
        "mlflow_version": Uri(mlflow_version_url(uri, registration)),
        "release": Uri(registration.release),
        **{name: value for name, value in tracked.metrics.items() if name.startswith("test_")},
    }


def _model_version(client: Client, registration: Registration, tracked: TrackedRun) -> Any:
    model, name = _model(client, registration.model), version_name(registration.version)
    tags = [tracked.tags["dataset_version"]]
    try:
        return client.create_model_version(model.id, name=name, description=tracked.note, tags=tags)
    except EntityExistsError:
        return client.get_model_version(model.id, name)


def mark_champion(model: str, version: str) -> None:
    """The champion is the version in ZenML's stage `production`."""
    found = Client().list_model_versions(model=model, name=version_name(version))
    if found.items:
        found.items[0].set_stage("production", force=True)


def _model(client: Client, name: str) -> Any:
    try:
        return client.create_model(name, description=DESCRIPTION)
    except EntityExistsError:
        return client.get_model(name)
