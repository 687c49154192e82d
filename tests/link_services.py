"""Servers that two machines share over a cable: ZenML and MLflow."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from deployers.lab.programs import end_of
from tests.workplace import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CHECKOUT = Path(__file__).resolve().parents[1]
SECONDS_TO_START = 600.0


@contextmanager
def served(
    command: Sequence[str], url: str, log: Path, environment: Mapping[str, str] | None = None, home: Path = CHECKOUT
) -> Iterator[str]:
    """A server's process, from its first answer to the end of the block.

    Args:
        command: program and arguments.
        url: what answers, with whatever status, once it serves.
        log: takes what it prints.
        environment: beside this process' own.
        home: its working folder.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=home, env={**os.environ, **(environment or {})}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        end = time.monotonic() + SECONDS_TO_START
        while not _answers(url):
            assert process.poll() is None, end_of(log, 2000)
            assert time.monotonic() < end, end_of(log, 2000)
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code < httpx.codes.INTERNAL_SERVER_ERROR
    except httpx.TransportError:
        return False


@contextmanager
def mlflow_server(host: str, folder: Path) -> Iterator[str]:
    """MLflow with a database and artifacts in the folder; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    database, artifacts = f"sqlite:///{folder / 'mlflow.db'}", str(folder / "artifacts")
    words = ["server", "--host", host, "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", database, "--artifacts-destination", artifacts]
    command = [sys.executable, "-m", "mlflow", *words, *stores, "--allowed-hosts", f"{host}:{port}"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with served(command, f"http://{host}:{port}/health", folder / "mlflow.log", quiet):
        yield f"http://{host}:{port}"


@dataclass(frozen=True)
class ZenServer:
    """Where ZenML listens, and the key of a service account."""

    url: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes a ZenML client use it."""
        return {"ZENML_STORE_URL": self.url, "ZENML_STORE_API_KEY": self.key}

    def keep_secret(self, name: str, **values: str) -> None:
        """Put values into the server's secret store."""
        with _session(self.url) as session:
            session.post("/secrets", json={"name": name, "values": values}).raise_for_status()

    def short_token(self, seconds: int) -> str:
        """A token of the service account that expires so soon."""
        with httpx.Client(base_url=f"{self.url}/api/v1", timeout=60) as session:
            given = {"grant_type": "zenml-api-key", "password": self.key}
            told = session.post("/login", data=given).raise_for_status().json()
            session.headers["Authorization"] = f"Bearer {told['access_token']}"
            wanted = {"token_type": "generic", "expires_in": seconds}
            return str(session.get("/api_token", params=wanted).raise_for_status().json())


@contextmanager
def zen_server(host: str, folder: Path, **settings: str) -> Iterator[ZenServer]:
    """ZenML with an empty database.

    Args:
        host: address it listens on.
        folder: for its database and log.
        settings: further variables of its environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = {
        "ZENML_CONFIG_PATH": str(folder),
        "ZENML_STORE_URL": f"sqlite:///{folder / 'zenml.db'}",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_SERVER_AUTO_ACTIVATE": "1",
        "ZENML_ANALYTICS_OPT_IN": "false",
        **settings,
    }
    command = [sys.executable, "-m", "uvicorn", "zenml.zen_server.zen_server_api:app", "--host", host]
    url = f"http://{host}:{port}"
    with served([*command, "--port", str(port)], f"{url}/ready", folder / "zenml.log", environment):
        yield ZenServer(url, _key(url))


@contextmanager
def _session(url: str) -> Iterator[httpx.Client]:
    """The REST API as the first user, who has no password."""
    with httpx.Client(base_url=f"{url}/api/v1", timeout=60) as session:
        told = session.post("/login", data={"username": "default", "password": ""}).raise_for_status().json()
        session.headers["Authorization"] = f"Bearer {told['access_token']}"
        yield session


def _key(url: str) -> str:
    def posted(session: httpx.Client, route: str, **values: Any) -> Any:
        return session.post(route, json={"name": "tests", **values}).raise_for_status().json()

    with _session(url) as session:
        account = posted(session, "/service_accounts", active=True)
        return str(posted(session, f"/service_accounts/{account['id']}/api_keys")["body"]["key"])
