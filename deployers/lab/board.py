"""A virtual board with a hub's end of its link: for trials of one model on one board.

    with VirtualBoard("mps2_an500", key=key, state_folder=folder, public_key=point) as board:
        board.install(image)
        forecasts = board.feed([Reading(time_ms, microcelsius), ...])

Ports are free ones that the lab listens on itself and the board connects to, so nothing is raced for. Every wait is
bounded, and leaving the block ends the process.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Self

from deployers.lab.blocking import BlockingLink, BlockingListener
from deployers.lab.firmware import provision
from deployers.lab.process import START_SECONDS, BoardProcess
from deployers.lab.programs import LabError
from deployers.link import LinkError
from deployers.protocol.messages import KEY_BYTES, Forecast, Reading, SlotState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from deployers.keeping import Counters

FEED_SECONDS = 180.0


class Diary:
    """Keeps what a board sends, in memory: each reading and forecast once."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.readings: dict[int, Reading] = {}
        self.forecasts: dict[int, Forecast] = {}
        self.shadows: dict[int, Forecast] = {}  # those of a challenger

    async def keep_readings(self, board: str, first: int, readings: tuple[Reading, ...]) -> None:
        """Called by the link."""
        del board
        with self.changed:
            self.readings.update(enumerate(readings, first))
            self.changed.notify_all()

    async def keep_forecast(self, board: str, forecast: Forecast) -> None:
        """Called by the link."""
        del board
        with self.changed:
            kept = self.shadows if forecast.slot_state is SlotState.SHADOW else self.forecasts
            kept[forecast.reading] = forecast
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

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            provision(self._folder, self._key, self._public_key)
            self._listener = stack.enter_context(BlockingListener({self.name: self._key}.get, self.diary))
            process = BoardProcess(self.kind, self.name, self._folder, self._listener.port, test_ms=self._test_ms)
            self._process = stack.enter_context(process)
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
        self._process.power_on()
        try:
            self._listener.wait_for(self.name, START_SECONDS)
        except LinkError as error:
            raise self._process.failure(str(error)) from error

    def power_off(self) -> None:
        """End the board's process at once, as a power cut does."""
        self._process.power_off()
        self._listener.drop(self.name)

    @property
    def link(self) -> BlockingLink:
        """The open link; waits for the board to connect again if it has just restarted.

        Raises:
            LinkLostError: it did not.
        """
        return self._listener.wait_for(self.name, START_SECONDS)

    @property
    def counters(self) -> Counters:
        """What the link has carried since this was entered."""
        return self._listener.counters(self.name)

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
        """Go back from the version that is in test, and wait until the board is back."""
        link = self.link
        link.revert(link.status().model_version)
        self._listener.wait_for(self.name, START_SECONDS, other_than=link)

    def send(self, readings: Iterable[Reading]) -> int:
        """Write readings to the board's sensor line; returns how many, without waiting for them."""
        return self._process.send(readings)

    def sensor_text(self, text: str) -> None:
        """Write anything to the board's sensor line.

        Raises:
            LabError: the board is off.
        """
        self._process.sensor_text(text)

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

    def log_end(self) -> str:
        """The last that the board printed; the whole is in `board.log`, for as long as its folder is there."""
        return self._process.log_end()
