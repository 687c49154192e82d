"""An SSH server of its own for the virtual Jetson: no root, no account, no port of the machine is touched.

The lab listens itself and starts `sshd -i` for each connection, so the port is the lab's for as long as it lives.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from deployers.lab.marked import VARIABLE
from deployers.lab.programs import find_program, run_program
from deployers.processes import bound
from deployers.protocol.files import NewFile, write_together, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployers.lab.folder import LabFolder

SEPARATION = Path("/run/sshd")  # OpenSSH's, as Debian builds it: root's server gives up its rights in this folder
CHECK_SECONDS = 20.0
PASSED = re.compile(r"PIP_[A-Z_]+|(?i:https?_proxy|all_proxy|no_proxy)|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE")
_BACKLOG = 64


def find_sshd() -> Path:
    """The server's program.

    Raises:
        MissingTool: it is not on this machine.
    """
    need = "the virtual Jetson is reached by it: scripts/install-debian.sh openssh-server"
    return Path(find_program("sshd", need)).resolve()


def write_key(file: Path) -> str:
    """Make an Ed25519 key pair, FILE and FILE.pub, unless it is there; returns its fingerprint."""
    public = file.with_name(file.name + ".pub")
    if not (file.exists() and public.exists()):
        key = ed25519.Ed25519PrivateKey.generate()
        formats = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, *formats)
        openssh = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        line = key.public_key().public_bytes(*openssh) + b"\n"
        write_together(NewFile(file, private, 0o600), NewFile(public, line, 0o644))
    return fingerprint(public.read_text(encoding="ascii"))


def fingerprint(public: str) -> str:
    """SHA256:… of a public key's line."""
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def passed_environment(own: Mapping[str, str]) -> dict[str, str]:
    """What pip needs on this machine to reach an index, which a login would lose."""
    wanted = {name: value for name, value in own.items() if PASSED.fullmatch(name)}
    return {name: value for name, value in wanted.items() if not set(value) & set('"\\\r\n')}


def server_settings(host_key: Path, authorized: Path, user: str, environment: Mapping[str, str]) -> str:
    """The text of an sshd_config: this user alone, by this key alone.

    Args:
        host_key: file of the server's private key.
        authorized: file with the public key of who may log in.
        user: who may.
        environment: given to everything that is started, the lab's mark among it.
    """
    file = str(authorized).replace("%", "%%")
    variables = " ".join(f'"{name}={value}"' for name, value in environment.items())
    return f"""\
HostKey "{host_key}"
AuthorizedKeysFile "{file}"
AllowUsers {user}
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
# The folder may lie below /tmp, whose modes would be refused; it is itself closed to others.
StrictModes no
PidFile none
UseDNS no
PrintMotd no
PrintLastLog no
MaxSessions 100
SetEnv {variables}
Subsystem sftp internal-sftp
"""


class SshServer:
    """Listens on a free loopback port, with a process for each connection.

    Args:
        folder: the lab's.
        mark: the lab's.

    Raises:
        MissingTool: there is no sshd.
        LabError: sshd refuses its settings.
    """

    def __init__(self, folder: LabFolder, mark: str) -> None:
        self._program, self._log = find_sshd(), folder.sshd_log
        self._settings = folder.path / "sshd_config"
        self.user, self.client_key = getpass.getuser(), folder.keys / "client"
        self.fingerprint = write_key(folder.keys / "host")
        write_key(self.client_key)
        environment = {VARIABLE: mark, **passed_environment(os.environ)}
        text = server_settings(folder.keys / "host", folder.keys / "client.pub", self.user, environment)
        write_whole(self._settings, text.encode(), 0o600)
        self._require_sound()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._socket.setblocking(False)  # noqa: FBT003 - its only argument
        self.port: int = self._socket.getsockname()[1]
        self._sessions: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        """Processes of the connections that stand."""
        return [session.pid for session in self._sessions]

    def turn(self) -> None:
        """Take who has connected, and forget who has gone."""
        self._sessions = [session for session in self._sessions if session.poll() is None]
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    self._serve(connection)

    def close(self) -> None:
        """Stop listening and end every connection."""
        self._socket.close()
        for session in self._sessions:
            session.kill()
            session.wait()

    def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(True)  # noqa: FBT003
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        command = bound([str(self._program), "-i", "-e", "-f", str(self._settings)], os.getpid())
        with self._log.open("ab") as log:
            session = subprocess.Popen(  # noqa: S603 - a fixed program
                command, stdin=connection.fileno(), stdout=connection.fileno(), stderr=log, start_new_session=True
            )
        self._sessions.append(session)

    def _require_sound(self) -> None:
        if os.geteuid() == 0:
            SEPARATION.mkdir(mode=0o755, exist_ok=True)
        command = [str(self._program), "-t", "-f", str(self._settings)]
        failure = f"{str(self._program)!r} refuses {str(self._settings)!r}"
        run_program(command, CHECK_SECONDS, failure, "mend what it names")
