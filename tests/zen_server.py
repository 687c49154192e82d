"""A ZenML server on loopback that counts as remote, in the environment with the platforms' SDKs."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SECONDS_TO_START = 600


@dataclass(frozen=True)
class ZenServer:
    """Where it listens, and the key of a service account."""

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

    def end_runs(self, stack: str) -> None:
        """Call every run of a stack failed that has not ended: what its platform tells when it lost it."""
        with _session(self.url) as session:
            found = session.get("/runs", params={"stack": stack, "sort_by": "desc:created"}).raise_for_status().json()
            for run in found["items"]:
                if run["body"]["status"] not in ("completed", "failed", "cached", "stopped"):
                    session.put(f"/runs/{run['id']}", json={"status": "failed"}).raise_for_status()


@contextmanager
def zen_server(python: Path, folder: Path) -> Iterator[ZenServer]:
    """Serve from an empty database.

    Args:
        python: interpreter that has ZenML and the libraries of every flavor that will be registered.
        folder: for the database and the log.
    """
    port = free_port()
    environment = {
        **os.environ,
        "ZENML_CONFIG_PATH": str(folder),
        "ZENML_STORE_URL": f"sqlite:///{folder / 'zenml.db'}",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_SERVER_AUTO_ACTIVATE": "1",
        "ZENML_ANALYTICS_OPT_IN": "false",
    }
    command = [str(python), "-m", "uvicorn", "zenml.zen_server.zen_server_api:app", "--port", str(port)]
    with (folder / "server.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, folder / "server.log")
            yield ZenServer(url, _key(url))
        finally:
            process.terminate()
            process.wait(120)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(encoding="utf-8")[-2000:]
        try:
            if httpx.get(f"{url}/ready").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    msg = f"{url} does not answer after {SECONDS_TO_START} s"
    raise TimeoutError(msg)


@contextmanager
def _session(url: str) -> Iterator[httpx.Client]:
    """The REST API as the first user, who has no password."""
    with httpx.Client(base_url=f"{url}/api/v1", timeout=120) as session:
        told = session.post("/login", data={"username": "default", "password": ""}).raise_for_status().json()
        session.headers["Authorization"] = f"Bearer {told['access_token']}"
        yield session


def _key(url: str) -> str:
    with _session(url) as session:
        account = session.post("/service_accounts", json={"name": "tests", "active": True}).raise_for_status().json()
        made = session.post(f"/service_accounts/{account['id']}/api_keys", json={"name": "tests"}).raise_for_status()
        return str(made.json()["body"]["key"])
