"""Servers that tests start, each until its block is left: MLflow, and ZenML that counts as remote."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from tests.programs import free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def is_served(url: str) -> bool:
    """Whether something answers there, with whatever status but a server's error."""
    try:
        return httpx.get(url, timeout=5).status_code < httpx.codes.INTERNAL_SERVER_ERROR
    except httpx.TransportError:
        return False


@contextmanager
def mlflow_server(folder: Path, host: str = "127.0.0.1", database: str = "") -> Iterator[str]:
    """MLflow with its artifacts in a folder; gives its address.

    Args:
        folder: for the artifacts and the log, and for the database where none is given.
        host: address it listens on.
        database: URL of another one.
    """
    url = f"http://{host}:{free_port()}"
    address = url.removeprefix("http://")
    stores = ["--backend-store-uri", database or f"sqlite:///{folder / 'mlflow.db'}"]
    stores += ["--artifacts-destination", str(folder / "artifacts")]
    words = ["server", "--host", host, "--port", address.rpartition(":")[2], "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", *words, *stores, "--allowed-hosts", address]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment = {**os.environ, **quiet}
    with running(command, folder / "mlflow.log", lambda: is_served(f"{url}/health"), environment=environment):
        yield url


@dataclass(frozen=True)
class ZenServer:
    """Where ZenML listens, and the key of a service account."""

    url: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes a ZenML client use it."""
        patient = {"ZENML_STORE_HTTP_TIMEOUT": "120"}
        return {"ZENML_STORE_URL": self.url, "ZENML_STORE_API_KEY": self.key, **patient}

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
            wanted: dict[str, str | int] = {"token_type": "generic", "expires_in": seconds}
            return str(session.get("/api_token", params=wanted).raise_for_status().json())

    def end_runs(self, stack: str) -> None:
        """Call every run of a stack failed that has not ended: what its platform tells when it lost it."""
        with _session(self.url) as session:
            found = session.get("/runs", params={"stack": stack, "sort_by": "desc:created"}).raise_for_status().json()
            for run in found["items"]:
                if run["body"]["status"] not in ("completed", "failed", "cached", "stopped"):
                    session.put(f"/runs/{run['id']}", json={"status": "failed"}).raise_for_status()


@contextmanager
def zen_server(
    folder: Path, host: str = "127.0.0.1", python: str = sys.executable, **settings: str
) -> Iterator[ZenServer]:
    """ZenML with an empty database.

    Args:
        folder: for its database and log.
        host: address it listens on.
        python: interpreter that has ZenML and the libraries of every flavor that will be registered.
        settings: further variables of its environment.
    """
    port = free_port()
    environment = {
        **os.environ,
        "ZENML_CONFIG_PATH": str(folder),
        "ZENML_STORE_URL": f"sqlite:///{folder / 'zenml.db'}",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_SERVER_AUTO_ACTIVATE": "1",
        "ZENML_ANALYTICS_OPT_IN": "false",
        **settings,
    }
    command = [python, "-m", "uvicorn", "zenml.zen_server.zen_server_api:app", "--host", host, "--port", str(port)]
    url = f"http://{host}:{port}"
    with running(command, folder / "zenml.log", lambda: is_served(f"{url}/ready"), environment=environment):
        yield ZenServer(url, _key(url))


@contextmanager
def _session(url: str) -> Iterator[httpx.Client]:
    """The REST API as the first user, who has no password."""
    with httpx.Client(base_url=f"{url}/api/v1", timeout=120) as session:
        told = session.post("/login", data={"username": "default", "password": ""}).raise_for_status().json()
        session.headers["Authorization"] = f"Bearer {told['access_token']}"
        yield session


def _key(url: str) -> str:
    def posted(session: httpx.Client, route: str, **values: Any) -> Any:
        return session.post(route, json={"name": "tests", **values}).raise_for_status().json()

    with _session(url) as session:
        account = posted(session, "/service_accounts", active=True)
        return str(posted(session, f"/service_accounts/{account['id']}/api_keys")["body"]["key"])
