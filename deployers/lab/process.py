"""A virtual board's process: the firmware as a program of this machine, or on QEMU's Cortex-M7, and its sensor line.

    with BoardProcess("native", "board-1", folder, hub_port) as board:
        board.power_on()
        board.send([Reading(time_ms, microcelsius), ...])

The sensor's port is a free one that is listened on here, so nothing is raced for.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self

from deployers.lab.firmware import LabError, board_command, build
from deployers.processes import bound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from deployers.protocol.messages import Reading

# Only a failure takes so long: the machine may be busy with other things.
START_SECONDS = 60.0
STOP_SECONDS = 60.0
LOG_CHARACTERS = 500
_POLL_SECONDS = 0.01


class BoardProcess:
    """One board; leaving the block ends it.

    Args:
        kind: "native" or "mps2_an500".
        name: the board's id.
        folder: what outlives a restart; provisioned (`firmware.provision`).
        hub_port: of the hub on this machine.
        test_ms: how long an image may be in test before the board reverts it.
    """

    def __init__(self, kind: str, name: str, folder: Path, hub_port: int, test_ms: int = 3_600_000) -> None:
        self.kind, self.name, self.hub_port = kind, name, hub_port
        self._folder, self._test_ms = folder, test_ms
        self._process: subprocess.Popen[bytes] | None = None
        self._sensor: socket.socket | None = None

    def __enter__(self) -> Self:
        self._program = build(self.kind)
        self._sensor_socket = socket.create_server(("127.0.0.1", 0))
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off()
        self._sensor_socket.close()

    def power_on(self) -> None:
        """Start the board and wait for its sensor line.

        Raises:
            LabError: it ended, or did not open the line in time.
        """
        with (self._folder / "board.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program
                bound(self._command(), os.getpid()), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )
        self._sensor = self._accept_sensor()

    def power_off(self) -> None:
        """End the process at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._process = None
        if self._sensor is not None:
            self._sensor.close()
            self._sensor = None

    def send(self, readings: Iterable[Reading]) -> int:
        """Write readings to the board's sensor line; returns how many, without waiting for them."""
        lines = [f"{reading.time_ms},{reading.microcelsius}\n" for reading in readings]
        self.sensor_text("".join(lines))
        return len(lines)

    def sensor_text(self, text: str) -> None:
        """Write anything to the board's sensor line.

        Raises:
            LabError: the board is off.
        """
        if self._sensor is None:
            msg = f"board {self.name!r} is off: power_on() it first"
            raise LabError(msg)
        self._sensor.sendall(text.encode())

    def failure(self, what: str) -> LabError:
        """The board is ended; an error with what it printed."""
        self.power_off()
        return LabError(
            f"the {self.kind} board did not start ({what}), it printed {self.log_end()!r}: mend what it names"
        )

    def log_end(self) -> str:
        """The last that the board printed; the whole is in `board.log`, for as long as its folder is there."""
        return (self._folder / "board.log").read_text(encoding="utf-8", errors="replace").strip()[-LOG_CHARACTERS:]

    def _command(self) -> list[str]:
        port = self._sensor_socket.getsockname()[1]
        return board_command(
            self.kind, self._program, self.name, hub_port=self.hub_port, sensor_port=port, test_ms=self._test_ms
        )

    def _accept_sensor(self) -> socket.socket:
        end = time.monotonic() + START_SECONDS
        self._sensor_socket.settimeout(_POLL_SECONDS)
        while time.monotonic() < end and self._process is not None and self._process.poll() is None:
            with contextlib.suppress(TimeoutError):
                connection, _ = self._sensor_socket.accept()
                return connection
        msg = "it did not open its sensor line"
        raise self.failure(msg)
