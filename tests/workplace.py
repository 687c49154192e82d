"""A home folder of its own, and the command line as a user starts it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.programs import CHECKOUT, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SMOKE = ("--config", "pipelines/configs/smoke.yaml")
MODEL = "smoke-forecaster"
SECONDS_OF_A_RUN, SECONDS_TO_START = 600, 180
ASK = """
import __main__, json, os, sys
__main__.__file__ = os.path.abspath("run.py")  # where ZenML looks for our classes
from pipelines.home import Home
home = Home.from_environment()
home.prepare()
from stacks.loader import use_stack
use_stack("local", home.root)
from zenml.client import Client
client = Client()
"""


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, the JSON object of its standard output, both outputs as text."""

    code: int
    result: dict[str, Any]
    stdout: str
    stderr: str


@dataclass
class Workplace:
    """A home folder and what can be done with it."""

    home: Path
    outside: Path
    seconds: float = SECONDS_OF_A_RUN

    @classmethod
    def under(cls, folder: Path, seconds: float = SECONDS_OF_A_RUN) -> Workplace:
        """An empty home in a folder, and room beside it for what is started outside the checkout.

        Args:
            folder: is there, and empty.
            seconds: how long a command may take.
        """
        (folder / "outside").mkdir()
        return cls(folder / "home", folder / "outside", seconds)

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Nothing of this process but where programs are found."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        return {**kept, "EDGELOOP_HOME": str(self.home), **(more or {})}

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> Outcome:
        """Run `run.py` to its end; with --json its standard output must be exactly one JSON object."""
        done = subprocess.run(
            [sys.executable, "run.py", *arguments],
            cwd=CHECKOUT, env=self.environment(env), capture_output=True, text=True, check=False,
            timeout=self.seconds, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "\x1b" not in done.stdout + done.stderr, "colour codes without a terminal"
        result = {}
        if "--json" in arguments:
            assert done.stdout.count("\n") == 1, (done.stdout, done.stderr)
            result = json.loads(done.stdout)
            assert isinstance(result, dict)
        return Outcome(done.returncode, result, done.stdout, done.stderr)

    def succeed(self, *arguments: str, env: Mapping[str, str] | None = None) -> Outcome:
        """Run `run.py ... --json`, which must succeed."""
        outcome = self.run(*arguments, "--json", env=env)
        assert outcome.code == 0, outcome.stderr
        return outcome

    def refuse(self, code: int, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run `run.py ... --json`, which must end with this exit code; gives its message."""
        outcome = self.run(*arguments, "--json", env=env)
        assert outcome.code == code, outcome.stderr
        error = outcome.result["error"]
        assert error["exit_code"] == code
        assert error["message"] in " ".join(outcome.stderr.split())
        assert "Traceback" not in outcome.stderr
        return str(error["message"])

    def ask(self, code: str, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
        """Run Python in the project with a ZenML `client` of this home; its `answer` comes back."""
        done = subprocess.run(
            [sys.executable, "-c", f"{ASK}{code}\nprint('ANSWER' + json.dumps(answer))", *arguments],
            cwd=CHECKOUT, env=self.environment(env), capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.rpartition("ANSWER")[2])

    def mlflow(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """Rows of MLflow's database; none while there is no database."""
        return _rows(self.home / "mlflow" / "mlflow.db", query, values)

    def zenml(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """Rows of ZenML's database."""
        return _rows(self.home / "zenml" / "local_stores" / "default_zen_store" / "zenml.db", query, values)

    def versions(self, model: str) -> int:
        """Versions of a model that MLflow has registered."""
        return len(self.mlflow("select version from model_versions where name = ?", model))

    def stages(self, model: str = MODEL) -> dict[str, str | None]:
        """ZenML's stage of each version."""
        query = "select v.name, v.stage from model_version v join model m on m.id = v.model_id where m.name = ?"
        return dict(self.zenml(query, model))

    @contextmanager
    def serving(
        self, *command: str, port: int, path: str, env: Mapping[str, str] | None = None
    ) -> Iterator[Callable[..., tuple[int, Any]]]:
        """Run a server outside the checkout until it is left; gives a function that asks it."""
        environment, ready = self.environment(env), lambda: answers(port, path)
        log = self.outside / f"{port}.log"
        with running(command, log, ready, home=self.outside, environment=environment, seconds=SECONDS_TO_START):
            yield lambda at, content=None: _request(port, at, content)


def _rows(database: Path, query: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query, values).fetchall()


def answers(port: int, path: str) -> bool:
    """Whether a server on this machine answers a path with 200."""
    try:
        return _request(port, path)[0] == 200
    except OSError:
        return False


def _request(port: int, path: str, content: Any = None) -> tuple[int, Any]:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - loopback
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text
