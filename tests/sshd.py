"""A real sshd on a loopback port, as an ordinary process of whoever runs the tests."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployers.inventory import Jetson

if TYPE_CHECKING:
    from collections.abc import Iterator

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
CONFIG = """
ListenAddress 127.0.0.1
Port {port}
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
MaxStartups 100
Subsystem sftp internal-sftp
{host_keys}
"""


@dataclass
class Server:
    """A running sshd."""

    folder: Path
    port: int
    fingerprints: dict[str, str]

    def jetson(self, **changes: Any) -> Jetson:
        """An entry that reaches it."""
        fields = {
            "name": "kitchen",
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "key_file": self.folder / "client",
            "host_keys": tuple(self.fingerprints.values()),
            "connect_seconds": 10.0,
        }
        return Jetson.model_validate({**fields, **changes})


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> str:
    """A key pair by ssh-keygen; its fingerprint."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    told = subprocess.run(["ssh-keygen", "-lf", f"{path}.pub"], check=True, capture_output=True, text=True).stdout
    return told.split()[1]


@contextmanager
def running(folder: Path, kinds: tuple[str, ...] = ("ed25519",)) -> Iterator[Server]:
    """Start it, and end it with everything that it started."""
    assert SSHD, "sshd is not installed: scripts/install-debian.sh openssh-server"
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # it insists on this when root starts it
    fingerprints = {kind: make_key(folder / f"host_{kind}", kind) for kind in kinds}
    make_key(folder / "client")
    shutil.copyfile(folder / "client.pub", folder / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keys = "\n".join(f"HostKey {folder}/host_{kind}" for kind in kinds)
    config = folder / "sshd_config"
    config.write_text(CONFIG.format(port=port, folder=folder, host_keys=keys), encoding="utf-8")
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log, start_new_session=True)
    try:
        _answers(port, process)
        yield Server(folder, port, fingerprints)
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "sshd ended at once"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    msg = "sshd does not answer"
    raise AssertionError(msg)
