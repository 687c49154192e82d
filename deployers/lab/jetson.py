"""The virtual Jetson of this machine: an SSH server of its own, a root folder of its own, ports kept for its hub."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deployers.lab.sshd import SshServer

if TYPE_CHECKING:
    from deployers.lab.folder import LabFolder

ADDRESS = "127.0.0.1"


class VirtualJetson(Protocol):
    """What the lab needs of one."""

    @property
    def boards_port(self) -> int:
        """Where its hub listens for boards."""
        ...

    @property
    def boards_host(self) -> str | None:
        """At which address, if it is not this machine's own."""
        ...

    @property
    def root_here(self) -> Path:
        """Its root folder as this machine sees it."""
        ...

    @property
    def pids(self) -> list[int]:
        """Its processes that are children of the daemon."""
        ...

    def inventory(self) -> dict[str, Any]:
        """Its entry in the inventory."""
        ...

    def turn(self) -> None:
        """What is to be done every few milliseconds."""
        ...

    def close(self) -> None:
        """End it, and whatever it changed on this machine."""
        ...


class KeptPort:
    """A free port that nobody else is given, until the hub listens on it.

    It is bound and does not listen: with SO_REUSEADDR on both sides the kernel lets another process of this machine
    listen on it, and gives it to nobody who asks for any free port.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((ADDRESS, 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give it back."""
        self._socket.close()


class NativeJetson:
    """The machine that the lab runs on, by another door.

    Args:
        folder: the lab's.
        mark: the lab's.
    """

    def __init__(self, folder: LabFolder, mark: str) -> None:
        self._server, self.root_here = SshServer(folder, mark), folder.root
        self.boards_host: str | None = None
        self._rest, self._boards = KeptPort(), KeptPort()
        self.boards_port = self._boards.number

    @property
    def pids(self) -> list[int]:
        """Those of its connections."""
        return self._server.pids

    def inventory(self) -> dict[str, Any]:
        """As `deployers.inventory` reads it."""
        return {
            "name": "lab",
            "host": ADDRESS,
            "port": self._server.port,
            "user": self._server.user,
            "key_file": str(self._server.client_key),
            "host_keys": [self._server.fingerprint],
            "root": str(self.root_here),
            "python": own_python(),
            "index": True,
            "convert": False,
            "account": self._server.user,
            "service": "supervise",  # nothing is installed on the machine itself
            "rest_port": self._rest.number,
            "boards_port": self.boards_port,
        }

    def turn(self) -> None:
        """Take who has connected."""
        self._server.turn()

    def close(self) -> None:
        """End its connections."""
        self._server.close()
        self._rest.close()
        self._boards.close()


def own_python() -> str:
    """The interpreter that this environment was made from: the same version, and none of its libraries."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix) / "bin" / name
    return str(base if base.exists() else Path(sys.executable).resolve())


def inventory_text(signing_key: Path, jetson: dict[str, Any], boards: dict[str, Path]) -> str:
    """An inventory file of one Jetson.

    Args:
        signing_key: the deployer's.
        jetson: its entry.
        boards: key file of each board by its id.
    """
    lines = [f"signing_key = {_toml(str(signing_key))}", "", "[[jetson]]"]
    lines += [f"{name} = {_toml(value)}" for name, value in jetson.items()]
    for name, key in boards.items():
        lines += ["", "[[jetson.board]]", f"id = {_toml(name)}", f"key_file = {_toml(str(key))}"]
    return "\n".join([*lines, ""])


def _toml(value: str | float | list[str]) -> str:
    """As JSON writes it, but for two signs: TOML knows no surrogate pairs and takes no DEL as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
