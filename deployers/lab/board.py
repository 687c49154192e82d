"""A virtual board: the firmware as a program of this machine, or on QEMU's Cortex-M7, with a hub's link to it.

    with VirtualBoard("mps2_an500", key=key, state_folder=folder, public_key=point) as board:
        board.install(image)
        forecasts = board.feed([Reading(time_ms, microcelsius), ...])

Ports are free ones that the lab listens on itself and the board connects to, so nothing is raced for. Every wait is
bounded, and leaving the block ends the process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

from deployers.exceptions import MissingTool
from deployers.lab.firmware import LabError, build
from deployers.link import BoardLink, BoardListener, LinkError
from deployers.processes import bound
from deployers.protocol.messages import KEY_BYTES, Forecast, Reading, SlotState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Only a failure takes so long: the machine may be busy with other things.
START_SECONDS = 60.0
STOP_SECONDS = 60.0
FEED_SECONDS = 180.0
_POLL_SECONDS = 0.01
LOG_CHARACTERS = 500


class Diary:
    """Keeps what a board sends, in memory: each reading and forecast once."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.readings: dict[int, Reading] = {}
        self.forecasts: dict[int, Forecast] = {}

    def keep_readings(self, board: str, first: int, readings: tuple[Reading, ...]) -> None:
        """Called by the link."""
        del board
        with self.changed:
            self.readings.update(enumerate(readings, first))
            self.changed.notify_all()

    def keep_forecast(self, board: str, forecast: Forecast) -> None:
        """Called by the link."""
        del board
        with self.changed:
            self.forecasts[forecast.reading] = forecast
            self.changed.notify_all()

    def wait_for(self, readings: int, seconds: float) -> None:
        """Until so many readings are here.

        Raises:
            LabError: they are not, after `seconds`.
        """
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.readings) >= readings, seconds):
                msg = f"{len(self.readings)!r} readings arrived within {seconds} s, expected {readings}"
                raise LabError(msg)


class VirtualBoard:
    """One board and the hub's end of its link.

    Args:
        kind: "native" or "mps2_an500".
        key: the link's 32-byte key, as provisioned on both sides.
        state_folder: what outlives a restart: flash, readings, keys. Made if missing.
        public_key: the uncompressed P-256 point (65 bytes) by which images are verified.
        name: the board's id.
        test_ms: how long an image may be in test before the board reverts it.
    """

    def __init__(  # noqa: PLR0913 - each is a property of the board
        self,
        kind: str,
        *,
        key: bytes,
        state_folder: Path,
        public_key: bytes = b"",
        name: str = "board-1",
        test_ms: int = 3_600_000,
    ) -> None:
        if len(key) != KEY_BYTES:
            msg = f"link key of {len(key)!r} bytes: expected {KEY_BYTES}"
            raise LabError(msg)
        self.kind, self.name, self.diary = kind, name, Diary()
        self._key, self._public_key, self._folder, self._test_ms = key, public_key, state_folder, test_ms
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / "key.bin").write_bytes(self._key)
            (self._folder / "public_key.bin").write_bytes(self._public_key)
            self._program = build(self.kind)
            self._listener = stack.enter_context(BoardListener({self.name: self._key}.get, self.diary))
            self._sensor_socket = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            self._sensor: socket.socket | None = None
            stack.callback(self.power_off)
            self.power_on()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def power_on(self) -> None:
        """Start the board and wait for its sensor line and its session.

        Raises:
            LabError: it ended, or did not connect in time.
        """
        log = (self._folder / "board.log").open("ab")
        with log:
            command = bound(self._command(), os.getpid())
            # At home in its folder, which need not be named then: QEMU splits settings at commas, the board at spaces.
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )
        self._sensor = self._accept_sensor()
        try:
            self._listener.wait_for(self.name, START_SECONDS)
        except LinkError as error:
            raise self._failure(str(error)) from error

    def power_off(self) -> None:
        """End the board's process at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._process = None
        if self._sensor is not None:
            self._sensor.close()
            self._sensor = None
        link = self._listener.link(self.name)
        if link is not None:
            link.close()

    @property
    def link(self) -> BoardLink:
        """The open link; waits for the board to connect again if it has just restarted.

        Raises:
            LinkLostError: it did not.
        """
        return self._listener.wait_for(self.name, START_SECONDS)

    def install(self, image: bytes) -> None:
        """Transfer an image, have it verified and proven on its golden vectors, and wait until it runs in test.

        Raises:
            LinkRefusedError: the board refused it; the status says why.
            LabError: it did not come up in test.
        """
        link = self.link
        link.transfer(image)
        link.install()
        state = self._listener.wait_for(self.name, START_SECONDS, other_than=link).hello.state
        if state.slot_state is not SlotState.TEST:
            msg = f"the board is back with slot state {state.slot_state.name!r}, expected TEST: {self.link.log()!r}"
            raise LabError(msg)

    def confirm(self) -> None:
        """Confirm the version that runs in test."""
        link = self.link
        link.confirm(link.status().model_version)

    def revert(self) -> None:
        """Go back from the version that runs in test, and wait until the board is back."""
        link = self.link
        link.revert(link.status().model_version)
        self._listener.wait_for(self.name, START_SECONDS, other_than=link)

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
            msg = "the board is off: power_on() it first"
            raise LabError(msg)
        self._sensor.sendall(text.encode())

    def feed(self, readings: Iterable[Reading], seconds: float = FEED_SECONDS) -> list[Forecast]:
        """Give readings to the sensor and wait until all have arrived here; returns the forecasts made at them.

        Raises:
            LabError: they did not arrive in `seconds`.
        """
        before = len(self.diary.readings)
        first = max(self.diary.readings, default=-1) + 1
        try:
            self.diary.wait_for(before + self.send(readings), seconds)
        except LabError as error:
            msg = f"{error}; the {self.kind} board printed {self.log_end()!r}: mend what it names"
            raise LabError(msg) from error
        with self.diary.changed:
            return [forecast for number, forecast in sorted(self.diary.forecasts.items()) if number >= first]

    def _command(self) -> list[str]:
        port = self._sensor_socket.getsockname()[1]
        settings = ["folder=.", f"id={self.name}"]
        settings += [f"port={self._listener.port}", f"test_ms={self._test_ms}"]
        if self.kind == "native":
            return [str(self._program), *settings, f"sensor={port}"]
        qemu = shutil.which("qemu-system-arm")
        if qemu is None:
            msg = "'qemu-system-arm' is missing: install it (Debian: qemu-system-arm)"
            raise MissingTool(msg)
        arguments = ",".join(["enable=on", "target=native", "arg=edgeloop", *(f"arg={word}" for word in settings)])
        machine = ["-M", "mps2-an500", "-display", "none", "-monitor", "none", "-nic", "user,restrict=off"]
        sensor = ["-chardev", f"socket,id=sensor,host=127.0.0.1,port={port}", "-serial", "chardev:sensor"]
        return [qemu, *machine, *sensor, "-semihosting-config", arguments, "-kernel", str(self._program)]

    def _accept_sensor(self) -> socket.socket:
        end = time.monotonic() + START_SECONDS
        self._sensor_socket.settimeout(_POLL_SECONDS)
        while time.monotonic() < end and self._process is not None and self._process.poll() is None:
            with contextlib.suppress(TimeoutError):
                connection, _ = self._sensor_socket.accept()
                return connection
        msg = "it did not open its sensor line"
        raise self._failure(msg)

    def _failure(self, what: str) -> LabError:
        self.power_off()
        return LabError(
            f"the {self.kind} board did not start ({what}), it printed {self.log_end()!r}: mend what it names"
        )

    def log_end(self) -> str:
        """The last that the board printed; the whole is in `board.log`, for as long as its folder is there."""
        return (self._folder / "board.log").read_text(encoding="utf-8", errors="replace").strip()[-LOG_CHARACTERS:]
