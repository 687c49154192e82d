from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from deployers.exceptions import DeployerError, InputError, Unreachable
from deployers.hub import client as client_module
from deployers.hub import ctl as module
from deployers.hub.__main__ import main
from deployers.hub.app import create_app
from deployers.hub.client import HubClient, JobFailed
from deployers.hub.ctl import ctl, open_client
from tests.hub_client import TestClient
from tests.hub_parts import Parts, settings


@pytest.fixture
def parts() -> Parts:
    return Parts(1, 2, 3, active=1, boards=["a", "b"])


@pytest.fixture
def hub(parts: Parts, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(settings(tmp_path), **parts.given()), base_url="http://hub") as found:
        yield found


@pytest.fixture
def call(hub: TestClient, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """Run ctl on that hub: exit code, the object on standard output, standard error."""

    def connect(_config: Path, _wait: float) -> HubClient:
        return HubClient("http://hub", "deploy", transport=hub._transport)  # noqa: SLF001 - it has no other name

    monkeypatch.setattr(module, "open_client", connect)

    def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
        found: Result = CliRunner().invoke(ctl, ["--config", "x", *arguments], standalone_mode=False)
        assert found.exception is None, found.exception
        (line,) = found.stdout.splitlines()
        return found.return_value, json.loads(line), found.stderr

    return run


def test_status_tells_all_of_hub_models_and_boards(call) -> None:
    code, found, _ = call("status")
    assert code == 0
    assert found["active"] == 1
    assert [model["version"] for model in found["models"]] == [3, 2, 1]
    assert [(board["id"], board["state"], board["confirmed"]) for board in found["boards"]] == [
        ("a", "confirmed", 1),
        ("b", "confirmed", 1),
    ]
    assert found["hub"]["started_ms"] > 0


def test_a_version_is_activated_forwarded_and_confirmed(call) -> None:
    assert call("activate", "2")[:2] == (0, {"active": 2, "before": 1})
    code, found, progress = call("forward", "2", "--board", "a")
    assert (code, found["state"], found["bytes"]) == (0, "test", 800)
    assert "a: takes version 2" in progress
    code, found, _ = call("confirm", "2", "--board", "a", "--seconds", "5")
    assert (code, found["state"]) == (0, "confirmed")
    assert call("confirm", "2", "--board", "a")[:2] == (0, {**found, "agreed_within": None, "waited_seconds": 0.0})


def test_a_board_that_goes_back_is_exit_code_10_with_what_runs(call, parts: Parts) -> None:
    parts.boards.on_test = parts.disagree
    call("forward", "2", "--board", "a")
    code, found, errors = call("confirm", "2", "--board", "a")
    assert (code, found["state"], found["running"], found["code"]) == (10, "reverted", 1, "rolled_back")
    assert errors.endswith(f"error: {found['error']}\n")


def test_errors_are_told_by_their_exit_codes(call, parts: Parts) -> None:
    from deployers.link import LinkRefusedError

    parts.boards.boards["a"].refuses = LinkRefusedError("INSTALL", -302)
    assert call("forward", "2", "--board", "a")[:1] == (9,)
    parts.boards.boards["a"].online = False
    assert call("forward", "2", "--board", "a")[0] == 5
    assert call("log", "--board", "a")[0] == 5
    assert call("forward", "9", "--board", "a")[0] == 2
    assert call("forward", "2", "--board", "z")[1]["code"] == "not_found"
    assert call("rollback")[0] == 2


def test_boards_go_back_and_all_of_them_roll_back(call, parts: Parts) -> None:
    call("forward", "2", "--board", "a")
    assert call("revert", "2", "--board", "a")[1] == {"board": "a", "version": 2, "state": "reverted", "running": 1}
    parts.catalogue.views[3].way_back_for = 2
    assert call("deploy", "2", "--board", "b")[1]["boards"][0]["state"] == "confirmed"
    code, found, _ = call("rollback", "--board", "b")
    assert (code, found["active"], found["before"]) == (0, 3, 2)
    assert call("log", "--board", "b")[1]["lines"] == ["one", "two"]


def test_another_deployment_is_exit_code_11(call, hub: TestClient, parts: Parts) -> None:
    parts.boards.hold = asyncio.Event()
    hub.post("/deploy", json={"version": 2}, headers={"Authorization": "Bearer deploy"})
    assert call("deploy", "3")[0] == 11
    hub.portal.call(parts.boards.hold.set)  # type: ignore[union-attr]


def test_a_job_can_be_looked_at(call, hub: TestClient) -> None:
    made = hub.post("/deploy", json={"version": 2}, headers={"Authorization": "Bearer deploy"}).json()
    assert call("job", made["id"])[1]["kind"] == "deploy"


@pytest.mark.parametrize("given", [["forward", "0", "--board", "a"], ["forward", "x"], ["forward", "2"], ["none"], []])
def test_wrong_arguments_are_bad_input(given: list[str]) -> None:
    assert main(["ctl", "--config", "/nowhere/hub.toml", *given]) == 2


def config(tmp_path: Path, word: str = "deploy", mode: int = 0o600) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "hub.toml").write_text("rest.port = 1", encoding="utf-8")
    (folder / "ctl.token").write_text(word + "\n", encoding="utf-8")
    (folder / "ctl.token").chmod(mode)
    return folder / "hub.toml"


def test_a_hub_that_is_down_is_exit_code_5_in_one_object(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["ctl", "--config", str(config(tmp_path)), "--wait", "0.1", "status"]) == 5
    found = capfd.readouterr()
    assert json.loads(found.out)["code"] == "unavailable"
    assert "does not answer" in found.err


def test_a_token_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="chmod 600"):
        open_client(config(tmp_path, mode=0o644))


class Server:
    """Answers what it is told to, one after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.paths = list(answers), list[str]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def client(self) -> HubClient:
        return HubClient("http://hub", "t", transport=httpx.MockTransport(self))


def test_ctl_waits_for_a_hub_that_starts_and_not_for_one_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = httpx.Response(503, json={"code": "starting", "detail": "the hub is starting"})
    server = Server(httpx.ConnectError("refused"), starting, {"jobs": []})
    monkeypatch.setattr(module, "HubClient", lambda *_, **__: server.client())
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.001)
    path = config(tmp_path)
    open_client(path)
    assert len(server.paths) == 3
    server = Server(httpx.Response(401, json={"code": "unauthorized", "detail": "no valid token"}))
    with pytest.raises(InputError, match="no valid token"):
        open_client(path)
    assert len(server.paths) == 1


def test_the_address_is_the_one_that_the_hub_wrote_if_it_chose_it(tmp_path: Path) -> None:
    from deployers.hub.settings import Settings

    found = Settings.model_validate({"root": tmp_path, "rest": {"port": 0}})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "hub.url").write_text("http://127.0.0.1:4711", encoding="utf-8")
    assert found.url == "http://127.0.0.1:4711"
    assert settings(tmp_path).url == "http://127.0.0.1:8484"


def running(**fields: Any) -> dict[str, Any]:
    return {
        "id": "7",
        "state": "running",
        "log": [],
        "progress": None,
        "doing": "",
        "error": None,
        "result": None,
        **fields,
    }


def test_a_job_is_followed_over_lost_answers_and_each_line_told_once() -> None:
    server = Server(
        running(),
        running(log=["one"], doing="sends", progress=0.11),
        httpx.ReadError("cut"),
        running(log=["one"], doing="sends", progress=0.12),
        running(log=["one", "two"], doing="sends", progress=0.55),
        running(state="done", log=["one", "two", "done"], result={"made": 1}),
    )
    told: list[str] = []
    assert server.client().follow("/x", {}, told.append) == {"made": 1}
    assert told == ["one", "sends: 11 %", "two", "sends: 55 %", "done"]


def test_a_hub_that_stays_away_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(running(), httpx.ConnectError("refused"))
    monkeypatch.setattr(client_module, "PAUSE_SECONDS", 0.001)
    with pytest.raises(Unreachable, match="does not answer"):
        server.client().follow("/x", {}, print)


@pytest.mark.parametrize("error", [{"code": "lost", "detail": "the hub ended", "exit_code": 5}, None])
def test_a_job_that_did_not_end_well_is_an_error(error: Any) -> None:
    with pytest.raises(JobFailed) as caught:
        Server(running(state="lost", error=error)).client().follow("/x", {}, print)
    assert (caught.value.code, caught.value.exit_code) == (("lost", 5) if error else ("internal", 1))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(200, text="<html>"), Unreachable),
        (httpx.Response(200, json=[1]), Unreachable),
        (httpx.Response(502, text="bad gateway"), Unreachable),
        (httpx.Response(400, json={"code": "malformed"}), InputError),
        (httpx.Response(413, text=""), InputError),
    ],
)
def test_an_answer_that_is_none_of_ours_is_an_error_too(answer: httpx.Response, kind: type[DeployerError]) -> None:
    with pytest.raises(kind, match="status"):
        Server(answer).client().get("/x")
