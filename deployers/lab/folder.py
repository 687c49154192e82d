"""The lab's folder: what lies where, how a lab was asked for, and what a running one says of itself.

lab/settings.json   what `up` was asked for
lab/lab.json        what the daemon says of itself, renewed every second while it runs
lab/daemon.log      what it printed; sshd.log is the virtual Jetson's
lab/inventory.toml  for `python -m deployers`
lab/keys/           signing key, keys of the login and of the host, link key of each board
lab/boards/ID/      a board's flash, readings and log
lab/jetson/         the root folder of the virtual Jetson's hub
lab/readings.npz    what the boards are fed
lab/lock            held by the daemon; lab.lock beside the folder by `up` and `down`
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from deployers.exceptions import Conflict
from deployers.lab.programs import LabError, end_of
from deployers.locks import is_locked, locked
from deployers.registry import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG_CHARACTERS = 1500
SETTINGS, STATE = "settings.json", "lab.json"
# Who only looks whether a lab is up holds its lock for a moment; who starts one waits for that.
LOOK_SECONDS = 2.0
CHANGE_SECONDS = 60.0
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@contextmanager
def plain_disk_errors() -> Iterator[None]:
    """What the disk refuses, in one line.

    Raises:
        LabError: a file cannot be made, read or written.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno not in NO_ROOM:
            raise
        where = "the disk" if error.filename is None else repr(str(error.filename))
        msg = f"{where} cannot be used ({error.strerror}): check its permissions and free space"
        raise LabError(msg) from None


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
        """Remove it with all that is in it: at once, so that one who is killed meanwhile leaves no half of a disk."""
        gone = self.path.with_name(f".{self.path.name}.removed")
        if gone.exists():  # by one who was
            shutil.rmtree(gone)
        if self.path.exists():
            self.path.rename(gone)
            shutil.rmtree(gone)

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
        """There is no lab any more: nobody need look for one where its inventory says."""
        (self.path / STATE).unlink(missing_ok=True)
        self.inventory.unlink(missing_ok=True)

    def end_of_log(self) -> str:
        """The last that the daemon printed."""
        return end_of(self.log, LOG_CHARACTERS)

    def is_held(self) -> bool:
        """Whether a daemon runs: it holds the lock for as long as it lives, however it ends."""
        return is_locked(self.path / "lock")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for as long as a lab is up.

        Raises:
            LabError: another daemon holds it.
        """
        busy = LabError(f"another lab runs in {str(self.path)!r}: python -m deployers.lab down")
        with locked(self.path / "lock", LOOK_SECONDS, busy):
            yield

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep every other `up` and `down` waiting; the lock lies beside the folder, which both may remove.

        Raises:
            Conflict: another one goes on for too long.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        busy = Conflict(
            f"another `up` or `down` of the lab {str(self.path)!r} goes on, expected its end within "
            f"{CHANGE_SECONDS:g} s: wait for it, or end it with Ctrl-C"
        )
        with locked(self.path.with_name(f"{self.path.name}.lock"), CHANGE_SECONDS, busy):
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
