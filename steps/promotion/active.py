"""The registry of the stack a step runs on."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
from zenml.client import Client

from forecaster.errors import StackError
from steps.promotion.registry import Registry


def active_registry() -> Registry:
    """MLflow as the active stack's experiment tracker configures it.

    Raises:
        StackError: the stack has no MLflow experiment tracker.
    """
    stack = Client().active_stack
    tracker = stack.experiment_tracker
    if tracker is None or tracker.flavor != "mlflow":
        msg = f"stack {stack.name!r} has no MLflow experiment tracker, choose another with --stack"
        raise StackError(msg)
    tracker.configure_mlflow()  # type: ignore[attr-defined]
    uri, home = mlflow.get_tracking_uri(), os.environ.get("EDGELOOP_HOME")
    local = uri.startswith("sqlite:") and home
    return Registry(uri, Path(home) / "mlflow" / "artifacts" if local and home else None)
