"""A hub as a process of its own, with everything a real one has."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS = 30.0
SETTINGS = """
[rest]
port = 0
body_seconds = 1
body_bytes_max = 2048
connections_max = 20
[boards]
port = 0
"""
# The limits of the server are for real clients; a test does not wait so long.
SERVE = """
import sys
from deployers.hub import server
server.Patient.header_seconds = 1.0
server.Patient.header_bytes = 4096
from deployers.hub.__main__ import main
sys.exit(main(["serve", "--config", sys.argv[1]]))
"""


@dataclass
class Served:
    """A hub that runs."""

    root: Path
    settings: str = SETTINGS
    program: str = SERVE
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def config(self) -> Path:
        return self.root / "config" / "hub.toml"

    @property
    def url(self) -> str:
        return (self.root / "run" / "hub.url").read_text(encoding="utf-8")

    @property
    def log(self) -> str:
        return (self.root / "log").read_text(encoding="utf-8")

    def prepare(self) -> None:
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(self.settings, encoding="utf-8")
        ran = run("token", self.config, "--name", "ctl", "--role", "deploy", "--out", "config/ctl.token")
        assert (ran.returncode, ran.stdout) == (0, "")

    def start(self) -> None:
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self.program, str(self.config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until(self.is_up, lambda: self.log)

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.log
        with contextlib.suppress(httpx.TransportError, FileNotFoundError):
            return httpx.get(f"{self.url}/health", verify=False).status_code == 200  # noqa: S501 - its own certificate
        return False

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(SECONDS)

    def headers(self) -> dict[str, str]:
        token = (self.root / "config" / "ctl.token").read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"}

    def connect(self) -> socket.socket:
        host, port = self.url.partition("://")[2].split(":")
        found = socket.create_connection((host, int(port)), timeout=SECONDS)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found


def run(command: str, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "deployers.hub", command, "--config", str(config), *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def until(found: Callable[[], bool], why: Callable[[], str] = str) -> None:
    end = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < end, why()
        time.sleep(0.05)
