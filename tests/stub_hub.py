"""A hub that is none, and a Python that installs nothing: setup's own work in a second instead of half a minute."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deployers.waiting
from deployers.bundle import Bundle, make_bundle
from deployers.execute import Nobody
from deployers.inventory import Jetson
from deployers.journal import Journal
from deployers.protocol.signature import generate_keys
from deployers.site_setup import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployers.connectors.base import Connector

PYTHON = """#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && ln -sf {own} "$3/bin/python" && exit ;;
"-m pip") exit 0 ;;
"-m compileall") exit 0 ;;
"-c import fastapi"*) exit 0 ;;
esac
exec {real} -S "$@"
"""
HUB = """
import os, sys, tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
command, config = sys.argv[1], sys.argv[3]
with open(config, "rb") as stream:
    settings = tomllib.load(stream)
root = settings["root"]
if command == "settings":
    sys.exit(2 if "colour" in settings["rest"] else 0)
if command == "token":
    for path in (root + "/config/tokens.toml", sys.argv[-1]):
        with open(path, "w") as stream:
            os.chmod(path, 0o600)
            stream.write("x")
    sys.exit(0)
assert command == "supervise", command
if os.path.exists(root + "/broken"):
    sys.exit("error: it is broken")
with open(root + "/run/supervisor.pid", "w") as stream:
    stream.write(str(os.getpid()))
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
HTTPServer(("127.0.0.1", settings["rest"]["port"]), Answer).serve_forever()
"""


@dataclass
class Bench:
    """A Jetson on this machine, to be set up with the stub."""

    folder: Path
    bundle: Bundle
    signer: bytes
    port: int

    @property
    def root(self) -> Path:
        return self.folder / "jetson"

    def jetson(self, **changes: Any) -> Jetson:
        """Its entry."""
        fields = {"name": "kitchen", "connection": "local", "user": getpass.getuser(), "account": getpass.getuser()}
        fields |= {"service": "supervise", "root": str(self.root), "python": str(self.folder / "python")}
        return Jetson.model_validate({**fields, "rest_port": self.port, **changes})

    def shop(self, opened: Callable[[Jetson], Connector] | None = None) -> Workshop:
        """What sets it up."""
        journal = Journal.create(self.folder / "journal", "setup")
        locks, cache = self.folder / "locks", self.folder / "cache"
        more = {} if opened is None else {"opened": opened}
        return Workshop(self.bundle, self.signer, journal, Nobody(), cache, locks=locks, **more)  # type: ignore[arg-type]

    def end(self) -> None:
        """End the hub, if one runs."""
        pid_file = self.root / "run" / "supervisor.pid"
        pid = int(pid_file.read_text() or 0) if pid_file.exists() else 0
        if pid and b"deployers.hub" in _command_line(pid):
            os.kill(pid, signal.SIGKILL)

    def clear(self) -> None:
        """Back to a bare machine."""
        self.end()
        shutil.rmtree(self.root, ignore_errors=True)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def make_bench(folder: Path) -> Bench:
    """Everything that it needs, in a folder."""
    package = folder / "stub" / "deployers"
    (package / "hub").mkdir(parents=True)
    for name, text in (("__init__.py", ""), ("hub/__init__.py", ""), ("hub/__main__.py", HUB)):
        (package / name).write_text(text)
    shutil.copyfile(deployers.waiting.__file__, package / "waiting.py")
    (folder / "python").write_text(PYTHON.format(own=folder / "python", real=sys.executable))
    (folder / "python").chmod(0o755)
    (folder / "locks").mkdir()
    for name in ("hub.txt", "hub-convert.txt"):
        (folder / "locks" / name).write_text(f"idna==3.20 \\\n    --hash=sha256:{'0' * 64}\n")
    signer = generate_keys(folder / "k", folder / "k.pub")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Bench(folder, make_bundle(package, {}), signer, port)
