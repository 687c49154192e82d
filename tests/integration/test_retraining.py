"""Retraining by a hub that is a process, with a small command in place of run.py."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.served_hub import SECONDS, SERVE, SETTINGS, Served, run, until

if TYPE_CHECKING:
    from collections.abc import Iterator

# Says what it was given, waits for the file `gate` where there is a file `closed`, and answers as run.py does.
COMMAND = """
import json, os, pathlib, sys, time
pathlib.Path("pid").write_text(str(os.getpid()))
while pathlib.Path("closed").exists() and not pathlib.Path("gate").exists():
    time.sleep(0.02)
given = {name: value for name, value in os.environ.items() if name.startswith("EDGELOOP_")}
print("epoch 1", file=sys.stderr)
print(json.dumps({
    "model_name": "temperature-forecaster", "model_version": "4", "alias": "challenger", "dataset_version": given,
    "test": {"mae": 0.1388, "rmse": 0.2867, "by_horizon": []}, "baselines": {"persistence": {"mae": 0.1817}},
    "promotion": {"promoted": False, "reason": "no better"}, "padding": "x" * 20000,
}))
"""
# A minute is long for a test, and ten are longer.
OFTEN = SERVE.replace(
    "from deployers.hub.__main__",
    "from deployers.hub.retraining import service\n"
    "service.EVERY_SECONDS = service.STOCK_SECONDS = 0.1\n"
    "from deployers.hub.__main__",
)
RETRAINING = """
[train]
kind = "command"
command = {command}
[retraining]
enabled = true
least_days = 3
{more}
"""


def served(root: Path, more: str = "") -> Served:
    (root / "train.py").write_text(COMMAND, encoding="utf-8")
    command = json.dumps([sys.executable, "train.py"])
    settings = SETTINGS.replace("2048", "200000") + RETRAINING.format(command=command, more=more)
    made = Served(root, settings, OFTEN)
    made.prepare()
    made.start()
    return made


@pytest.fixture
def hubs() -> Iterator[list[Served]]:
    """Those that a test has started; they are ended."""
    found: list[Served] = []
    yield found
    for each in found:
        each.stop()


def send(hub: Served, user: str, days: range, step: float = 0.1) -> None:
    for day in days:
        body = {"time_point": f"2024-05-{day + 1:02}T12:00:00", "value": 20.0 + step * day, "user": user}
        answer = httpx.post(f"{hub.url}/temperatures", json=body, headers=hub.headers())
        assert answer.status_code == 201, answer.text


def standing(hub: Served) -> dict[str, Any]:
    answer = httpx.get(f"{hub.url}/retraining", headers=hub.headers())
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def states(hub: Served) -> list[str]:
    return [row["state"] for row in standing(hub)["requests"]][::-1]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_new_readings_retrain_once_and_the_challenger_is_kept(tmp_path: Path, hubs: list[Served]) -> None:
    hub = served(tmp_path, "new_readings = 5\ncooldown_hours = 0\nper_week = 1")
    hubs.append(hub)
    send(hub, "board-1", range(4))
    assert states(hub) == []
    send(hub, "board-1", range(4, 5))
    until(lambda: states(hub) == ["done"], lambda: hub.log)
    (row,) = standing(hub)["requests"]
    assert (row["series"], row["trigger"], row["numbers"]) == ("board-1", "readings", {"readings": 5, "wanted": 5})
    made = row["answer"]["challenger"]
    assert (made["model"], made["version"], made["alias"]) == ("temperature-forecaster", "4", "challenger")
    assert (made["test"], made["baselines"]) == ({"mae": 0.1388, "rmse": 0.2867}, {"persistence": {"mae": 0.1817}})
    given = {"SERIES": "board-1", "REASON": row["reason"], "REQUEST": str(row["id"])}
    assert made["dataset"] == str({f"EDGELOOP_RETRAIN_{name}": value for name, value in given.items()})
    job = httpx.get(f"{hub.url}/jobs/{row['job']}", headers=hub.headers()).json()
    assert (job["state"], job["kind"], "epoch 1" in job["log"]) == ("done", "train", True)

    send(hub, "board-1", range(5, 15))
    until(lambda: standing(hub)["series"][0]["fresh_readings"] == 10, lambda: hub.log)
    ran = run("ctl", hub.config, "retraining")
    found = json.loads(ran.stdout)
    assert len(found["requests"]) == 1, "the budget of the week is used"
    assert found["series"][0]["due"] == "readings"
    assert "1 of 1 retrainings of the week are used" in found["series"][0]["why_not"]
    assert run("ctl", hub.config, "retrain", "board-1", "--because", "a person may").returncode == 0
    until(lambda: states(hub) == ["done", "done"], lambda: hub.log)

    send(hub, "board-2", range(20), step=0.0)
    until(lambda: states(hub) == ["done", "done", "refused"], lambda: hub.log)
    refused = standing(hub)["requests"][0]
    assert (refused["series"], refused["job"]) == ("board-2", None)
    assert (refused["answer"]["sensor"], refused["answer"]["test"]) == ("board-2", "stuck")


def test_a_hub_that_is_killed_while_one_runs_says_so_and_goes_on(tmp_path: Path, hubs: list[Served]) -> None:
    (tmp_path / "closed").touch()
    hub = served(tmp_path)
    hubs.append(hub)
    for user in ("board-1", "board-2"):
        send(hub, user, range(4))
        ran = run("ctl", hub.config, "retrain", user, "--because", "new window")
        assert ran.returncode == 0, ran.stderr
    assert states(hub) == ["running", "waiting"]
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(encoding="ascii") != "")
    pid = int((tmp_path / "pid").read_text(encoding="ascii"))
    os.kill(hub.process.pid, signal.SIGKILL)
    hub.process.wait(SECONDS)
    until(lambda: is_gone(pid), lambda: "the command outlived its hub")

    (tmp_path / "gate").touch()
    hub.start()
    until(lambda: states(hub) == ["failed", "done"], lambda: hub.log)
    newest, lost = standing(hub)["requests"]
    assert lost["answer"] == {"challenger": None, "reason": "the hub ended while this ran"}
    assert (lost["series"], newest["series"]) == ("board-1", "board-2")
    assert standing(hub)["budget"]["used"] == 2
    assert lost["ended_ms"] >= lost["started_ms"]
    assert time.time() * 1000 - lost["ended_ms"] < 600_000


def test_a_hub_without_a_training_side_does_not_start_with_retraining(tmp_path: Path) -> None:
    made = Served(tmp_path, SETTINGS + "[retraining]\nenabled = true\n")
    made.config.parent.mkdir()
    made.config.write_text(made.settings, encoding="utf-8")
    ran = run("serve", made.config)
    assert ran.returncode == 2
    assert "give [train] kind command, webhook or zenml" in ran.stderr
