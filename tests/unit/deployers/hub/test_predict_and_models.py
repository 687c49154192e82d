"""Forecasts and versions by REST, on a hub whose models and forecasts are real and whose store and boards are not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import InputError, NotFound
from deployers.hub.app import create_app
from deployers.hub.catalogue import Catalogue
from deployers.hub.live import Live
from deployers.hub.problems import MEDIA
from deployers.hub.routes.models import uploaded
from deployers.protocol.messages import Reading
from tests import hub_models
from tests.hub_client import TestClient
from tests.hub_models import Kind, expected, readings, upload
from tests.hub_parts import Parts, headers, settings
from tests.live_bench import SERIES, ReadableStore

READ, WRITE, DEPLOY = headers("read"), headers("write"), headers("deploy")


class Rest:
    """A hub that answers."""

    def __init__(self, root: Path) -> None:
        self.root, self.incoming = root, root / "incoming"
        parts = Parts()
        self.store = ReadableStore()
        self.catalogue = Catalogue(root / "data" / "models", hub_models.keys(root / "keys"))
        self.live = Live(self.catalogue, self.store)  # type: ignore[arg-type] # as much of it as is needed
        given = {**parts.given(), "store": self.store, "catalogue": self.catalogue, "live": self.live}
        self.app = create_app(settings(root), **given)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def install(self, version: int, kind: Kind = hub_models.FLOAT, **more: Any) -> Any:
        upload(self.incoming / f"u{version}", version, kind)
        return self.client.post("/models", json={"folder": f"incoming/u{version}", **more}, headers=DEPLOY)

    def activate(self, version: int) -> Any:
        return self.client.post(f"/models/{version}/activate", headers=DEPLOY)

    def predict(self, body: Any, token: dict[str, str] = READ) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post("/predict", content=content, headers=token)

    def keep(self, count: int) -> None:
        asyncio.run(self.store.keep_readings(SERIES, [Reading(*each) for each in readings(count)]))


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Rest]:
    found = Rest(tmp_path)
    with found.client:
        yield found


def problem(answer: Any, status: int, code: str, told: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA), answer.text
    assert answer.json()["code"] == code
    assert told in answer.json()["detail"]


# Models


def test_a_version_is_installed_activated_and_listed(rest: Rest) -> None:
    answer = rest.install(3, way_back_for=2)
    assert answer.status_code == 201, answer.text
    view = answer.json()
    assert (view["version"], view["state"], view["way_back_for"]) == (3, "installed", 2)
    assert rest.activate(3).json() == {"active": 3, "before": None}
    found = rest.client.get("/models", headers=READ).json()
    assert (found["active"], found["damaged"]) == (3, {})
    assert [each["state"] for each in found["models"]] == ["active"]
    assert rest.client.get("/models/3", headers=READ).json() == found["models"][0]
    assert found["models"][0] == rest.catalogue.view(3).as_dict()


@pytest.mark.parametrize(
    ("kind", "told"), [(Kind(seed=2), "signed with key"), (Kind(shift=0.05), "golden vector 0 of version 3")]
)
def test_what_is_refused_says_why(rest: Rest, kind: Kind, told: str) -> None:
    problem(rest.install(3, kind), 422, "gate_failed", told)
    assert rest.client.get("/models", headers=READ).json()["models"] == []
    problem(rest.activate(3), 404, "not_found", "version 3 is not installed")


def test_the_same_version_with_another_image_conflicts(rest: Rest) -> None:
    rest.install(3)
    upload(rest.incoming / "other", 3, Kind(target_scale=0.02))
    answer = rest.client.post("/models", json={"folder": "incoming/other"}, headers=DEPLOY)
    problem(answer, 409, "conflict", "version 3 is installed with image")


def test_only_who_may_deploy_installs_and_activates(rest: Rest) -> None:
    for token, status, code in ((READ, 403, "forbidden"), (WRITE, 403, "forbidden"), ({}, 401, "unauthorized")):
        body = {"folder": "incoming/u3"}
        problem(rest.client.post("/models", json=body, headers=token), status, code, "token")
        problem(rest.client.post("/models/3/activate", headers=token), status, code, "token")
    problem(rest.client.get("/models"), 401, "unauthorized", "token")


@pytest.mark.parametrize("version", ["0", "-1", "4294967296", "x", "1 or 1=1"])
def test_a_version_that_is_no_number_is_refused(rest: Rest, version: str) -> None:
    assert rest.client.get(f"/models/{version}", headers=READ).status_code == 422
    assert rest.client.post(f"/models/{version}/activate", headers=DEPLOY).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"folder": ""},
        {"folder": 3},
        {"folder": "incoming/x", "force": True},
        {"folder": "incoming/x", "way_back_for": 0},
    ],
)
def test_a_folder_that_is_none_is_refused(rest: Rest, body: Any) -> None:
    assert rest.client.post("/models", json=body, headers=DEPLOY).status_code == 422


def test_uploads_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    folder = tmp_path / "incoming" / "a"
    folder.mkdir(parents=True)
    for name in ("incoming/a", str(folder), "incoming/../incoming/a"):
        assert uploaded(tmp_path / "incoming", name) == folder.resolve()


@pytest.mark.parametrize(
    "name", ["config", "incoming/../config", "incoming", "/etc", "incoming/link", ".", "incoming/a/../.."]
)
def test_nothing_is_installed_from_elsewhere(tmp_path: Path, name: str) -> None:
    for folder in ("config", "incoming/a"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "incoming" / "link").symlink_to(tmp_path / "config")
    with pytest.raises(InputError, match="the only place from which models are installed"):
        uploaded(tmp_path / "incoming", name)


@pytest.mark.parametrize("name", ["incoming/b", "/nowhere", "a\0b", "x" * 5000])
def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound, match="is not there, expected one in"):
        uploaded(tmp_path / "incoming", name)


# Forecasts


def test_a_forecast_from_stored_readings(rest: Rest) -> None:
    rest.install(3)
    rest.activate(3)
    rest.keep(30)
    answer = rest.predict({"series": SERIES, "steps": 2})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    found = answer.json()
    assert found["celsius"] == pytest.approx(expected(readings(30))[-1][:2].tolist(), abs=1e-5)
    assert (found["series"], found["source"], found["version"]) == (SERIES, "stored", 3)
    assert (found["made_at"], found["times"]) == (
        "2023-11-15T03:00:00",
        ["2023-11-15T03:10:00", "2023-11-15T03:20:00"],
    )


def test_a_forecast_from_given_readings_by_a_version_that_is_not_active(rest: Rest) -> None:
    kind = Kind(target_scale=0.02)
    rest.install(3)
    rest.install(4, kind)
    rest.activate(3)
    body = [{"time_point": f"2023-11-14T22:{10 * step:02}:00", "value": 20 + step} for step in range(4)]
    answer = rest.predict({"readings": body, "version": 4})
    pairs = [(1_699_999_200_000 + step * 600_000, (20 + step) * 1_000_000) for step in range(4)]
    assert answer.status_code == 200, answer.text
    assert answer.json()["celsius"] == pytest.approx(expected(pairs, kind)[-1].tolist(), abs=1e-5)
    assert (answer.json()["series"], answer.json()["version"]) == (None, 4)


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        (b"{", 422, "input", "the body is no JSON"),
        ({}, 422, "input", "neither or both of series and readings"),
        ({"series": "nobody"}, 404, "not_found", "series 'nobody' has no stored readings"),
        ({"series": "x'; DROP TABLE reading; --"}, 422, "input", "name of a series"),
        ({"series": "\ud800"}, 422, "input", "name of a series"),
        ({"series": SERIES, "steps": 7}, 422, "input", "steps is 7: version 3 forecasts 1 to 6"),
        ({"series": SERIES, "version": 9}, 404, "not_found", "version 9 is not installed"),
        ({"series": SERIES, "horizon": 9}, 422, "input", "field 'horizon' is unknown"),
    ],
)
def test_a_question_that_cannot_be_answered(rest: Rest, body: Any, status: int, code: str, told: str) -> None:
    rest.install(3)
    rest.activate(3)
    rest.keep(3)
    problem(rest.predict(body), status, code, told)


def test_without_a_model_or_a_token_there_is_no_forecast(rest: Rest) -> None:
    problem(rest.predict({"series": SERIES}), 503, "unavailable", "no model is active")
    problem(rest.predict({"series": SERIES}, {}), 401, "unauthorized", "token")


def test_the_description_has_examples_and_models(rest: Rest) -> None:
    described = rest.client.get("/openapi.json").json()
    asked = described["paths"]["/predict"]["post"]
    content = asked["requestBody"]["content"]["application/json"]
    assert set(content["examples"]) == {"stored", "steps", "given", "version"}
    assert set(content["schema"]["properties"]) == {"series", "readings", "steps", "version"}
    answered = asked["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert described["components"]["schemas"][answered]["example"]["celsius"]
    assert "example" in described["components"]["schemas"]["ModelVersion"]
