"""`python -m deployers fleet` on fake Jetsons."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from deployers import __main__ as main
from deployers import journal, registry
from deployers.commands import fleet
from deployers.deployment import halting, quarantine
from deployers.locks import locked
from tests.unit.deployers.deployment.conftest import MODEL, make_world
from tests.unit.deployers.fleet.conftest import FleetWorld

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENTRY = """
[[jetson]]
name = "{name}"
root = "{root}"
user = "jetson"
connection = "local"
groups = ["{group}"]
[[jetson.board]]
id = "{board}"
key_file = "board.key"
"""
NOW_GATE = "[gate]\nhours = 0\npairs = 1\n"


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetWorld:
    world = make_world(tmp_path / "world", {"attic": ("a1",), "barn": ("b1",)}, canary="attic")
    made = FleetWorld(world)
    (world.folder / "board.key").write_bytes(bytes(32))
    (world.folder / "board.key").chmod(0o600)
    entries = [
        ENTRY.format(name=name, root=world.folder / name, group=group, board=board)
        for name, group, board in (("attic", "canary", "a1"), ("barn", "rest", "b1"))
    ]
    path = world.folder / "inventory.toml"
    path.write_text('signing_key = "signing.key"\n' + "".join(entries))
    (world.folder / "fleet.toml").write_text('waves = ["canary", "100%"]\n' + NOW_GATE)
    monkeypatch.setenv("EDGELOOP_INVENTORY", str(path))
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fleet, "reach", lambda: world.reach)
    monkeypatch.setattr(fleet, "here", lambda: world.here)
    monkeypatch.setattr(fleet, "told", lambda home, _: world.mlflow.tell(home))
    monkeypatch.setattr(fleet, "fetcher", lambda version, _, model, __: made.around((), model, version).fetch)
    monkeypatch.setattr(registry, "resolve", lambda version, model, _: made.champions[model])
    return made


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str) -> tuple[int, str, str]:
        code = main.main(["fleet", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def turn(yard: FleetWorld, run: Any, **seen: Any) -> tuple[int, dict[str, Any]]:
    yard.seen(**seen)
    code, out, _ = run("rollout", "--once", "--json")
    return code, json.loads(out)


def test_a_rollout_goes_on_with_every_call_and_ends(yard: FleetWorld, run: Any) -> None:
    code, found = turn(yard, run)
    assert (code, found["result"], found["error"]) == (0, "done", None)
    (one,) = found["rollouts"]
    assert (one["partition"], one["model"], one["version"], one["state"]) == ("fleet", MODEL, "1", "waits")
    assert [(wave["name"], wave["state"], wave["devices"]) for wave in one["waves"]] == [
        ("canary", "watched", {"attic/a1": "runs it"}),
        ("100%", "to come", {"barn/b1": "to come"}),
    ]
    turn(yard, run)
    code, found = turn(yard, run)
    assert (code, found["rollouts"][0]["state"]) == (0, "confirmed")
    assert yard.models() == {"a1": "1", "b1": "1"}


def test_without_once_it_stays_until_all_waves_are_through(yard: FleetWorld, run: Any, tmp_path: Path) -> None:
    for jetson in yard.world.jetsons.values():
        monitor = jetson._monitor  # noqa: SLF001
        jetson._monitor = lambda words, monitor=monitor: (yard.seen(), monitor(words))[1]  # type: ignore[method-assign,misc]  # noqa: SLF001
    code, out, err = run("rollout", "--every", "1")
    assert code == 0
    assert "confirmed" in out
    assert "fleet: temperature-forecaster 1" in err
    assert yard.models() == {"a1": "1", "b1": "1"}


def test_a_rollout_that_went_back_is_exit_code_10_and_its_version_3_after_that(yard: FleetWorld, run: Any) -> None:
    for _ in range(3):
        turn(yard, run)
    yard.champions[MODEL] = "2"
    turn(yard, run)
    code, found = turn(yard, run, model=0.3)
    assert (code, found["result"], found["rollouts"][0]["state"]) == (10, "failed", "rolled back")
    assert found["rollouts"][0]["waves"][1]["devices"] == {"barn/b1": "to come"}
    assert list(found["rollouts"][0]["back"]) == ["attic"]
    code, found = turn(yard, run)
    assert (code, "in quarantine" in found["error"]) == (3, True)
    code, out, _ = run("status")
    assert (code, "rolled back" in out, f"{MODEL} 2" in out, "in quarantine since" in out) == (0, True, True, True)
    assert run("quarantine", "--lift", "2")[1].startswith(f"let out: {MODEL} 2")
    assert turn(yard, run)[0] == 0


def test_a_stop_is_seen_by_every_command_and_lifted_by_one(yard: FleetWorld, run: Any) -> None:
    turn(yard, run)
    assert run("stop", "--because", "boards reboot")[0] == 0
    code, found = turn(yard, run)
    assert (code, "boards reboot" in found["error"], yard.models()["b1"]) == (2, True, "")
    code = main.main(["deploy", "--release", str(yard.world.folder), "--json"])
    assert code == 2
    assert "boards reboot" in run("status")[1]
    assert json.loads(run("status", "--json")[1])["stop"]["because"] == "boards reboot"
    assert run("resume")[1] == "the stop is lifted\n"
    assert run("resume")[1] == "nothing was stopped\n"
    assert turn(yard, run)[0] == 0


def test_a_stop_can_bring_back_what_is_under_way(yard: FleetWorld, run: Any) -> None:
    for _ in range(3):
        turn(yard, run)
    yard.champions[MODEL] = "2"
    turn(yard, run)
    assert yard.models() == {"a1": "2", "b1": "1"}
    code, out, _ = run("stop", "--because", "no", "--roll-back")
    assert (code, "rolled back" in out) == (0, True)
    assert yard.models() == {"a1": "1", "b1": "1"}
    assert run("status", "--json")[1].count('"version": "2"') == 1  # as a rollout, and not in quarantine


def test_the_map_is_a_page_of_its_own(yard: FleetWorld, run: Any, tmp_path: Path) -> None:
    turn(yard, run)
    halting.stop(journal.deploy_home(), "<b>why</b>", "Ann", 0.0)
    quarantine.add(journal.deploy_home(), quarantine.Held("other", "9", "", "bad", "2026-11-22T10:00:00Z"))
    code, out, _ = run("status", "--html", str(tmp_path / "map.html"))
    page = (tmp_path / "map.html").read_text()
    assert (code, "written: " in out) == (0, True)
    for text in ("attic/a1", "barn/b1", "runs it", "to come", "&lt;b&gt;why", "other 9"):
        assert text in page
    assert "<script" not in page


def test_before_the_first_rollout_that_is_said(yard: FleetWorld, run: Any) -> None:
    assert run("status")[1] == "no rollout yet: python -m deployers fleet rollout\n"


def test_one_rollout_at_a_time(yard: FleetWorld, run: Any) -> None:
    home = journal.deploy_home()
    home.mkdir(parents=True)
    with locked(home / "fleet.lock", 0, RuntimeError()):
        code, out, err = run("rollout", "--once", "--json")
    assert (code, "another rollout runs" in err, json.loads(out)["exit_code"]) == (11, True, 11)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("rollout", "south", "--once"), 2, "partition 'south' is unknown, expected one of fleet"),
        (("rollout", "--config", "/none.toml", "--once"), 2, "fleet file '/none.toml' cannot be read"),
        (("stop",), 2, "Missing option '--because'"),
        (("quarantine", "--add", "3"), 2, "--add VERSION and --because TEXT go together"),
        (("quarantine", "--lift", "3"), 2, "'3' means 0 versions in quarantine, expected one of nothing"),
    ],
)
def test_what_cannot_be_used_is_said(yard: FleetWorld, run: Any, words: tuple[str, ...], code: int, said: str) -> None:
    found, _, err = run(*words)
    assert (found, said in " ".join(err.split())) == (code, True)


def test_without_a_fleet_file_everything_is_one_partition(yard: FleetWorld, run: Any) -> None:
    (yard.world.folder / "fleet.toml").unlink()
    _, found = turn(yard, run)
    assert [each["partition"] for each in found["rollouts"]] == ["fleet"]
    assert [wave["name"] for wave in found["rollouts"][0]["waves"]] == ["canary", "100%"]  # a quarter is the canary


def test_a_version_is_put_into_quarantine_by_hand(yard: FleetWorld, run: Any) -> None:
    code, out, _ = run("quarantine", "--add", "1", "--because", "smells")
    assert (code, out.startswith(f"{MODEL} 1  since ")) == (0, True)
    code, found = turn(yard, run)
    assert (code, yard.models()) == (3, {"a1": "", "b1": ""})
    assert "smells" in found["error"]
