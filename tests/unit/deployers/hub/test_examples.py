"""Every operation is described with an example, and the examples look as the answers do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deployers.hub.app import create_app
from deployers.hub.examples import ANSWERS, DEVICE, FORECAST, JOB, JSON, QUESTIONS, READING, SERIES
from deployers.hub.routes import forecasts, temperatures
from deployers.hub.routes.deploy import Return
from deployers.hub.routes.train import Training
from tests.hub_client import TestClient
from tests.hub_parts import Parts, settings
from tests.unit.deployers.hub.test_app import DEPLOY, READ, ended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    parts, folder = Parts(1, 2, active=1, boards=["a"]), tmp_path_factory.mktemp("hub")
    with TestClient(create_app(settings(folder), **parts.given())) as found:
        yield found


@pytest.fixture(scope="module")
def description(client: TestClient) -> dict[str, Any]:
    return dict(client.get("/openapi.json").json())


def shown(description: dict[str, Any], content: dict[str, Any]) -> bool:
    """Whether a content has an example, be it that of its schema or of the items of it."""
    names = [text.split("/")[-1] for text in references(content)]
    schemas = [content.get("schema", {}), *(description["components"]["schemas"][name] for name in names)]
    return bool({"example", "examples"} & {*content, *(key for schema in schemas for key in schema)})


def references(content: Any) -> list[str]:
    if isinstance(content, dict):
        own = [content["$ref"]] if isinstance(content.get("$ref"), str) else []
        return own + [found for value in content.values() for found in references(value)]
    return [found for value in content for found in references(value)] if isinstance(content, list) else []


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    there = description["components"]["schemas"]
    found = references(description)
    assert found
    assert [each for each in found if each.removeprefix("#/components/schemas/") not in there] == []


def test_every_question_and_answer_has_an_example(description: dict[str, Any]) -> None:
    bare = []
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            parts = {"question": operation.get("requestBody", {}), **operation["responses"]}
            for name, part in parts.items():
                if any(not shown(description, content) for content in part.get("content", {}).values()):
                    bare.append(f"{method} {path} {name}")
    assert bare == ["get /models 200"], "that of its items is shown"


def test_examples_are_shown_with_their_operations(description: dict[str, Any]) -> None:
    for (path, method), example in ANSWERS.items():
        answers = description["paths"][path][method]["responses"]
        contents = [content for status in answers if status < "3" for content in answers[status]["content"].values()]
        assert contents
        assert all(content["example"] == example for content in contents)
    for (path, method), example in QUESTIONS.items():
        assert description["paths"][path][method]["requestBody"]["content"][JSON]["example"] == example


@pytest.mark.parametrize("path", ["/devices", "/devices/{board}", "/devices/{board}/log", "/health", "/ready"])
def test_examples_look_as_answers_do(client: TestClient, path: str) -> None:
    found = client.get(path.replace("{board}", "a"), headers=READ).json()
    example = ANSWERS[path, "get"]
    assert found.keys() == example.keys()
    if path == "/devices":
        assert found["devices"][0].keys() == DEVICE.keys()
        assert DEVICE["details"].keys() <= found["devices"][0]["details"].keys()  # type: ignore[attr-defined]
        assert DEVICE["counters"].keys() <= found["devices"][0]["counters"].keys()  # type: ignore[attr-defined]


def test_the_example_of_a_job_looks_as_a_job_does(client: TestClient) -> None:
    found = ended(client, client.post("/deploy", json={"version": 2}, headers=DEPLOY))
    assert found.keys() == JOB.keys()
    assert found["about"].keys() == JOB["about"].keys()  # type: ignore[attr-defined]


def test_examples_of_readings_and_forecasts_are_such() -> None:
    assert temperatures.StoredTemperature(**READING).model_dump() == READING  # type: ignore[arg-type]
    assert temperatures.Series(**SERIES).model_dump() == SERIES  # type: ignore[arg-type]
    assert forecasts.Forecast(**FORECAST).model_dump() == FORECAST  # type: ignore[arg-type]
    bulk = ANSWERS["/temperatures/bulk", "post"]
    assert temperatures.BulkResult(**bulk).model_dump() == bulk
    assert Return(**QUESTIONS["/rollback", "post"]).boards == ["board-1"]
    assert Training(**QUESTIONS["/train", "post"]).parameters == {"horizon": 6}


def test_the_description_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path), **Parts(1, active=1).given())
    assert app.openapi_schema is None
    assert app.openapi() is app.openapi()
