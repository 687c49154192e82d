"""What the monitor says, by REST and by `ctl`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deployers.hub import ctl as module
from deployers.hub.app import create_app
from deployers.hub.client import HubClient
from deployers.hub.ctl import ctl
from deployers.hub.store import Store, StoredReading
from deployers.protocol.messages import Reading
from tests.hub_client import TestClient
from tests.hub_parts import Parts, headers, settings
from tests.monitoring import Site

READ = headers("read")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[TestClient]:
    """A hub whose store has had half a day of a board and of a user's series."""
    store = Store(f"sqlite:///{tmp_path / 'hub.db'}")
    asyncio.run(_fill(store))
    given: dict[str, Any] = {**Parts(1, active=1).given(), "store": store}
    with TestClient(create_app(settings(tmp_path), **given), base_url="http://hub") as found:
        end = time.monotonic() + 20
        while len(found.get("/monitor", headers=READ).json()["devices"]) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        yield found


async def _fill(store: Store) -> None:
    async with store:
        for series in ("board-1", "kitchen/window"):
            for each in islice(Site(days=1, series=series).events(), 144):
                if isinstance(each, StoredReading):
                    await store.keep_readings(series, [Reading(each.time_ms, each.microcelsius)])
                else:
                    await store.keep_forecasts([each])


def test_every_series_and_one_with_its_tests(hub: TestClient) -> None:
    rows = hub.get("/monitor", headers=READ).json()["devices"]
    assert [row["series"] for row in rows] == ["board-1", "kitchen/window"]
    found = hub.get("/monitor/kitchen/window", headers=READ).json()
    assert found["series"] == "kitchen/window"
    assert {each["test"] for each in found["findings"]} >= {"skill"}
    assert found["days"][0]["skill"] > 0
    assert [step["step"] for step in found["steps"]["hub"]] == [1, 2, 3]


def test_who_may_not_read_is_told_so_and_an_unknown_series_is_not_found(hub: TestClient) -> None:
    assert hub.get("/monitor").status_code == 401
    answer = hub.get("/monitor/attic", headers=READ)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "'attic' is not watched" in answer.json()["detail"]


def test_ctl_prints_the_same(hub: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = hub._transport  # noqa: SLF001 - it has no other name
    monkeypatch.setattr(module, "open_client", lambda *_: HubClient("http://hub", "deploy", transport=transport))
    for words, path in (
        (["monitor"], "/monitor"),
        (["monitor", "--series", "kitchen/window"], "/monitor/kitchen/window"),
    ):
        found = CliRunner().invoke(ctl, ["--config", "x", *words], standalone_mode=False)
        assert found.exception is None, found.exception
        assert json.loads(found.stdout) == hub.get(path, headers=READ).json()


def test_prometheus_is_given_state_skill_and_errors_of_each_series(hub: TestClient) -> None:
    rows = {row["series"]: row for row in hub.get("/monitor", headers=READ).json()["devices"]}
    lines = hub.get("/metrics", headers=READ).text.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if line.startswith("edgeloop_monitor"))
    for name, row in rows.items():
        assert figures[f'edgeloop_monitor_state{{series="{name}"}}'] == "0.0"
        assert float(figures[f'edgeloop_monitor_skill{{kind="live",series="{name}"}}']) == row["skill"]
        assert (
            float(figures[f'edgeloop_monitor_error_celsius{{of="persistence",series="{name}"}}']) == row["persistence"]
        )
    assert not any('kind="expected"' in name for name in figures), "nothing is expected before the first days"
