"""The whole loop on an emulated aarch64 Jetson, conversion there included: `make e2e-arm64`, as root.

pytest collects it only when it is named: it needs root, two gigabytes of cache and minutes.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployers.lab.arm64 import BINFMT
from deployers.lab.marked import marked
from tests.lab_runs import run_lab
from tests.registered import register_champion

DEPLOY_SECONDS = 120.0
READINGS = 60
run = functools.partial(run_lab, seconds=3000)  # an emulated processor takes its time

# The first time, Debian and TensorFlow for aarch64 are fetched.
pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("arm64") / "home"
    register_champion(made, tmp_path_factory.mktemp("scratch"))
    try:
        yield made
    finally:
        assert run(made, "down", "--remove").returncode == 0


@pytest.fixture(scope="module")
def turned(home: Path) -> dict[str, Any]:
    # One board that sleeps between readings: the emulated Jetson needs the processor.
    words = ["--jetson", "arm64", "--board-kind", "native", "--speed", "1200", "--readings", str(READINGS)]
    done = run(home, "loop", *words, "--minutes", "60", "--json")
    assert done.returncode == 0, done.stderr
    told = dict(json.loads(done.stdout))
    figures = {"seconds": told["seconds"], "stages": told["deployed"]["stages"]}
    print(json.dumps(figures, indent=1))  # noqa: T201 - figures to be quoted; pytest -s shows them
    return told


def left_over(mark: str) -> list[str]:
    """Whatever a lab would leave on this machine."""
    cables = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    look = f"mount -t binfmt_misc none {BINFMT} && ls {BINFMT}"
    rules = subprocess.run(["unshare", "--mount", "sh", "-c", look], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/mounts").read_text(encoding="utf-8")
    found = [f"process {each}" for each in marked(mark)]
    found += [name for name, where in ((f"el-{mark[:8]}", cables), (f"edgeloop-{mark}", rules)) if name in where]
    return found + [line for line in mounts.splitlines() if "/arm64/disk" in line]


def mark_of(home: Path) -> str:
    return str(json.loads((home / "lab" / "settings.json").read_text())["mark"])


def test_setup_finds_the_environment_in_order(turned) -> None:
    (jetson,) = turned["setup"]["jetsons"]
    assert jetson["state"] == "changed"
    assert "environment" not in jetson["steps"]


def test_the_jetson_converts_within_two_minutes(turned) -> None:
    assert turned["deployed"]["converted"]["where"] == "lab"
    assert turned["seconds"]["deploy"] <= DEPLOY_SECONDS


def test_board_aarch64_hub_and_keras_agree(turned) -> None:
    (board,) = turned["boards"]
    assert board["forecasts"] >= READINGS
    assert max(board["differences"].values()) <= board["tolerance"]


def test_down_takes_everything_away(home: Path, turned) -> None:
    mark = mark_of(home)
    assert any("process" in each for each in left_over(mark))
    assert run(home, "down").returncode == 0
    assert left_over(mark) == []


def test_a_daemon_that_is_killed_takes_the_jetson_with_it(home: Path) -> None:
    done = run(home, "up", "--jetson", "arm64", "--board-kind", "native", "--json")
    assert done.returncode == 0, done.stderr
    mark = mark_of(home)
    os.kill(json.loads(done.stdout)["pid"], signal.SIGKILL)
    end = time.monotonic() + 20
    # At most the kernel's rule, which goes with the namespaces where nobody else looks at the list of rules.
    while not set(left_over(mark)) <= {f"edgeloop-{mark}"}:
        assert time.monotonic() < end, left_over(mark)
        time.sleep(0.1)
    assert run(home, "down").returncode == 0
    assert left_over(mark) == []
