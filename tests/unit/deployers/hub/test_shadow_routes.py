"""Challengers by REST and by `ctl` on a whole hub: from readings to a promotion."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from deployers.hub import ctl as module
from deployers.hub.app import create_app
from deployers.hub.client import HubClient
from deployers.hub.ctl import ctl
from deployers.hub.examples import CHALLENGER, RULES
from deployers.protocol.messages import Reading
from tests import hub_models
from tests.hub_client import TestClient
from tests.hub_models import Kind, readings
from tests.hub_parts import MemoryBoards, headers, settings, tokens
from tests.model_shelf import spoil

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ, DEPLOY = headers("read"), headers("deploy")
BOARD = "board-1"
# The first one's changes are fifty times as large: it is wrong by more than it could be, on any day.
KINDS = {1: Kind(target_scale=0.5), 2: Kind(target_scale=0.01)}

# This process, with the garbage of many tests to collect, may take longer for a reading than a challenger is given.
BY_ITSELF = {"promote": "automatic", "cost_most": 1e9}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A hub's folder with two versions, of which the first is active."""
    asyncio.run(hub_models.shelved(tmp_path, KINDS, active=1))
    return tmp_path


@contextmanager
def running(folder: Path, **shadow: Any) -> Iterator[TestClient]:
    given = settings(folder, models={"image_keys": "keys"}, shadow=shadow)
    parts: Any = {"boards": MemoryBoards(), "tokens": tokens()}
    with TestClient(create_app(given, **parts), base_url="http://hub") as found:
        yield found


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with running(folder) as found:
        yield found


def call(client: TestClient, work: Any, *arguments: Any) -> Any:
    """In the hub's own loop."""
    assert client.portal is not None
    return client.portal.call(work, *arguments)


def hub_of(client: TestClient) -> Any:
    app: Any = client.app
    return app.state.hub


def measure(client: TestClient, count: int, begin: int = 0) -> None:
    """Readings of a board, forecast at, and looked at by the monitor and then by who judges challengers."""
    hub = hub_of(client)
    for at in range(begin, begin + count, 48):
        some = readings(min(48, begin + count - at), at)
        call(client, hub.sink.keep_readings, BOARD, 0, tuple(Reading(*each) for each in some))
    call(client, hub.live.on_readings, "settles", [])
    call(client, hub.live.on_readings, "settles", [])
    while call(client, hub.monitor.turn):
        pass
    call(client, hub.shadows.turn)


def challenger(client: TestClient) -> dict[str, Any]:
    (row,) = client.get("/shadow", headers=READ).json()["challengers"]
    return dict(row)


def test_a_challenger_begins_is_seen_and_ends(client: TestClient) -> None:
    assert client.get("/shadow", headers=READ).json() == {"challengers": [], "rules": RULES}
    begun = client.post("/models/2/shadow", headers=DEPLOY)
    assert (begun.status_code, begun.json().keys()) == (200, CHALLENGER.keys())
    assert challenger(client) == begun.json()
    ended = client.delete("/models/2/shadow", headers=DEPLOY)
    assert (ended.status_code, ended.json()["state"], ended.json()["is_running"]) == (200, "ended", False)
    again = client.delete("/models/2/shadow", headers=DEPLOY)
    assert (again.status_code, again.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["post", "delete"])
def test_only_who_may_activate_may_have_a_challenger(client: TestClient, method: str) -> None:
    for role, status in ((READ, 403), (headers("write"), 403), ({}, 401)):
        assert getattr(client, method)("/models/2/shadow", headers=role).status_code == status
    assert client.get("/shadow").status_code == 401


def test_what_cannot_be_done_is_a_problem_with_its_reason(client: TestClient) -> None:
    answer = client.post("/models/1/shadow", headers=DEPLOY)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "version 1 is active itself" in answer.json()["detail"]
    assert client.post("/models/7/shadow", headers=DEPLOY).status_code == 404


def test_its_forecasts_are_kept_and_counted_and_answer_nobody(client: TestClient) -> None:
    client.post("/models/2/shadow", headers=DEPLOY)
    measure(client, 96)
    kept = client.get("/forecasts", params={"series": BOARD, "source": "shadow"}, headers=READ).json()["forecasts"]
    assert (len(kept), {each["version"] for each in kept}) == (96, {2})
    asked = client.post("/predict", json={"series": BOARD}, headers=READ).json()
    assert asked["version"] == 1
    assert set(client.get("/live", params={"series": BOARD}, headers=READ).json()["chosen"]["newest"]) == {
        "board",
        "hub",
    }
    lines = client.get("/metrics", headers=READ).text.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if "shadow" in line and not line.startswith("#"))
    assert figures['edgeloop_forecasts_total{source="shadow"}'] == "96.0"
    assert figures['edgeloop_shadow{figure="readings",version="2"}'] == "96.0"
    assert float(figures['edgeloop_shadow{figure="microseconds_per_reading",version="2"}']) > 0
    assert 0 < float(figures['edgeloop_shadow{figure="share",version="2"}']) < 1
    assert not any("live_error" in name for name in figures)


def test_a_better_one_is_found_after_seven_days_and_promoted_once_by_itself(folder: Path) -> None:
    with running(folder, **BY_ITSELF) as client:
        client.post("/models/2/shadow", headers=DEPLOY)
        measure(client, 5 * 144)
        before = challenger(client)
        assert (before["state"], before["is_running"], before["days_better"]) == ("running", True, 4)
    with running(folder, **BY_ITSELF) as client:
        assert challenger(client)["days"] == before["days"]
        measure(client, 3 * 144, 5 * 144)
        row = challenger(client)
        assert (row["state"], row["days_compared"]) == ("better", 7)
        assert all(day["challenger"] > day["champion"] for day in row["days"])
        (job,) = client.get("/jobs", headers=READ).json()["jobs"]
        assert client.get(f"/jobs/{job['id']}?wait=10", headers=READ).json()["state"] == "done"
        assert client.get("/models", headers=READ).json()["active"] == 2
        call(client, hub_of(client).shadows.turn)
        assert (challenger(client)["promotion"], challenger(client)["is_running"]) == (job["id"], False)
        assert len(client.get("/jobs", headers=READ).json()["jobs"]) == 1
    with running(folder, **BY_ITSELF) as client:
        assert (challenger(client)["state"], len(client.get("/jobs", headers=READ).json()["jobs"])) == ("better", 1)


def test_a_hub_whose_challenger_is_damaged_starts_without_it(folder: Path) -> None:
    with running(folder) as client:
        client.post("/models/2/shadow", headers=DEPLOY)
    spoil(folder / "data" / "models" / "2" / "cell_float32.tflite")
    with running(folder) as client:
        assert client.get("/ready").json()["parts"]["challengers"] == "up"
        assert (challenger(client)["state"], challenger(client)["is_running"]) == ("ended", False)


def test_ctl_begins_shows_and_ends(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = client._transport  # noqa: SLF001 - it has no other name
    monkeypatch.setattr(module, "open_client", lambda *_: HubClient("http://hub", "deploy", transport=transport))

    def run(*words: str) -> dict[str, Any]:
        found = CliRunner().invoke(ctl, ["--config", "x", *words], standalone_mode=False)
        assert found.exception is None, found.exception
        return dict(json.loads(found.stdout))

    assert run("challenge", "2")["state"] == "running"
    assert run("shadow") == client.get("/shadow", headers=READ).json()
    assert run("challenge", "2", "--end")["state"] == "ended"
    assert run("challenge", "9")["code"] == "not_found"
