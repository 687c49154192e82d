"""The champion behind MLflow's server, away from the checkout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLUMNS = ["time_point", "value"]


@pytest.fixture(scope="module")
def server(workplace: Any, smoke: Any, free_port: Callable[[], int]) -> Iterator[Callable[..., tuple[int, Any]]]:
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("mlflow")), "models", "serve", "-m", "models:/smoke-forecaster@champion",
        "--env-manager", "local", "-p", str(port), "-h", "127.0.0.1",
    ]  # fmt: skip
    tracking = {"MLFLOW_TRACKING_URI": f"sqlite:///{workplace.home}/mlflow/mlflow.db", "PYTHONPATH": ""}
    with workplace.serving(*command, port=port, path="/ping", env=tracking) as ask:
        yield ask


@pytest.fixture(scope="module")
def golden(workplace: Any, smoke: Any) -> dict[str, Any]:
    """The golden vectors of the version that is champion now."""
    query = "select version from registered_model_aliases where name = 'smoke-forecaster' and alias = 'champion'"
    [(version,)] = workplace.mlflow(query)
    query = "select storage_location from model_versions where name = 'smoke-forecaster' and version = ?"
    [(location,)] = workplace.mlflow(query, version)
    path = Path(location.removeprefix("file://")) / "data" / "release" / "golden.json"
    return dict(json.loads(path.read_text()))


def body(readings: Any, **params: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": COLUMNS, "data": readings}, **({"params": params} if params else {})}


@pytest.mark.parametrize("name", ["calm", "agitated", "two readings missing", "jitter"])
def test_it_answers_the_golden_vectors_at_every_reading(server: Any, golden: dict[str, Any], name: str) -> None:
    vector = next(vector for vector in golden["vectors"] if vector["name"] == name)
    status, answer = server("/invocations", body(vector["readings"], every_reading=True))
    assert status == 200, answer
    rows, expected = answer["predictions"], np.asarray(vector["forecasts"])
    made = np.asarray([row["forecast"] for row in rows]).reshape(expected.shape)
    assert np.abs(made - expected).max() <= golden["tolerance_celsius"]["float32"]
    assert [row["made_at"][:16] for row in rows[:: golden["horizon"]]] == [t[:16] for t in vector["grid_times"]]
    assert [row["step"] for row in rows[: golden["horizon"]]] == list(range(1, golden["horizon"] + 1))


def test_by_default_it_forecasts_after_the_last_reading(server: Any, golden: dict[str, Any]) -> None:
    vector = golden["vectors"][0]
    status, answer = server("/invocations", body(vector["readings"]))
    assert status == 200, answer
    made = [row["forecast"] for row in answer["predictions"]]
    assert made == pytest.approx(vector["forecasts"][-1], abs=golden["tolerance_celsius"]["float32"])
    first = np.datetime64(answer["predictions"][0]["time"]) - np.datetime64(answer["predictions"][0]["made_at"])
    assert first == np.timedelta64(golden["cadence_seconds"], "s")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"dataframe_split": {"columns": ["value"], "data": [[20.0]]}}, "time_point"),
        (body([["2024-01-01T00:00:00", "warm"]]), "value"),
        (body([["yesterday", 20.0]]), "yesterday"),
        ({"readings": []}, "dataframe_split"),
    ],
)
def test_what_it_cannot_read_is_refused_and_named(server: Any, content: dict[str, Any], told: str) -> None:
    status, answer = server("/invocations", content)
    assert 400 <= status < 500, answer
    assert told in json.dumps(answer)


def test_after_bad_input_it_still_answers(server: Any, golden: dict[str, Any]) -> None:
    assert server("/invocations", {"readings": []})[0] >= 400
    assert server("/invocations", body(golden["vectors"][0]["readings"]))[0] == 200
