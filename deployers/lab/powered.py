"""A virtual board that is left switched on: it is started again when it ends, and fed by a sensor."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployers.lab.feeder import HEADERS_BYTES, Feeder, Ring
from deployers.lab.firmware import provision
from deployers.lab.process import BoardProcess, sensor_line
from deployers.lab.programs import LabError
from deployers.protocol.files import write_whole
from deployers.protocol.messages import KEY_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from deployers.lab.feeder import Course

RESTART_SECONDS = 1.0
RESTART_SECONDS_MAX = 30.0
# Who runs so long has started well; the pause before the next start is short again.
SOUND_SECONDS = 20.0


def link_key(file: Path) -> bytes:
    """The 32 bytes that a board and the hub share; made if the file is missing.

    Raises:
        LabError: the file has another length.
    """
    if not file.exists():
        write_whole(file, secrets.token_bytes(KEY_BYTES), 0o600)
    key = file.read_bytes()
    if len(key) != KEY_BYTES:
        msg = f"link key {str(file)!r} has {len(key)!r} bytes, expected {KEY_BYTES}: python -m deployers.lab up --fresh"
        raise LabError(msg)
    return key


@dataclass(frozen=True)
class Supply:
    """What a board is delivered with.

    Attributes:
        name: its id.
        number: from 0 on.
        kind: "native" or "mps2_an500".
        folder: its own.
        key: of its link.
        public_key: by which it verifies images.
        hub_port: where it looks for the hub.
        hub_host: address of the hub; this machine if None.
    """

    name: str
    number: int
    kind: str
    folder: Path
    key: bytes
    public_key: bytes
    hub_port: int
    hub_host: str | None = None


class PoweredBoard:
    """One board.

    Args:
        supply: what it is delivered with.
        course: what its sensor measures.
        speed: seconds of the data in one second.
        now: seconds, from the clock that `turn` is given.
        pause_max: seconds before one that ends again and again is started again.
    """

    def __init__(
        self, supply: Supply, course: Course, speed: float, now: float, pause_max: float = RESTART_SECONDS_MAX
    ) -> None:
        self.supply, self.starts, self._pause_max = supply, 0, pause_max
        provision(supply.folder, supply.key, supply.public_key)
        self._board = BoardProcess(
            supply.kind, supply.name, supply.folder, supply.hub_port, hub_host=supply.hub_host
        ).__enter__()
        self._unsent = b""
        self._started, self._start_due, self._pause = now, now, RESTART_SECONDS
        self._feeder = Feeder(course, supply.number, speed, self.ring, now)

    @property
    def pids(self) -> list[int]:
        """Its process, if it runs."""
        return [] if self._board.pid is None else [self._board.pid]

    def ring(self) -> Ring | None:
        """What its ring of readings says now."""
        try:
            with (self.supply.folder / "ring.bin").open("rb") as ring:
                return Ring.decode(ring.read(HEADERS_BYTES))
        except FileNotFoundError:
            return None

    def turn(self, now: float) -> None:
        """Start it if it is off, give it what is due."""
        if self.pids and not self._board.is_running:
            self._on_end(now)
        if not self.pids:
            if now >= self._start_due:
                self._board.start()
                self.starts, self._started = self.starts + 1, now
        elif self._board.has_line:
            self._feed(now)
        elif self._board.take_line():
            self._unsent = b""
            self._feeder.begin(now)

    def close(self) -> None:
        """Switch it off."""
        self._board.__exit__()

    def as_dict(self) -> dict[str, Any]:
        """What is said of it."""
        ring = self.ring() or Ring(0, 0, 0, 0)
        return {
            "id": self.supply.name,
            "kind": self.supply.kind,
            "pid": self._board.pid,
            "starts": self.starts,
            "readings": ring.next,
            "acknowledged": ring.acknowledged,
            "dropped": ring.dropped,
            "holding": self._feeder.is_holding,
            "log": self.log_end(),
        }

    def log_end(self) -> str:
        """The last that it printed."""
        return self._board.log_end()

    def _on_end(self, now: float) -> None:
        self._board.power_off()
        sound = now - self._started >= SOUND_SECONDS
        self._pause = RESTART_SECONDS if sound else min(2 * self._pause, self._pause_max)
        self._start_due = now + self._pause

    def _feed(self, now: float) -> None:
        if not self._unsent:
            self._unsent = "".join(map(sensor_line, self._feeder.due(now))).encode()
        self._unsent = self._unsent[self._board.offer(self._unsent) :]
