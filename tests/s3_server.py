"""A real S3 server for tests: Ceph's RADOS Gateway, one monitor and one disk in memory, from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.programs import free_port, running
from tests.servers import is_served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool", "radosgw", "radosgw-admin")
SECONDS = 240
SETTINGS = """
[global]
fsid = {fsid}
mon host = {monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {folder}/keyring
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
mon allow pool size one = true
osd objectstore = memstore
memstore device bytes = 4294967296
run dir = {folder}
crash dir = {folder}
log to stderr = true
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
rgw frontends = beast endpoint={host}:{port}
rgw thread pool size = 32
"""


@dataclass(frozen=True)
class S3Server:
    """Where it answers, and how its users are made."""

    endpoint: str
    settings: Path

    def user(self, name: str) -> dict[str, str]:
        """A new user without buckets; gives the environment that the AWS tools read."""
        key, secret = name.upper(), uuid.uuid4().hex
        words = ["user", "create", f"--uid={name}", f"--display-name={name}"]
        _do("radosgw-admin", "-c", str(self.settings), *words, f"--access-key={key}", f"--secret-key={secret}")
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}

    def client(self, user: dict[str, str]) -> Any:
        """boto3's client for one user."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1",
            aws_access_key_id=user["AWS_ACCESS_KEY_ID"], aws_secret_access_key=user["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip


@contextmanager
def s3_server(host: str = "127.0.0.1") -> Iterator[S3Server]:
    """The server at an address of this machine, to the end of the block; what it held is gone then."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.fail(f"{', '.join(missing)} not found: apt-get install radosgw ceph-mon ceph-osd ceph-common")
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-s3-"))
    monitor, port = f"[v2:127.0.0.1:{free_port()},v1:127.0.0.1:{free_port()}]", free_port()
    identity, settings = str(uuid.uuid4()), folder / "ceph.conf"
    settings.write_text(SETTINGS.format(fsid=identity, monitor=monitor, folder=folder, host=host, port=port))
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    try:
        with ExitStack() as servers:
            _monitor(servers, folder, identity, monitor)
            _memory(servers, folder)
            url = f"http://{host}:{port}"
            servers.enter_context(_program(folder, "radosgw", "-n", "client.admin", ready=lambda: is_served(url)))
            yield S3Server(url, settings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _monitor(servers: ExitStack, folder: Path, identity: str, address: str) -> None:
    keyring, everything = str(folder / "keyring"), ["--cap", "mon", "allow *", "--cap", "osd", "allow *"]
    for who, caps in (("mon.", everything[:3]), ("client.admin", everything), ("osd.0", everything)):
        new = [] if (folder / "keyring").exists() else ["--create-keyring"]
        _do("ceph-authtool", keyring, *new, "--gen-key", "-n", who, *caps)
    places = str(folder / "monitors")
    _do("monmaptool", "--create", "--fsid", identity, "--addv", "a", address, places)
    options = ["--id", "a", "--public-addrv", address]
    _do("ceph-mon", "-c", str(folder / "ceph.conf"), *options, "--mkfs", "--monmap", places, "--keyring", keyring)
    servers.enter_context(_program(folder, "ceph-mon", *options))


def _memory(servers: ExitStack, folder: Path) -> None:
    settings = str(folder / "ceph.conf")
    _do("ceph", "-c", settings, "osd", "create")
    _do("ceph-osd", "-c", settings, "--id", "0", "--mkfs")
    servers.enter_context(_program(folder, "ceph-osd", "--id", "0"))


def _program(
    folder: Path, program: str, *options: str, ready: Callable[[], bool] = lambda: True
) -> AbstractContextManager[Any]:
    command = [program, "-c", str(folder / "ceph.conf"), *options, "-f"]
    return running(command, folder / f"{program}.out", ready)


def _do(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=dict(os.environ))
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"
    return done.stdout
