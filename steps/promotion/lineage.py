"""Ties what ZenML knows to what MLflow registered: the same version on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zenml import get_step_context, log_metadata
from zenml.client import Client
from zenml.exceptions import EntityExistsError
from zenml.metadata.metadata_types import Uri
from zenml.model.utils import link_artifact_version_to_model_version

if TYPE_CHECKING:
    from steps.promotion.registry import Registration

REPORT = "data_quality_report"


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


def link_version(registration: Registration, tags: list[str]) -> None:
    """Give ZenML's Model Control Plane the version MLflow registered, with this run's artifacts linked to it."""
    client, run = Client(), get_step_context().pipeline_run
    model, name = _model(client, registration.model), version_name(registration.version)
    try:
        version = client.create_model_version(model.id, name=name, tags=tags)
    except EntityExistsError:
        version = client.get_model_version(model.id, name)
    for step in run.steps.values():
        for artifact in [a for found in step.outputs.values() for a in found] + [
            i for n in step.inputs.values() for i in n
        ]:
            link_artifact_version_to_model_version(artifact, version)
    log_metadata(
        metadata={
            "mlflow_model": registration.model_uri,
            "mlflow_run_id": registration.run_id,
            "release": Uri(registration.release),
        },
        model_name=registration.model,
        model_version=name,
    )


def mark_champion(model: str, version: str) -> None:
    """The champion is the version in ZenML's stage `production`."""
    found = Client().list_model_versions(model=model, name=version_name(version))
    if found.items:
        found.items[0].set_stage("production", force=True)


def _model(client: Client, name: str) -> Any:
    try:
        return client.create_model(name)
    except EntityExistsError:
        return client.get_model(name)
