"""A virtual board that is left switched on: its process, which is started again when it ends, and its sensor line."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployers.lab.feeder import HEADERS_BYTES, Feeder, Ring
from deployers.lab.firmware import LabError, board_command, build, provision
from deployers.processes import bound
from deployers.protocol.messages import KEY_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from deployers.lab.feeder import Course

RESTART_SECONDS = 1.0
RESTART_SECONDS_MAX = 30.0
# Who runs so long has started well; the pause before the next start is short again.
SOUND_SECONDS = 20.0
LOG_CHARACTERS = 500


def link_key(file: Path) -> bytes:
    """The 32 bytes that a board and the hub share; made if the file is missing.

    Raises:
        LabError: the file has another length.
    """
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(secrets.token_bytes(KEY_BYTES))
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
        self._program = build(supply.kind)
        self._sensor_socket = socket.create_server(("127.0.0.1", 0))
        self._sensor_socket.setblocking(False)  # noqa: FBT003 - its only argument
        self._sensor: socket.socket | None = None
        self._unsent = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._started, self._start_due, self._pause = now, now, RESTART_SECONDS
        self._feeder = Feeder(course, supply.number, speed, self.ring, now)

    @property
    def pids(self) -> list[int]:
        """Its process, if it runs."""
        return [] if self._process is None else [self._process.pid]

    def ring(self) -> Ring | None:
        """What its ring of readings says now."""
        try:
            with (self.supply.folder / "ring.bin").open("rb") as ring:
                return Ring.decode(ring.read(HEADERS_BYTES))
        except FileNotFoundError:
            return None

    def turn(self, now: float) -> None:
        """Start it if it is off, give it what is due."""
        if self._process is not None and self._process.poll() is not None:
            self._on_end(now)
        if self._process is None:
            if now >= self._start_due:
                self._start(now)
            return
        if self._sensor is None:
            self._accept(now)
        else:
            self._feed(now)

    def close(self) -> None:
        """Switch it off."""
        self._hang_up()
        self._sensor_socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def as_dict(self) -> dict[str, Any]:
        """What is said of it."""
        ring = self.ring() or Ring(0, 0, 0, 0)
        return {
            "id": self.supply.name,
            "kind": self.supply.kind,
            "pid": self.pids[0] if self.pids else None,
            "starts": self.starts,
            "readings": ring.next,
            "acknowledged": ring.acknowledged,
            "dropped": ring.dropped,
            "holding": self._feeder.is_holding,
            "log": self.log_end(),
        }

    def log_end(self) -> str:
        """The last that it printed."""
        try:
            text = (self.supply.folder / "board.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return text.strip()[-LOG_CHARACTERS:]

    def _start(self, now: float) -> None:
        supply, port = self.supply, self._sensor_socket.getsockname()[1]
        command = board_command(
            supply.kind,
            self._program,
            supply.name,
            hub_port=supply.hub_port,
            hub_host=supply.hub_host,
            sensor_port=port,
        )
        with (supply.folder / "board.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program
                bound(command, os.getpid()), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=supply.folder
            )
        self.starts += 1
        self._started = now

    def _on_end(self, now: float) -> None:
        self._hang_up()
        self._process = None
        sound = now - self._started >= SOUND_SECONDS
        self._pause = RESTART_SECONDS if sound else min(2 * self._pause, self._pause_max)
        self._start_due = now + self._pause

    def _accept(self, now: float) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            self._sensor, _ = self._sensor_socket.accept()
            self._sensor.setblocking(False)  # noqa: FBT003
            self._feeder.begin(now)

    def _feed(self, now: float) -> None:
        if not self._unsent:
            lines = [f"{reading.time_ms},{reading.microcelsius}\n" for reading in self._feeder.due(now)]
            self._unsent = "".join(lines).encode()
        if self._unsent and self._sensor is not None:
            try:
                self._unsent = self._unsent[self._sensor.send(self._unsent) :]
            except BlockingIOError:
                return
            except OSError:  # it has ended, or is about to
                self._hang_up()

    def _hang_up(self) -> None:
        self._unsent = b""
        if self._sensor is not None:
            self._sensor.close()
            self._sensor = None
