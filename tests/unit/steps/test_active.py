"""The registry of the active stack, and whose credentials it is asked with."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import mlflow
import pytest

from forecaster.errors import StackError
from steps.promotion import active

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN, USERNAME = "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The active stack; its tracker sets what ZenML's sets."""
    monkeypatch.setattr(os, "environ", {TOKEN: "of the user"})
    before = mlflow.get_tracking_uri()

    def configure() -> None:
        os.environ |= {TOKEN: "of the stack", USERNAME: "of the stack"}
        mlflow.set_tracking_uri(tracker.uri)

    tracker = SimpleNamespace(flavor="mlflow", configure_mlflow=configure, uri="http://127.0.0.1:9")
    made = SimpleNamespace(name="made-here", experiment_tracker=tracker)
    monkeypatch.setattr(active, "Client", lambda: SimpleNamespace(active_stack=made))
    yield made
    mlflow.set_tracking_uri(before)


def test_credentials_of_the_user_go_before_those_of_the_stack(stack: Any) -> None:
    assert active.active_registry().uri == "http://127.0.0.1:9"
    assert os.environ[TOKEN] == "of the user"
    assert os.environ[USERNAME] == "of the stack"


def test_a_server_keeps_artifacts_where_it_wants(stack: Any) -> None:
    os.environ["EDGELOOP_HOME"] = "/srv/home"
    assert active.active_registry().artifacts is None


def test_a_database_of_this_machine_keeps_them_in_the_home(stack: Any, tmp_path: Path) -> None:
    os.environ["EDGELOOP_HOME"] = str(tmp_path)
    stack.experiment_tracker.uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert active.active_registry().artifacts == tmp_path / "mlflow" / "artifacts"


@pytest.mark.parametrize("tracker", [None, SimpleNamespace(flavor="wandb")])
def test_a_stack_without_mlflow_is_refused(stack: Any, tracker: Any) -> None:
    stack.experiment_tracker = tracker
    with pytest.raises(StackError, match="stack 'made-here' has no MLflow experiment tracker"):
        active.active_registry()
