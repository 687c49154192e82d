"""plan, deploy, status, rollback, logs as commands, on fake Jetsons: exit codes, one JSON object, one line of error."""

from __future__ import annotations

import json
import os
import shutil
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployers import __main__ as main
from deployers import registry
from deployers.commands import deploying, logs, status
from deployers.connectors.base import Completed
from deployers.connectors.local import LocalConnector
from deployers.exceptions import HostKeyError, ServiceUnavailable
from deployers.journal import Journal, deploy_home, deployment_lock
from deployers.site import Site
from tests.unit.deployers.deployment.conftest import MODEL, World, make_world

if TYPE_CHECKING:
    from collections.abc import Callable

Run = tuple[int, str, str]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """What the commands find: an inventory, fake Jetsons, a registry whose champion is `world.champion`."""
    made = make_world(tmp_path / "world")
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "edgeloop"))
    monkeypatch.setattr(deploying, "reach", lambda: made.reach)
    monkeypatch.setattr(status, "reach", lambda: made.reach)
    monkeypatch.setattr(logs, "reach", lambda: made.reach)
    monkeypatch.setattr("deployers.commands.rollback.reach", lambda: made.reach)
    monkeypatch.setattr(deploying, "fetcher", lambda *_: made.fetch)
    monkeypatch.setattr(deploying, "told", lambda home, _: made.mlflow.tell(home))
    monkeypatch.setattr("deployers.commands.rollback.told", lambda home, _: made.mlflow.tell(home))
    monkeypatch.setattr(status, "told", lambda home, _: made.mlflow.tell(home))
    monkeypatch.setattr(registry, "resolve", lambda *_: _champion(made))
    monkeypatch.setattr(deploying, "here", lambda: made.here)
    keys = made.folder / "keys"
    keys.mkdir()
    for name in ("board-1", "board-2"):
        (keys / name).write_bytes(bytes(32))
        (keys / name).chmod(0o600)
    (made.folder / "inventory.toml").write_text(INVENTORY.format(root=made.folder / "kitchen"))
    monkeypatch.setenv("EDGELOOP_INVENTORY", str(made.folder / "inventory.toml"))
    return made


INVENTORY = """
signing_key = "signing.key"
[[jetson]]
name = "kitchen"
root = "{root}"
user = "jetson"
connection = "local"
[[jetson.board]]
id = "board-1"
key_file = "keys/board-1"
[[jetson.board]]
id = "board-2"
key_file = "keys/board-2"
"""


def _champion(world: World) -> str:
    if not world.mlflow.is_up:
        msg = "MLflow does not answer"
        raise ServiceUnavailable(msg)
    return world.champion[1]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    def call(*words: str) -> Run:
        code = main.main(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_status_tells_a_deployment_that_runs_from_one_that_was_cut_off(world: World, run) -> None:
    home = deploy_home()
    Journal.create(home / "journal", "deploy")  # and no word more: killed
    _, out, _ = run("status", "--json")
    found = json.loads(out)
    assert found["unfinished"]
    assert found["running"] is None
    with deployment_lock(home):
        _, out, _ = run("status", "--json")
        assert "a deployment runs now: process" in run("status")[1]
    found = json.loads(out)
    assert (found["unfinished"], found["running"].split()[:2]) == (None, ["process", str(os.getpid())])


def test_plan_deploy_status_and_rollback_in_their_order(world: World, run) -> None:
    code, out, _ = run("plan", "--json")
    plan = json.loads(out)
    assert (code, plan["schema"], plan["version"], plan["waves"][0]["name"]) == (0, 1, 1, "canary")
    assert world.jetson.installed_at == 0
    code, out, err = run("deploy", "--json")
    report = json.loads(out)
    assert (code, err, report["result"], report["mlflow"]) == (0, "", "confirmed", "told")
    assert report["release"]["version"] == "1"
    assert {device["state"] for device in report["devices"]} == {"confirmed"}
    assert {"convert", "activate", "fetch the release"} <= {stage["name"] for stage in report["stages"]}
    code, out, _ = run("status", "--json")
    found = json.loads(out)
    assert (code, found["drift"], found["registry"]["version"], found["untold"]) == (0, [], "1", 0)
    assert found["jetsons"][0]["runs"]["name"] == f"{MODEL} 1"
    assert found["jetsons"][0]["boards"][1]["version"] == 1
    assert (found["running"], found["unfinished"]) == (None, None)
    world.champion = ("two", "2")
    code, out, _ = run("status", "--json")
    assert json.loads(out)["drift"] == [f"kitchen runs {MODEL} 1 (image 1), champion is {MODEL} 2"]
    assert run("deploy", "--json")[0] == 0
    code, out, _ = run("rollback", "--json")
    back = json.loads(out)
    assert (code, back["result"], back["jetsons"][0]["version"]) == (0, "rolled back", 3)
    assert back["jetsons"][0]["model"] == f"{MODEL} 1"
    assert world.mlflow.tags[MODEL, "1"]["image_version.kitchen.board-2"] == "3"
    assert "ran_until.kitchen" in world.mlflow.tags[MODEL, "2"]
    code, out, _ = run("rollback", "--json")
    assert (code, json.loads(out)["result"]) == (0, "nothing to do")


def test_people_see_a_column_of_errors_only_where_there_are_some(world: World, run) -> None:
    assert "error" not in run("deploy")[1]
    world.champion = ("two", "2")
    assert "error" not in run("deploy")[1]
    assert "runs as version 3, before: 2" in run("rollback")[1]
    assert "runs as version 3, as before" in run("rollback")[1]
    world.jetson.boards["board-2"].does = "absent"
    world.champion = ("three", "3")
    code, out, _ = run("deploy")
    assert (code, "error" in out) == (5, True)


def test_people_get_a_table_and_where_the_time_went(world: World, run) -> None:
    code, out, _ = run("plan")
    assert (code, "image create" in out, "ctl" in out) == (0, True, True)
    code, out, _ = run("deploy")
    assert code == 0
    assert "kitchen/board-1" in out
    assert "s in all: " in out
    assert "converted: here, int8; image 1" in out
    code, out, _ = run("status")
    assert f"champion is {MODEL} 1" in out
    assert "board-2" in out
    world.champion = ("two", "2")
    run("deploy")
    code, out, _ = run("status")
    assert f"kitchen: rollback leads to {MODEL} 1, image 3" in out
    code, out, _ = run("rollback")
    assert (code, "rolled back" in out, f"kitchen: {MODEL} 1 runs as version 3, before: 2" in out) == (0, True, True)
    assert run("plan")[1].endswith("closing\n") is False


@pytest.mark.parametrize(("does", "code"), [("refuses", 9), ("reverts", 10), ("absent", 5)])
def test_a_verdict_of_the_boards_is_the_exit_code(world: World, run, does: str, code: int) -> None:
    for board in world.jetson.boards.values():
        board.does = does
    ended, out, err = run("deploy", "--json")
    report = json.loads(out)
    assert (ended, report["exit_code"], report["error"] is None) == (code, code, False)
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_the_object_comes_also_where_nothing_came_about(world: World, run) -> None:
    world.down["kitchen"] = HostKeyError("kitchen: host key changed")
    for command in ("deploy", "rollback"):
        code, out, err = run(command, "--json")
        found = json.loads(out)
        assert (code, found["exit_code"], found["result"], found["error"]) == (
            8,
            8,
            "failed",
            "kitchen: host key changed",
        )
        assert (found["devices"], err) == (None, "error: kitchen: host key changed\n")


def test_status_shows_what_it_knows_and_ends_with_what_it_does_not(world: World, run) -> None:
    world.down["kitchen"] = HostKeyError("kitchen: host key changed")
    code, out, _ = run("status", "--json")
    found = json.loads(out)
    assert (code, found["jetsons"][0]["state"], found["jetsons"][0]["runs"]) == (8, "host key", None)
    assert "nothing" not in run("status")[1], "nobody knows"
    world.down.clear()
    world.mlflow.is_up = False
    code, out, err = run("status", "--json")
    assert (code, json.loads(out)["registry"]["error"], json.loads(out)["jetsons"][0]["state"]) == (
        5,
        "MLflow does not answer",
        "up",
    )
    assert err == "error: MLflow does not answer\n"


def test_status_names_the_version_of_a_board_whose_model_the_hub_has_no_more(world: World, run) -> None:
    run("deploy")
    shutil.rmtree(world.folder / "kitchen/data/models/1")
    world.jetson.active = None
    code, out, _ = run("status")
    assert (code, "a model that the hub no longer has" in out) == (0, True)


def test_status_tells_of_a_deployment_that_was_cut_off(world: World, run) -> None:
    world.jetson.boards["board-2"].does = "absent"
    assert run("deploy")[0] == 5
    code, out, _ = run("status")
    assert (code, "was cut off: the same deploy command goes on" in out) == (0, True)
    assert "drift: kitchen/board-2 runs no model, its hub runs image 1" in out


def test_rollback_without_a_way_back_is_bad_input(world: World, run) -> None:
    run("deploy")
    code, out, err = run("rollback", "--json")
    assert (code, json.loads(out)["exit_code"]) == (2, 2)
    assert "has no way back" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--waves", "50%"), "--waves '50%'"),
        (("--limit", "attic"), "--limit 'attic' fits nothing"),
        (("--type", "int4"), "--type 'int4' is unknown"),
        (("--version", "1", "--release", "x"), "are both given"),
        (("--inventory", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_bad_options_are_told_before_anything_is_asked(world: World, run, words: tuple[str, ...], told: str) -> None:
    code, _, err = run("deploy", *words)
    assert (code, told in err) == (2, True)
    assert world.jetson.ran == []


# Logs


def test_the_log_of_a_board_and_of_the_hub(world: World, run) -> None:
    (world.folder / "kitchen/run/hub.log").write_text("one\ntwo\nthree\n")
    assert run("logs", "--lines", "2") == (0, "two\nthree\n", "")
    assert run("logs", "--board", "board-1") == (0, "1 start\n2 model in test, version 1\n", "")
    code, _, err = run("logs", "--board", "attic")
    assert (code, "--board 'attic' is no board of" in err) == (2, True)


def test_a_hub_that_wrote_nothing_has_an_empty_log(world: World, run) -> None:
    assert run("logs") == (0, "", "")


def test_a_file_is_followed_and_begun_again_when_it_is_another(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    log = tmp_path / "run/hub.log"
    log.write_text("a\nb\n")
    site = Site("kitchen", Path(tmp_path), "me", "me", (), systemd=False)  # type: ignore[arg-type]
    lines = logs.file_lines(LocalConnector(), site, 1)
    assert next(lines) == ["b"]
    assert next(lines) == []
    with log.open("a") as more:
        more.write("c\nd\n")
    assert next(lines) == ["c", "d"]
    log.write_text("new\n")
    assert next(lines) == ["new"]


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        (["1", "2"], ["1", "2", "3"], ["3"]),
        (["1", "2"], ["2", "3", "4"], ["3", "4"]),
        (["1", "2"], ["1", "2"], []),
        (["1", "2"], ["5", "6"], ["5", "6"]),
        (["x", "x"], ["x", "x", "x"], []),
        ([], ["1"], ["1"]),
    ],
)
def test_what_is_new_in_a_boards_log(before: list[str], now: list[str], new: list[str]) -> None:
    assert logs.new_lines(before, now) == new


def test_a_board_is_followed() -> None:
    answers = iter([["1", "2"], ["1", "2", "3"], ["3", "4"]])
    assert list(islice(logs.board_lines(lambda: next(answers), 1), 3)) == [["2"], ["3"], ["4"]]


def test_the_journal_of_systemd_is_followed_by_its_cursor() -> None:
    class Systemd:
        name = "kitchen"
        asked: list[tuple[str, ...]] = []  # noqa: RUF012 - one test, one list

        def run(self, command: Any) -> Completed:
            self.asked.append(command.plain())
            number = len(self.asked)
            return Completed(0, f"line {number}\n-- cursor: c{number}\n".encode())

    connector = Systemd()
    lines = logs._unit_lines(connector, 7)  # type: ignore[arg-type]  # noqa: SLF001 - systemd runs nowhere here
    assert [next(lines), next(lines)] == [["line 1"], ["line 2"]]
    assert connector.asked[0][-2:] == ("-n", "7")
    assert connector.asked[1][-2:] == ("--after-cursor", "c1")
