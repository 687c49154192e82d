"""Addresses a person clicks on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from steps.promotion import links
from steps.promotion.registry import Registration

MADE = Registration("living room", "3", "f00d", "models:/living room/3", "file:///release", created=True)
RUN = SimpleNamespace(id="1b2c", project=SimpleNamespace(name="my project"))


@pytest.mark.parametrize(
    ("uri", "pages"),
    [
        ("https://mlflow.example/", "https://mlflow.example"),
        ("http://mlflow.example:5000", "http://mlflow.example:5000"),
        ("sqlite:////home/me/.edgeloop/mlflow/mlflow.db", "http://127.0.0.1:8238"),
        ("postgresql://me:secret@db/mlflow", "http://127.0.0.1:8238"),
    ],
)
def test_pages_are_on_the_server_or_where_the_dashboard_serves_the_database(uri: str, pages: str) -> None:
    assert links.mlflow_pages(uri) == pages
    assert links.mlflow_run_url(uri, MADE) == f"{pages}/#/runs/f00d"
    assert links.mlflow_version_url(uri, MADE) == f"{pages}/#/models/living%20room/versions/3"


def test_a_run_in_a_database_is_where_the_dashboard_serves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zenml.utils.dashboard_utils.get_run_url", lambda _: None)
    assert links.zenml_run_url(RUN) == "http://127.0.0.1:8237/projects/my%20project/runs/1b2c"  # type: ignore[arg-type]


def test_a_run_on_a_server_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zenml.utils.dashboard_utils.get_run_url", lambda run: f"https://zenml.example/runs/{run.id}")
    assert links.zenml_run_url(RUN) == "https://zenml.example/runs/1b2c"  # type: ignore[arg-type]
