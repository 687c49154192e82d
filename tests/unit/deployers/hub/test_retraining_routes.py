"""Retraining by REST, by `ctl` and in the figures."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from deployers.hub import ctl as module
from deployers.hub.app import create_app
from deployers.hub.client import HubClient
from deployers.hub.ctl import ctl
from deployers.hub.examples import ANSWERS, RETRAINING, STANDING
from deployers.hub.store import Store
from deployers.protocol.messages import Reading
from tests.hub_client import TestClient
from tests.hub_parts import Parts, headers, settings
from tests.retraining import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ, DEPLOY = headers("read"), headers("deploy")
ASKED = {"series": "kitchen/window", "reason": "the window was replaced"}
PRINTS = 'print(\'{"model_name": "m", "model_version": "4"}\')'


def client(tmp_path: Path, **retraining: Any) -> TestClient:
    store = Store(f"sqlite:///{tmp_path / 'hub.db'}")
    given: dict[str, Any] = {**Parts(1, active=1).given(), "store": store}
    wanted = {"enabled": True, "least_days": 3, **retraining}
    train = {"kind": "command", "command": (sys.executable, "-c", PRINTS)}
    return TestClient(create_app(settings(tmp_path, train=train, retraining=wanted), **given), base_url="http://hub")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[TestClient]:
    """A hub with four days of a series, whose command names a version."""

    async def fill() -> None:
        async with Store(f"sqlite:///{tmp_path / 'hub.db'}") as store:
            await store.keep_readings("kitchen/window", [Reading(day * DAY_MS, 20_000_000) for day in range(4)])

    asyncio.run(fill())
    with client(tmp_path) as found:
        yield found


def ended(hub: TestClient) -> dict[str, Any]:
    end = time.monotonic() + 20
    while True:
        (row,) = hub.get("/retraining", headers=READ).json()["requests"]
        if row["ended_ms"] is not None:
            return dict(row)
        assert time.monotonic() < end, row
        time.sleep(0.05)


def test_a_person_asks_and_sees_what_came_of_it(hub: TestClient) -> None:
    made = hub.post("/retraining", json=ASKED, headers=DEPLOY)
    assert made.status_code == 202, made.text
    assert made.json().keys() == RETRAINING.keys()
    assert made.json()["numbers"] == {"by": "deploy", "force": False}
    row = ended(hub)
    assert (row["state"], row["trigger"], row["answer"]["challenger"]["version"]) == ("done", "person", "4")
    assert hub.get(f"/jobs/{row['job']}", headers=READ).json()["state"] == "done"
    standing = hub.get("/retraining", headers=READ).json()
    assert standing.keys() == STANDING.keys()
    assert standing["series"][0].keys() == STANDING["series"][0].keys()  # type: ignore[index]
    assert not standing["series"][0]["allowed"]
    assert row["answer"]["challenger"].keys() == RETRAINING["answer"]["challenger"].keys()  # type: ignore[index]
    again = hub.post("/retraining", json=ASKED, headers=DEPLOY)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert "cools down" in again.json()["detail"]
    assert hub.post("/retraining", json={**ASKED, "force": True}, headers=DEPLOY).status_code == 202


def test_who_may_not_deploy_may_look_and_not_ask(hub: TestClient) -> None:
    assert hub.get("/retraining").status_code == 401
    assert hub.get("/retraining", headers=READ).status_code == 200
    for role in ("read", "write"):
        assert hub.post("/retraining", json=ASKED, headers=headers(role)).status_code == 403
    assert hub.get("/retraining", headers=READ).json()["requests"] == []


@pytest.mark.parametrize(
    "wrong",
    [{"reason": ""}, {"reason": "a\nb"}, {"reason": "a\u0000"}, {"reason": "x" * 201}, {"series": ""}, {"other": 1},
     {"force": "perhaps"}, {"series": "=1+1"}],
)  # fmt: skip
def test_what_is_no_request_is_refused(hub: TestClient, wrong: dict[str, Any]) -> None:
    assert hub.post("/retraining", json={**ASKED, **wrong}, headers=DEPLOY).status_code == 422


def test_a_series_that_is_not_there_is_not_found(hub: TestClient) -> None:
    answer = hub.post("/retraining", json={**ASKED, "series": "attic"}, headers=DEPLOY)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_hub_that_does_not_retrain_says_so_and_shows_what_was(tmp_path: Path) -> None:
    with client(tmp_path, enabled=False) as hub:
        answer = hub.post("/retraining", json=ASKED, headers=DEPLOY)
        assert answer.status_code == 422
        assert "enabled = true in [retraining]" in answer.json()["detail"]
        standing = hub.get("/retraining", headers=READ).json()
        assert (standing["enabled"], standing["requests"]) == (False, [])
        assert "edgeloop_retraining_requests{" not in hub.get("/metrics", headers=READ).text


def test_figures_for_prometheus(hub: TestClient) -> None:
    hub.post("/retraining", json=ASKED, headers=DEPLOY)
    ended(hub)
    lines = hub.get("/metrics", headers=READ).text.splitlines()
    assert 'edgeloop_retraining_requests{state="done"} 1.0' in lines
    assert 'edgeloop_retraining_requests{state="refused"} 0.0' in lines
    assert 'edgeloop_retraining_budget{figure="left"} 2.0' in lines


def test_ctl_asks_and_shows(hub: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = hub._transport  # noqa: SLF001 - it has no other name
    monkeypatch.setattr(module, "open_client", lambda *_: HubClient("http://hub", "deploy", transport=transport))

    def run(*words: str) -> Any:
        return CliRunner().invoke(ctl, ["--config", "x", *words], standalone_mode=False)

    made = run("retrain", "kitchen/window", "--because", "x")
    assert json.loads(made.stdout)["series"] == "kitchen/window"
    ended(hub)
    again = run("retrain", "kitchen/window", "--because", "x")
    assert (again.return_value, json.loads(again.stdout)["code"]) == (2, "conflict")
    assert run("retrain", "kitchen/window", "--because", "x", "--force").return_value == 0
    assert len(json.loads(run("retraining").stdout)["requests"]) == 2


def test_the_examples_are_of_the_same_shape() -> None:
    assert ANSWERS["/retraining", "get"]["requests"] == [RETRAINING]
    assert ANSWERS["/retraining", "post"].keys() == RETRAINING.keys()
