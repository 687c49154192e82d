"""A virtual board's process: the firmware as a program of this machine, or on QEMU's Cortex-M7, and its sensor line.

    with BoardProcess("native", "board-1", folder, hub_port) as board:
        board.power_on()
        board.send([Reading(time_ms, microcelsius), ...])

The sensor's port is a free one that is listened on here, so nothing is raced for. Who may not wait starts the board,
takes its line and offers it bytes, each of which returns at once.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self

from deployers.lab.firmware import board_command, build
from deployers.lab.programs import LabError, end_of
from deployers.processes import bound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from deployers.protocol.messages import Reading

# Only a failure takes so long: the machine may be busy with other things.
START_SECONDS = 60.0
STOP_SECONDS = 60.0
_POLL_SECONDS = 0.01


class BoardProcess:
    """One board; leaving the block ends it.

    Args:
        kind: "native" or "mps2_an500".
        name: the board's id.
        folder: what outlives a restart; provisioned (`firmware.provision`).
        hub_port: where it looks for the hub.
        hub_host: address of the hub; this machine if None.
        test_ms: how long an image may be in test before the board reverts it.
    """

    def __init__(  # noqa: PLR0913 - each is a property of the board
        self,
        kind: str,
        name: str,
        folder: Path,
        hub_port: int,
        *,
        hub_host: str | None = None,
        test_ms: int = 3_600_000,
    ) -> None:
        self.kind, self.name, self.hub_port = kind, name, hub_port
        self._folder, self._hub_host, self._test_ms = folder, hub_host, test_ms
        self._process: subprocess.Popen[bytes] | None = None
        self._sensor: socket.socket | None = None

    def __enter__(self) -> Self:
        self._program = build(self.kind)
        self._sensor_socket = socket.create_server(("127.0.0.1", 0))
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off()
        self._sensor_socket.close()

    @property
    def pid(self) -> int | None:
        """Its process, from its start until `power_off`."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def has_line(self) -> bool:
        """It has opened its sensor line."""
        return self._sensor is not None

    def power_on(self) -> None:
        """Start the board and wait for its sensor line.

        Raises:
            LabError: it ended, or did not open the line in time.
        """
        self.start()
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.is_running:
            if self.take_line(_POLL_SECONDS):
                return
        msg = "it did not open its sensor line"
        raise self.failure(msg)

    def start(self) -> None:
        """Start the board, without waiting for anything."""
        with (self._folder / "board.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program
                bound(self._command(), os.getpid()), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )

    def take_line(self, seconds: float = 0.0) -> bool:
        """The sensor line, if the board opens it within so many seconds; says whether it has."""
        self._sensor_socket.settimeout(seconds)
        try:
            self._sensor, _ = self._sensor_socket.accept()
        except (TimeoutError, BlockingIOError, ConnectionAbortedError):
            return False
        self._sensor.setblocking(True)  # noqa: FBT003 - its only argument
        return True

    def power_off(self) -> None:
        """End the process at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._process = None
        self._hang_up()

    def send(self, readings: Iterable[Reading]) -> int:
        """Write readings to the board's sensor line; returns how many, without waiting for them."""
        lines = [sensor_line(reading) for reading in readings]
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

    def offer(self, data: bytes) -> int:
        """Write as much to the sensor line as it takes now; returns how many bytes. One that has ended takes none."""
        if self._sensor is None:
            return 0
        try:
            return self._sensor.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:  # the board has ended, or is about to
            self._hang_up()
            return 0

    def failure(self, what: str) -> LabError:
        """The board is ended; an error with what it printed."""
        self.power_off()
        return LabError(
            f"the {self.kind} board did not start ({what}), it printed {self.log_end()!r}: mend what it names"
        )

    def log_end(self) -> str:
        """The last that the board printed; the whole is in `board.log`, for as long as its folder is there."""
        return end_of(self._folder / "board.log")

    def _command(self) -> list[str]:
        return board_command(
            self.kind,
            self._program,
            self.name,
            hub_port=self.hub_port,
            hub_host=self._hub_host,
            sensor_port=self._sensor_socket.getsockname()[1],
            test_ms=self._test_ms,
        )

    def _hang_up(self) -> None:
        if self._sensor is not None:
            self._sensor.close()
            self._sensor = None


def sensor_line(reading: Reading) -> str:
    """A reading as a sensor writes it."""
    return f"{reading.time_ms},{reading.microcelsius}\n"
