"""Where the demonstration happens: a home of its own, a lab at speed, a hub that retrains and promotes by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks.drift_course import write
from deployers.lab.folder import LabFolder
from deployers.lab.programs import LabError
from deployers.lab.up import down, new_settings, up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.drift_course import Plan

ROOT = Path(__file__).resolve().parents[1]
SPEED = 14_400.0  # a day of the room in six seconds
MINUTES = 60.0
MODEL = "temperature-forecaster"
# The small search of the smoke configuration, with trainings long enough to beat the ridge on three weeks of readings.
OVERRIDES = (f"training.model={MODEL}", "training.search.updates=800")
SMOKE = str(ROOT / "pipelines" / "configs" / "smoke.yaml")
SITE = "site.json"
# An alarm before the sensor is moved would be a false one: of this hub they are ten years apart.
HUB = """
[defaults.hub.monitor]
warning_days = 365
alarm_days = 3650
[defaults.hub.train]
kind = "command"
command = ["/bin/sh", {script}]
seconds = 3600
[defaults.hub.retraining]
enabled = true
least_days = 0
per_week = 1
[defaults.hub.shadow]
promote = "automatic"
"""
SCRIPT = (
    'cd "{root}" && EDGELOOP_HOME="{home}" EDGELOOP_INVENTORY="{inventory}" exec "{python}" -m {module} "{folder}"\n'
)
FLEET = """
waves = ["canary", "100%"]
max_failures = 0
seconds = 300
[gate]
hours = 0
pairs = 2000
most_hours = 1
"""


def settings(dataset: str) -> tuple[str, ...]:
    """Options of `run.py all` for a training on a dataset of its own."""
    given = (*OVERRIDES, f"data.dataset={dataset}", f"training.dataset={dataset}")
    return "--config", SMOKE, *(word for each in given for word in ("--set", each))


@dataclass(frozen=True)
class Site:
    """Where the hub answers.

    Attributes:
        port: of REST, on loopback.
        token: of role deploy.
    """

    port: int
    token: str

    @property
    def url(self) -> str:
        """Of the hub."""
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """As the demonstration wrote it for the training side."""
        return cls(**json.loads((folder / SITE).read_text(encoding="utf-8")))


class Lab:
    """The demonstration's lab.

    Args:
        folder: everything is below it.
        plan: the days.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.inventory, self.fleet = folder / "inventory.toml", folder / "fleet.toml"
        self._lab = LabFolder(folder / "home" / "lab")

    @property
    def environment(self) -> dict[str, str]:
        """Of every command: the demonstration touches no other home."""
        home = {"EDGELOOP_HOME": str(self.folder / "home"), "EDGELOOP_INVENTORY": str(self.inventory)}
        return {**{name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}, **home}

    def train(self) -> dict[str, Any]:
        """The first model, of the days before; what run.py printed."""
        history = self.folder / "history.csv"
        self._lab.make()
        write(self.plan, history, self._lab.readings)
        done = self.run("run.py", "all", "--source", str(history), *settings("first"), "--json")
        found: dict[str, Any] = json.loads(done.strip().splitlines()[-1])
        return found

    @contextmanager
    def running(self) -> Iterator[Site]:
        """The lab up, set up and with the first model on hub and boards; down after it."""
        state = up(self._lab, new_settings(boards=2, board_kind="native", speed=SPEED, minutes=MINUTES))
        try:
            self._write(state)
            self.run("-m", "deployers", "setup")
            self.run("-m", "deployers", "deploy", "--json")
            token = (self._lab.root / "config" / "ctl.token").read_text(encoding="utf-8").strip()
            site = Site(int(state["jetson"]["rest_port"]), token)
            (self.folder / SITE).write_text(json.dumps(asdict(site)), encoding="utf-8")
            (self.folder / SITE).chmod(0o600)
            yield site
        finally:
            down(self._lab)

    def run(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """One of the project's commands; its output.

        Raises:
            LabError: it ended with another exit code.
        """
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, *words], cwd=ROOT, env=self.environment, check=False, capture_output=True, text=True
        )
        if done.returncode not in codes:
            said = done.stderr.strip()[-1500:]
            msg = f"{' '.join(words)} ended with {done.returncode}, expected {codes}: {said}"
            raise LabError(msg)
        return done.stdout

    def _write(self, state: dict[str, Any]) -> None:
        """The lab's inventory with what the hub is to do by itself, and board-1 as the canary."""
        script = self.folder / "retrain.sh"
        fields = {"root": ROOT, "home": self.folder / "home", "inventory": self.inventory, "python": sys.executable}
        script.write_text(SCRIPT.format(**fields, module="benchmarks.drift_retrain", folder=self.folder))
        text = (
            Path(state["inventory"])
            .read_text(encoding="utf-8")
            .replace('id = "board-1"', 'id = "board-1"\ngroup = "canary"')
        )
        own = HUB.format(script=json.dumps(str(script)))
        self.inventory.write_text(text + own, encoding="utf-8")
        self.fleet.write_text(FLEET, encoding="utf-8")
