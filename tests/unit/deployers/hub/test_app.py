from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import InputError, ServiceUnavailable
from deployers.hub import app as composition
from deployers.hub.app import create_app
from deployers.hub.auth import add_token
from deployers.hub.problems import MEDIA
from tests.hub_client import TestClient
from tests.hub_parts import Parts, headers, settings

READ, WRITE, DEPLOY = headers("read"), headers("write"), headers("deploy")


@pytest.fixture
def parts() -> Parts:
    return Parts(1, 2, 3, active=1, boards=["a", "b"])


@pytest.fixture
def client(parts: Parts, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(settings(tmp_path), **parts.given()), raise_server_exceptions=False) as found:
        yield found


def ended(client: TestClient, answer: Any) -> dict[str, Any]:
    """The job that an answer is about, once it has ended."""
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = client.get(f"/jobs/{answer.json()['id']}?wait=5", headers=READ).json()
    return found


def requires(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer, which is one of this status and code."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA), answer.text
    found: dict[str, Any] = answer.json()
    assert set(found) >= {"type", "title", "status", "detail", "code"}
    assert (found["status"], found["code"]) == (status, code)
    assert "\n" not in found["detail"]
    return found


def test_a_hub_is_alive_and_ready_without_a_token(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "alive"
    answer = client.get("/ready")
    assert answer.status_code == 200
    parts = ["jobs", "store", "models", "forecasts", "boards", "monitor", "alerts", "retraining", "challengers"]
    assert answer.json()["parts"] == dict.fromkeys(parts, "up")


def test_a_hub_without_a_model_or_with_a_broken_store_is_not_ready(client: TestClient, parts: Parts) -> None:
    parts.catalogue.active = None
    parts.store.failure = ServiceUnavailable("disk full")
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["parts"]["models"] == "no model is active: deploy one"
    assert answer.json()["parts"]["store"] == "disk full"


def test_a_store_that_hangs_does_not_hang_readiness(client: TestClient, parts: Parts, monkeypatch: Any) -> None:
    monkeypatch.setattr("deployers.hub.routes.health.CHECK_SECONDS", 0.01)
    monkeypatch.setattr(parts.store, "check", lambda: asyncio.sleep(60))
    assert client.get("/ready").json()["parts"]["store"] == "did not answer within 0.01 s"


@pytest.mark.parametrize("path", ["/jobs", "/devices", "/metrics", "/devices/a/log"])
def test_nothing_is_told_without_a_token(client: TestClient, path: str) -> None:
    answer = client.get(path)
    requires(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    requires(client.get(path, headers=headers("nobody")), 401, "unauthorized")
    requires(client.get(path, headers={"Authorization": "Basic cmVhZA=="}), 401, "unauthorized")
    assert client.get(path, headers=READ).status_code == 200


@pytest.mark.parametrize("path", ["/deploy", "/rollback", "/train", "/devices/a/forward", "/devices/a/revert"])
def test_only_the_role_deploy_changes_what_runs(client: TestClient, path: str) -> None:
    body = {} if path in {"/rollback", "/train"} else {"version": 2}
    for role in (READ, WRITE):
        found = requires(client.post(path, json=body, headers=role), 403, "forbidden")
        assert "expected 'deploy'" in found["detail"]
    requires(client.post(path, json=body), 401, "unauthorized")


def test_every_error_is_a_problem(client: TestClient) -> None:
    assert "openapi.json" in requires(client.get("/nowhere", headers=READ), 404, "not_found")["detail"]
    assert "GET" in requires(client.post("/health", headers=READ), 405, "method_not_allowed")["detail"]
    several = client.put("/temperatures/3", headers=READ)
    assert several.headers["allow"] == "DELETE, GET, PATCH"
    assert "expected DELETE, GET, PATCH" in requires(several, 405, "method_not_allowed")["detail"]
    requires(client.get("/jobs/none", headers=READ), 404, "not_found")
    requires(client.get("/devices/none", headers=READ), 404, "not_found")
    requires(
        client.post("/deploy", content=b"{", headers={**DEPLOY, "Content-Type": "application/json"}), 400, "malformed"
    )
    requires(client.post("/deploy", json=[], headers=DEPLOY), 422, "invalid")
    found = requires(client.post("/deploy", content=b'{"version": 2}', headers=DEPLOY), 422, "invalid")
    assert "Content-Type: application/json" in found["detail"]
    found = requires(client.post("/temperatures/bulk", content=b"[]", headers=DEPLOY), 422, "invalid")
    assert "no JSON list, expected one, sent with the header 'Content-Type: application/json'" in found["detail"]
    found = requires(client.post("/deploy", json={"version": 0}, headers=DEPLOY), 422, "invalid")
    assert found["errors"][0]["where"] == "body.version"
    requires(client.post("/deploy", json={"version": 2, "other": 1}, headers=DEPLOY), 422, "invalid")
    requires(client.get("/jobs?limit=0", headers=READ), 422, "invalid")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"version": 1e999}',
        b'{"version": NaN}',
        b"\xff\xfe",
        b'{"version": "2; DROP TABLE reading"}',
        b"\0",
    ],
)
def test_malformed_bodies_are_refused_and_never_an_internal_error(client: TestClient, body: bytes) -> None:
    answer = client.post("/deploy", content=body, headers={**DEPLOY, "Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == MEDIA


def test_what_was_sent_is_not_sent_back(client: TestClient) -> None:
    answer = client.post("/deploy", json={"version": "secret" * 1000}, headers=DEPLOY)
    assert "secret" not in answer.text


def test_an_internal_error_tells_an_id_and_no_more(
    client: TestClient, parts: Parts, caplog: Any, monkeypatch: Any
) -> None:
    def fail() -> None:
        msg = "password of the database"
        raise RuntimeError(msg)

    monkeypatch.setattr(parts.boards, "devices", fail)
    with caplog.at_level(logging.ERROR):
        found = requires(client.get("/devices", headers=READ), 500, "internal")
    assert "password" not in json.dumps(found)
    assert found["id"] in caplog.text
    assert "password of the database" in caplog.text


def test_devices_say_what_is_known_of_them(client: TestClient) -> None:
    found = client.get("/devices/a", headers=READ).json()
    assert (found["id"], found["state"], found["confirmed"], found["test"]) == ("a", "confirmed", 1, None)
    assert found["transfer"] == {"done": 1, "total": 2}
    assert [device["id"] for device in client.get("/devices", headers=READ).json()["devices"]] == ["a", "b"]
    assert client.get("/devices/a/log", headers=READ).json() == {"board": "a", "lines": ["one", "two"]}


def test_a_device_that_was_never_here_is_told_too(client: TestClient, parts: Parts) -> None:
    parts.boards.boards["a"].state = None  # type: ignore[assignment]
    found = client.get("/devices/a", headers=READ).json()
    assert (found["state"], found["confirmed"], found["firmware"]) == ("unknown", 0, None)


def test_an_absent_board_is_unavailable(client: TestClient, parts: Parts) -> None:
    parts.boards.boards["a"].online = False
    requires(client.get("/devices/a/log", headers=READ), 503, "unavailable")


def test_a_board_is_brought_on_step_by_step(client: TestClient) -> None:
    client.portal.call(client.app.state.hub.catalogue.activate, 2)  # type: ignore[union-attr, attr-defined]
    job = ended(client, client.post("/devices/a/forward", json={"version": 2}, headers=DEPLOY))
    assert (job["state"], job["result"]["state"]) == ("done", "test")
    assert client.get("/devices/a", headers=READ).json()["test"] == 2
    job = ended(client, client.post("/devices/a/confirm", json={"version": 2, "seconds": 1}, headers=DEPLOY))
    assert job["result"]["state"] == "confirmed"
    found = client.get("/devices/a", headers=READ).json()
    assert (found["confirmed"], found["test"]) == (2, None)
    assert found["since_ms"] > 0
    job = ended(client, client.post("/devices/a/revert", json={"version": 2}, headers=DEPLOY))
    assert (job["state"], job["error"]["code"]) == ("failed", "conflict")


def test_a_deployment_runs_as_a_job(client: TestClient) -> None:
    job = ended(client, client.post("/deploy", json={"version": 2}, headers=DEPLOY))
    assert (job["state"], job["kind"], job["about"]) == ("done", "deploy", {"version": 2, "boards": ["a", "b"]})
    assert [row["state"] for row in job["result"]["boards"]] == ["confirmed", "confirmed"]
    assert job["ended_ms"] >= job["started_ms"]
    listed = client.get("/jobs", headers=READ).json()["jobs"]
    assert [each["id"] for each in listed] == [job["id"]]
    assert listed[0]["log"] == []


def test_a_rollback_needs_no_body(client: TestClient, parts: Parts) -> None:
    parts.catalogue.views[2].way_back_for = 1
    assert ended(client, client.post("/rollback", headers=DEPLOY))["result"]["active"] == 2


def test_a_body_that_is_nested_without_end_is_refused_in_our_words(client: TestClient) -> None:
    headers = {**DEPLOY, "Content-Type": "application/json"}
    problem = requires(client.post("/deploy", content=b"[" * 100_000, headers=headers), 400, "malformed")
    assert "expected" in problem["detail"]


def test_what_boards_will_refuse_is_refused_before_the_hub_changes(client: TestClient, parts: Parts) -> None:
    board = parts.boards.boards["a"]
    board.state = replace(board.state, lowest_version=3)
    problem = requires(client.post("/deploy", json={"version": 2}, headers=DEPLOY), 409, "conflict")
    assert "'a' has confirmed version 3" in problem["detail"]
    assert parts.catalogue.active.version == 1
    assert client.post("/deploy", json={"version": 2, "boards": ["b"]}, headers=DEPLOY).status_code == 202


def test_what_cannot_be_deployed_makes_no_job(client: TestClient) -> None:
    requires(client.post("/deploy", json={"version": 9}, headers=DEPLOY), 404, "not_found")
    requires(client.post("/deploy", json={"version": 2, "boards": ["z"]}, headers=DEPLOY), 404, "not_found")
    requires(client.post("/rollback", json={}, headers=DEPLOY), 409, "conflict")
    requires(client.post("/devices/z/forward", json={"version": 2}, headers=DEPLOY), 404, "not_found")
    requires(client.post("/devices/a/forward", json={"version": 9}, headers=DEPLOY), 404, "not_found")
    requires(client.post("/train", json={}, headers=DEPLOY), 422, "input")
    assert client.get("/jobs", headers=READ).json()["jobs"] == []


def test_two_deployments_at_once_are_refused(client: TestClient, parts: Parts) -> None:
    parts.boards.hold = asyncio.Event()
    first = client.post("/deploy", json={"version": 2, "boards": ["a"]}, headers=DEPLOY)
    requires(client.post("/deploy", json={"version": 3, "boards": ["b"]}, headers=DEPLOY), 409, "deployment_running")
    requires(client.post("/devices/a/forward", json={"version": 3}, headers=DEPLOY), 409, "deployment_running")
    requires(client.post("/devices/a/revert", json={"version": 3}, headers=DEPLOY), 409, "conflict")
    ended(client, client.post("/devices/b/revert", json={"version": 3}, headers=DEPLOY))  # the other board is free
    client.portal.call(parts.boards.hold.set)  # type: ignore[union-attr]
    assert ended(client, first)["state"] == "done"


def test_a_deployment_waits_for_a_deployer_that_goes_board_by_board(client: TestClient, parts: Parts) -> None:
    parts.boards.hold = asyncio.Event()
    first = client.post("/devices/a/forward", json={"version": 2}, headers=DEPLOY)
    requires(client.post("/deploy", json={"version": 3, "boards": ["b"]}, headers=DEPLOY), 409, "deployment_running")
    requires(client.post("/rollback", headers=DEPLOY), 409, "deployment_running")
    second = client.post("/devices/b/forward", json={"version": 2}, headers=DEPLOY)
    client.portal.call(parts.boards.hold.set)  # type: ignore[union-attr]
    assert [ended(client, each)["state"] for each in (first, second)] == ["done", "done"]


def test_figures_are_there_for_prometheus(client: TestClient) -> None:
    client.get("/devices/a", headers=READ)
    client.get("/nowhere/at/all", headers=READ)
    text = client.get("/metrics", headers=READ).text
    for line in (
        'edgeloop_requests_total{method="GET",route="/devices/{board}",status="200"} 1.0',
        'edgeloop_requests_total{method="",route="unmatched",status="404"} 1.0',
        'edgeloop_request_seconds_count{route="/devices/{board}"} 1.0',
        "edgeloop_boards_online 2.0",
        "edgeloop_model_version 1.0",
        'edgeloop_live{figure="series"} 1.0',
        'edgeloop_link_events_total{board="a",event="readings"} 0.0',
        "# TYPE edgeloop_link_events_total counter",
        "# TYPE edgeloop_store_events_total counter",
    ):
        assert line in text


def test_the_description_names_every_address_with_its_tag(client: TestClient) -> None:
    found = client.get("/openapi.json").json()
    known = {tag["name"] for tag in found["tags"]}
    operations = [op for path in found["paths"].values() for op in path.values()]
    assert len(operations) > 10
    assert all(op.get("summary") for op in operations)
    assert all(
        response["content"]["application/problem+json"]["example"]["status"] == int(status)
        for operation in operations
        for status, response in operation["responses"].items()
        if int(status) >= 400
    )
    used = {tag for op in operations for tag in op.get("tags", ())}
    assert used <= known | {"page"}
    assert "application/problem+json" in found["paths"]["/deploy"]["post"]["responses"]["401"]["content"]


def test_nothing_is_answered_before_the_parts_are_up(parts: Parts, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(composition, "PROMPT_SECONDS", 0.01)
    monkeypatch.setattr(composition, "RETRY_SECONDS", 0.05)
    parts.catalogue.failure = ServiceUnavailable("the disk is asleep")
    with TestClient(create_app(settings(tmp_path), **parts.given())) as client:
        found = requires(client.get("/jobs", headers=READ), 503, "starting")
        assert "models" in found["detail"]
        assert client.get("/health").status_code == 200
        answer = client.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["parts"]["models"] == "not up: the disk is asleep"
        assert answer.json()["parts"]["store"] == "up"
        parts.catalogue.failure = None
        end = time.monotonic() + 5
        while client.get("/jobs", headers=READ).status_code != 200 and time.monotonic() < end:
            time.sleep(0.01)
        assert client.get("/ready").status_code == 200


def test_a_hub_that_cannot_start_gives_up(parts: Parts, tmp_path: Path) -> None:
    parts.catalogue.failure = InputError("runtime 'x': expected another")
    app, given_up = create_app(settings(tmp_path), **parts.given()), []
    app.state.hub.give_up = lambda: given_up.append(True)
    with TestClient(app) as client:
        requires(client.get("/jobs", headers=READ), 503, "starting")
    assert given_up == [True]
    assert app.state.hub.fatal is parts.catalogue.failure


def test_parts_stop_in_reverse_and_a_stuck_one_is_left(
    parts: Parts, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setattr(composition, "STOP_SECONDS", 0.05)
    monkeypatch.setattr(parts.live, "stop", lambda: asyncio.sleep(60))
    with TestClient(create_app(settings(tmp_path), **parts.given())):
        assert parts.store.is_open
    assert not parts.store.is_open
    assert parts.boards.calls[-1] == ("stop", "")
    assert "forecasts did not stop: it took too long" in caplog.text


def test_a_job_that_runs_when_the_hub_stops_is_kept_as_stopped(parts: Parts, tmp_path: Path) -> None:
    parts.boards.hold = asyncio.Event()
    with TestClient(create_app(settings(tmp_path), **parts.given())) as client:
        number = client.post("/deploy", json={"version": 2}, headers=DEPLOY).json()["id"]
    with TestClient(create_app(settings(tmp_path), **parts.given())) as client:
        assert client.get(f"/jobs/{number}", headers=READ).json()["state"] == "stopped"


def test_training_runs_as_a_job_one_at_a_time(parts: Parts, tmp_path: Path) -> None:
    train = {
        "kind": "command",
        "command": (sys.executable, "-c", "import time; print('epoch 1', flush=True); time.sleep(0.5)"),
    }
    with TestClient(create_app(settings(tmp_path, train=train), **parts.given())) as client:
        first = client.post("/train", headers=DEPLOY)
        requires(client.post("/train", json={}, headers=DEPLOY), 409, "conflict")
        job = ended(client, first)
        assert (job["state"], job["result"]) == ("done", {"exit_code": 0})
        assert "epoch 1" in job["log"]
        assert client.post("/train", json={"parameters": {"horizon": 6}}, headers=DEPLOY).status_code == 202


def test_without_parts_given_they_are_those_of_the_settings(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    add_token(folder / "tokens.toml", "ctl", "deploy")
    (folder / "boards").mkdir()
    (folder / "boards" / "board-1.key").write_bytes(bytes(32))
    (folder / "boards" / "board-1.key").chmod(0o600)
    (folder / "image_keys").mkdir()
    token = {"Authorization": f"Bearer {add_token(folder / 'tokens.toml', 'page', 'read')}"}
    with TestClient(create_app(settings(tmp_path, boards={"port": 0}))) as client:
        assert client.get("/devices", headers=token).json()["devices"][0]["id"] == "board-1"
        assert client.get("/models", headers=token).json()["models"] == []
        assert client.get("/temperatures", headers=token).status_code == 200
        assert client.get("/ready").json()["parts"]["store"] == "up"
        assert "edgeloop_store_events_total" in client.get("/metrics", headers=token).text
    assert (tmp_path / "data" / "hub.db").exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_parameter_that_json_cannot_show_again_makes_no_job(parts: Parts, tmp_path: Path, number: str) -> None:
    train = {"kind": "command", "command": (sys.executable, "-c", "")}
    headers = {**DEPLOY, "Content-Type": "application/json"}
    body = f'{{"parameters": {{"rate": {number}}}}}'
    with TestClient(create_app(settings(tmp_path, train=train), **parts.given())) as client:
        requires(client.post("/train", content=body, headers=headers), 422, "invalid")
        assert client.get("/jobs", headers=READ).json() == {"jobs": []}


def test_nothing_else_is_activated_while_a_deployment_runs(client: TestClient, parts: Parts) -> None:
    parts.boards.on_test = lambda *_: None
    job = client.post("/deploy", json={"version": 2}, headers=DEPLOY).json()
    problem = requires(client.post("/models/3/activate", headers=DEPLOY), 409, "deployment_running")
    assert job["id"] in problem["detail"]
    assert parts.catalogue.active.version == 2
