"""An Airflow of its own, with scheduler and page, as scripts/airflow.sh starts it."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

from tests.programs import free_port, running

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

SECONDS_TO_START = 900  # the first time its packages are installed; a busy machine takes minutes to import them
PASSWORDS = "simple_auth_manager_passwords.json.generated"


@dataclass(frozen=True)
class AirflowServer:
    """A running Airflow: its address, its folder, and the process that ends it."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]

    @property
    def password(self) -> str:
        """Of its user admin."""
        return str(json.loads((self.home / PASSWORDS).read_text())["admin"])

    @property
    def variables(self) -> dict[str, str]:
        """What stacks/airflow.yaml wants from the environment."""
        dags, login = str(self.home / "dags"), f"admin:{self.password}"
        return {"EDGELOOP_AIRFLOW_URL": self.url, "EDGELOOP_AIRFLOW_DAGS": dags, "EDGELOOP_AIRFLOW_LOGIN": login}

    def ask(self, path: str) -> Any:
        """What its REST API answers."""
        given = {"username": "admin", "password": self.password}
        token = requests.post(f"{self.url}/auth/token", json=given, timeout=60).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(f"{self.url}/api/v2/{path}", headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def states(self, dag: str) -> dict[str, str]:
        """A DAG's steps and their states, in its only run."""
        (run,) = self.ask(f"dags/{dag}/dagRuns")["dag_runs"]
        place = quote(run["dag_run_id"], safe="")
        tasks = self.ask(f"dags/{dag}/dagRuns/{place}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in tasks}


@contextmanager
def airflow_server() -> Iterator[AirflowServer]:
    """Airflow on a free port until it is left; its folder is gone afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="edgeloop-airflow-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        url = f"http://127.0.0.1:{port}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "PYTHON"))}
        environment = {**kept, "AIRFLOW_HOME": str(home), "EDGELOOP_AIRFLOW_PORT": str(port)}
        command = ["scripts/airflow.sh", "start"]
        with running(
            command, home / "log", partial(_at_work, url), environment=environment, seconds=SECONDS_TO_START
        ) as process:
            yield AirflowServer(url, home, process)


def _at_work(url: str) -> bool:
    try:
        health = requests.get(f"{url}/api/v2/monitor/health", timeout=20).json()
    except (requests.RequestException, ValueError):
        return False
    return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))
