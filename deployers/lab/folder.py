"""The lab's folder: what lies where, how a lab was asked for, and what a running one says of itself.

lab/settings.json   what `up` was asked for
lab/lab.json        what the daemon says of itself, renewed every second while it runs
lab/daemon.log      what it printed; sshd.log is the virtual Jetson's
lab/inventory.toml  for `python -m deployers`
lab/keys/           signing key, keys of the login and of the host, link key of each board
lab/boards/ID/      a board's flash, readings and log
lab/jetson/         the root folder of the virtual Jetson's hub
lab/readings.npz    what the boards are fed
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from deployers.lab.firmware import LabError
from deployers.registry import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG_CHARACTERS = 1500
SETTINGS, STATE = "settings.json", "lab.json"


@dataclass(frozen=True)
class LabSettings:
    """What a lab is made of.

    Attributes:
        mark: by which everything that belongs to this lab is known, in the environment of each process.
        jetson: "native" or "arm64".
        boards: how many.
        board_kind: "mps2_an500" (QEMU's Cortex-M7) or "native" (a program of this machine).
        speed: seconds of the data in one second.
        minutes: after which the lab ends by itself.
    """

    mark: str
    jetson: str = "native"
    boards: int = 1
    board_kind: str = "mps2_an500"
    speed: float = 600.0
    minutes: float = 60.0


@dataclass(frozen=True)
class LabFolder:
    """The folder of the one lab that a home folder has.

    Attributes:
        path: absolute.
    """

    path: Path

    @classmethod
    def from_environment(cls) -> Self:
        """That of EDGELOOP_HOME, or of .edgeloop in the checkout."""
        home = Path(os.environ.get("EDGELOOP_HOME") or CHECKOUT / ".edgeloop").expanduser().resolve()
        return cls(home / "lab")

    @property
    def log(self) -> Path:
        """What the daemon printed."""
        return self.path / "daemon.log"

    @property
    def sshd_log(self) -> Path:
        """What the virtual Jetson's SSH server printed."""
        return self.path / "sshd.log"

    @property
    def inventory(self) -> Path:
        """Written by the daemon once it knows its ports."""
        return self.path / "inventory.toml"

    @property
    def readings(self) -> Path:
        """What the boards are fed."""
        return self.path / "readings.npz"

    @property
    def keys(self) -> Path:
        """Keys of every kind; only their owner may look."""
        return self.path / "keys"

    @property
    def root(self) -> Path:
        """The virtual Jetson's root folder, where it has none of its own."""
        return self.path / "jetson"

    def board(self, name: str) -> Path:
        """The folder of a board."""
        return self.path / "boards" / name

    def make(self) -> None:
        """Make it, closed to others."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.keys.mkdir(mode=0o700, exist_ok=True)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        if self.path.exists():
            shutil.rmtree(self.path)

    def settings(self) -> LabSettings | None:
        """What the last `up` asked for; None if there was none.

        Raises:
            LabError: the file is not as `up` writes it.
        """
        found = self._read(SETTINGS)
        try:
            return None if found is None else LabSettings(**found)
        except TypeError as error:
            raise self._unreadable(SETTINGS, error) from None

    def keep_settings(self, settings: LabSettings) -> None:
        """Write them for the daemon, and for `down`."""
        self._write(SETTINGS, asdict(settings))

    def state(self) -> dict[str, Any] | None:
        """What the daemon last said of itself; None if it has said nothing."""
        return self._read(STATE)

    def keep_state(self, state: dict[str, Any]) -> None:
        """Replace what is said."""
        self._write(STATE, state)

    def forget_state(self) -> None:
        """There is no lab any more."""
        (self.path / STATE).unlink(missing_ok=True)

    def end_of_log(self) -> str:
        """The last that the daemon printed."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").strip()[-LOG_CHARACTERS:]
        except OSError:
            return ""

    def is_held(self) -> bool:
        """Whether a daemon runs: it holds the lock for as long as it lives, however it ends."""
        if not self.path.exists():
            return False
        with (self.path / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock, which a process that is started inside does not inherit.

        Raises:
            LabError: another daemon holds it.
        """
        with (self.path / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                msg = f"another lab runs in {str(self.path)!r}: python -m deployers.lab down"
                raise LabError(msg) from None
            yield

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise self._unreadable(name, error) from None
        if not isinstance(found, dict):
            raise self._unreadable(name, found)
        return found

    def _unreadable(self, name: str, found: object) -> LabError:
        return LabError(f"{str(self.path / name)!r} is not as the lab writes it ({found!r}): remove {str(self.path)!r}")

    def _write(self, name: str, value: dict[str, Any]) -> None:
        part = self.path / f".{name}.part"
        part.write_text(json.dumps(value, indent=1), encoding="utf-8")
        part.replace(self.path / name)
