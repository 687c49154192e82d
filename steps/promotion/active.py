"""The registry of the stack a step runs on."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
from zenml.client import Client

from forecaster.errors import StackError
from steps.promotion.registry import Registry

CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


def active_registry() -> Registry:
    """MLflow as the active stack's experiment tracker configures it; credentials in the environment go first.

    Raises:
        StackError: the stack has no MLflow experiment tracker.
    """
    stack = Client().active_stack
    tracker = stack.experiment_tracker
    if tracker is None or tracker.flavor != "mlflow":
        msg = f"stack {stack.name!r} has no MLflow experiment tracker, choose another with --stack"
        raise StackError(msg)
    given = {name: os.environ[name] for name in CREDENTIALS if name in os.environ}
    tracker.configure_mlflow()  # type: ignore[attr-defined]
    os.environ.update(given)
    uri, home = mlflow.get_tracking_uri(), os.environ.get("EDGELOOP_HOME")
    local = uri.startswith("sqlite:") and home
    return Registry(uri, Path(home) / "mlflow" / "artifacts" if local and home else None)
