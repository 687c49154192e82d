"""Addresses of what a run left in ZenML and in MLflow, for a person to click on.

A server has an address of its own. Where ZenML or MLflow is a database in the home folder, the address is the one at
which `make dashboard` serves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

    from steps.promotion.registry import Registration

LOOPBACK = "127.0.0.1"
ZENML_PORT, MLFLOW_PORT = 8237, 8238  # the first is also that of `zenml login --local`


def zenml_run_url(run: PipelineRunResponse) -> str:
    """A run's page on ZenML's dashboard."""
    from zenml.utils.dashboard_utils import get_run_url  # noqa: PLC0415 - imports ZenML

    served = f"http://{LOOPBACK}:{ZENML_PORT}/projects/{quote(run.project.name)}/runs/{run.id}"
    return get_run_url(run) or served


def mlflow_pages(uri: str) -> str:
    """Where the pages of a tracking URI are: on its server, or on that of `make dashboard`."""
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else f"http://{LOOPBACK}:{MLFLOW_PORT}"


def mlflow_run_url(uri: str, registration: Registration) -> str:
    """The page of the MLflow run that made a version; MLflow finds the run whatever its experiment."""
    return f"{mlflow_pages(uri)}/#/runs/{registration.run_id}"


def mlflow_version_url(uri: str, registration: Registration) -> str:
    """The page of a registered version."""
    return f"{mlflow_pages(uri)}/#/models/{quote(registration.model)}/versions/{registration.version}"
