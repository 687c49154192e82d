"""The whole loop in one command: lab, setup, deploy, and forecasts of board, hub and Keras at live readings."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployers.lab.marked import marked
from deployers.lab.programs import FOLDERS
from deployers.lab.rest import HubRest
from tests.lab_runs import run_deployers, run_lab
from tests.registered import register_champion

READINGS = 40

pytestmark = [
    pytest.mark.skipif(shutil.which("sshd", path=FOLDERS) is None, reason="openssh-server is not here"),
    pytest.mark.timeout(900),  # packages are installed on the virtual Jetson
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("loop") / "home"
    register_champion(made, tmp_path_factory.mktemp("scratch"))
    yield made
    mark = json.loads((made / "lab" / "settings.json").read_text())["mark"]
    assert run_lab(made, "down").returncode == 0
    assert marked(mark) == []


@pytest.fixture(scope="module")
def turned(home: Path) -> dict[str, Any]:
    done = run_lab(home, "loop", "--board-kind", "native", "--speed", "12000", "--readings", str(READINGS), "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_board_hub_and_keras_agree_at_live_readings(turned) -> None:
    (board,) = turned["boards"]
    assert board["forecasts"] >= READINGS
    assert max(board["differences"].values()) <= board["tolerance"]
    assert board["live"]["board"]["count"] > 0
    assert set(board["last"]) == {"Keras", "LiteRT", "board"}


def test_versions_and_durations_are_told(turned) -> None:
    (device,) = turned["devices"]
    assert (device["id"], device["state"], device["confirmed"]) == ("board-1", "confirmed", turned["models"]["active"])
    assert list(turned["seconds"]) == ["lab up", "setup", "deploy", "live readings", "comparison"]


def test_the_lab_stays_up_and_its_page_answers(home: Path, turned) -> None:
    assert json.loads(run_lab(home, "status", "--json").stdout)["up"] is True
    with urllib.request.urlopen(turned["page"], timeout=20) as page:  # noqa: S310 - the address is http
        assert b"<html" in page.read().lower()


def test_a_second_turn_changes_nothing_and_tells_people_what_came(home: Path, turned) -> None:
    done = run_lab(home, "loop", "--readings", "10")
    assert done.returncode == 0, done.stderr
    for text in ("live error", "LiteRT (hub)", "image 1 confirmed", "/#token=", "stays up until"):
        assert text in done.stdout


def test_a_rollout_watches_what_the_real_hub_sees_of_the_real_board(home: Path, turned) -> None:
    (home / "lab" / "fleet.toml").write_text("[gate]\nhours = 0\npairs = 200\nskill_loss = 2\n")
    done = run_deployers(home, "fleet", "rollout", "--every", "1", "--json")
    assert done.returncode == 0, done.stderr
    (rollout,) = json.loads(done.stdout)["rollouts"]
    assert (rollout["state"], rollout["waves"][0]["devices"]) == ("confirmed", {"lab/board-1": "runs it"})
    assert rollout["numbers"]["pairs"][0] >= 200
    assert rollout["numbers"]["skill"] <= 1
    assert "confirmed" in run_deployers(home, "fleet", "status").stdout
    jetson = json.loads(run_lab(home, "status", "--json").stdout)["jetson"]
    token = (Path(jetson["root_here"]) / "config" / "ctl.token").read_text().strip()
    with HubRest(turned["page"], token) as hub:
        (told,) = hub.get("/fleet")["rollouts"]
    assert told.pop("told_ms") > 0
    assert told == {"jetson": "lab", **rollout}, "the hub knows where it stands, for its page"
