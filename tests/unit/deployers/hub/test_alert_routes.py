"""Alerts by REST and by `ctl`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from deployers.hub import ctl as module
from deployers.hub.app import create_app
from deployers.hub.client import HubClient
from deployers.hub.ctl import ctl
from deployers.hub.store import Store
from tests.answering import answering
from tests.hub_client import TestClient
from tests.hub_parts import Parts, headers, settings
from tests.programs import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.answering import Answering

READ, DEPLOY = headers("read"), headers("deploy")


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering(lambda _: (200, {})) as found:
        yield found


@pytest.fixture
def hub(tmp_path: Path, server: Answering) -> Iterator[Callable[..., TestClient]]:
    """Starts a hub with these channels beside the webhook."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(**channels: Any) -> TestClient:
            given: dict[str, Any] = {**Parts().given(), "store": Store(f"sqlite:///{tmp_path / 'hub.db'}")}
            app = create_app(settings(tmp_path, alerts=channels), **given)
            return stack.enter_context(TestClient(app, base_url="http://hub"))

        yield start


def dead() -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": free_port()}


def test_each_channel_says_how_it_is(hub: Any, server: Answering) -> None:
    found = hub(webhook={"url": server.url}, mqtt=dead())
    told = found.get("/alerts", headers=READ).json()
    assert (told["level"], told["repeat_hours"]) == ("alarm", 24.0)
    webhook, mqtt = told["channels"]
    assert webhook == {
        "channel": "webhook",
        "server": server.url.removeprefix("http://"),
        "waiting": 0,
        "sent": 0,
        "failures": 0,
        "last_success_ms": None,
        "last_error_ms": None,
        "last_error": "",
    }
    assert mqtt["channel"] == "mqtt"


def test_a_trial_goes_over_each_channel_and_is_seen_in_the_figures(hub: Any, server: Answering) -> None:
    found = hub(webhook={"url": server.url}, mqtt=dead())
    webhook, mqtt = found.post("/alerts/test", headers=DEPLOY).json()["channels"]
    assert (webhook["ok"], mqtt["ok"]) == (True, False)
    assert server.requests[0].body["alerts"][0]["event"] == "test"
    lines = found.get("/metrics", headers=READ).text.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if line.startswith("edgeloop_alerts"))
    assert figures['edgeloop_alerts_waiting{channel="webhook"}'] == "0.0"
    assert float(figures['edgeloop_alerts_total{channel="mqtt",event="failures"}']) >= 1
    assert float(figures['edgeloop_alerts_last_success_timestamp_seconds{channel="webhook"}']) > 1e9
    assert 'edgeloop_alerts_last_success_timestamp_seconds{channel="mqtt"}' not in figures


def test_only_who_may_deploy_may_try_and_who_has_no_token_sees_nothing(hub: Any, server: Answering) -> None:
    found = hub(webhook={"url": server.url})
    assert found.get("/alerts").status_code == 401
    for role, status in (("read", 403), ("write", 403), ("deploy", 200)):
        assert found.post("/alerts/test", headers=headers(role)).status_code == status
    assert len(server.requests) == 1


def test_a_hub_without_channels_refuses_a_trial(hub: Any) -> None:
    found = hub()
    assert found.get("/alerts", headers=READ).json()["channels"] == []
    answer = found.post("/alerts/test", headers=DEPLOY)
    assert (answer.status_code, answer.json()["code"]) == (422, "input")
    assert "no channel of alerts is there" in answer.json()["detail"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Any]]:
    def call(found: TestClient, *words: str) -> tuple[int, Any]:
        transport = found._transport  # noqa: SLF001 - it has no other name
        monkeypatch.setattr(module, "open_client", lambda *_: HubClient("http://hub", "deploy", transport=transport))
        done = CliRunner().invoke(ctl, ["--config", "x", *words], standalone_mode=False)
        assert done.exception is None, done.exception
        return done.return_value, json.loads(done.stdout)

    return call


def test_ctl_prints_what_the_hub_answers(hub: Any, server: Answering, run: Any) -> None:
    found = hub(webhook={"url": server.url})
    assert run(found, "alerts") == (0, found.get("/alerts", headers=READ).json())
    code, told = run(found, "test-alert")
    assert (code, [each["ok"] for each in told["channels"]]) == (0, [True])


def test_ctl_ends_with_5_if_a_channel_does_not_take_it_and_still_names_each(
    hub: Any, server: Answering, run: Any
) -> None:
    code, told = run(hub(webhook={"url": server.url}, mqtt=dead()), "test-alert")
    assert (code, told["code"], [each["ok"] for each in told["channels"]]) == (5, "unavailable", [True, False])
    assert told["error"].startswith("mqtt: broker '127.0.0.1:")


def test_ctl_ends_with_2_if_there_is_no_channel(hub: Any, run: Any) -> None:
    code, told = run(hub(), "test-alert")
    assert (code, told["code"]) == (2, "input")
