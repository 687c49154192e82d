"""The sensor of a virtual board: readings from a file, one after the other at the cadence of the data, sped up.

Which reading comes next is read from the board's own ring of readings, so none is lost or given twice however the
board ends and starts again.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from zipfile import BadZipFile

import numpy as np

from deployers.conversion.stream import MICRODEGREES
from deployers.exceptions import ReleaseError
from deployers.lab.programs import LabError
from deployers.protocol.messages import Reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

# Two headers, of which the sound one with more writes counts (firmware/core/ring/ring.c).
_HEADER = struct.Struct("<8I")
HEADERS_BYTES = 2 * _HEADER.size
MAGIC = 0x676E6952
# Readings on their way into a board: a sensor line holds few.
LINE_READINGS = 8
# Readings that must reach the hub before a board is given more: below what its ring holds, none is overwritten unsent.
RING_SHARE = 0.9
# After a hold the sensor does not make up for more time than this.
LATE_SECONDS = 1.0
# Successive boards stand in successive rooms: a little later and a step of the sensor warmer.
SHIFT_MS = 7_000
STEP_MICRODEGREES = 62_500
DAY_SECONDS = 86_400
SIMULATED_DAYS = 30
# What numpy, zipfile and json raise at bytes of any kind; the last three at zip files of kinds they do not know.
UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, NotImplementedError, RuntimeError, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Ring:
    """What a board's ring of readings says of itself.

    Attributes:
        capacity: readings that it holds.
        acknowledged: the first that the hub does not have.
        next: the number that the next reading gets.
        dropped: overwritten before the hub had them.
    """

    capacity: int
    acknowledged: int
    next: int
    dropped: int

    @classmethod
    def decode(cls, headers: bytes) -> Self | None:
        """The ring whose file begins like this; None if neither header is sound."""
        found = None
        for offset in range(0, len(headers) - _HEADER.size + 1, _HEADER.size):
            part = headers[offset : offset + _HEADER.size]
            magic, capacity, _, acknowledged, following, dropped, writes, check = _HEADER.unpack(part)
            if magic != MAGIC or check != zlib.crc32(part[:-4]):
                continue
            if found is None or ((writes - found[0]) & 0xFFFFFFFF) < 1 << 31:
                found = writes, cls(capacity, acknowledged, following, dropped)
        return found[1] if found else None


EMPTY = Ring(LINE_READINGS * 4, 0, 0, 0)


@dataclass(frozen=True)
class Course:
    """Readings over time, given over and over.

    Attributes:
        times: ms since 1970, rising, `(readings,)`.
        microcelsius: `(readings,)`.
        cadence_seconds: between two of them, as a rule.
        source: what they are, for people.

    Raises:
        ValueError: it is something else.
    """

    times: NDArray[np.int64]
    microcelsius: NDArray[np.int64]
    cadence_seconds: float
    source: str

    def __post_init__(self) -> None:
        for column in (self.times, self.microcelsius):
            if column.dtype != np.int64 or column.ndim != 1 or len(column) == 0:
                msg = f"column of {column.dtype} in shape {column.shape!r}, expected int64 and one or more readings"
                raise ValueError(msg)
        if len(self.times) != len(self.microcelsius) or (np.diff(self.times) <= 0).any():
            msg = f"{len(self.times)!r} times and {len(self.microcelsius)!r} values, expected as many, and times rising"
            raise ValueError(msg)
        if not 0 < self.cadence_seconds < math.inf:
            msg = f"cadence of {self.cadence_seconds!r} s, expected more than none"
            raise ValueError(msg)

    def reading(self, number: int, board: int = 0) -> Reading:
        """The reading that a board gets by its number in the board's ring.

        Args:
            number: from 0 on; after the last it begins anew, later.
            board: the board's number from 0 on.
        """
        times, at = divmod(number, len(self.times))
        length = int(self.times[-1] - self.times[0]) + round(self.cadence_seconds * 1000)
        time_ms = int(self.times[at]) + times * length + board * SHIFT_MS
        return Reading(time_ms, int(self.microcelsius[at]) + board * STEP_MICRODEGREES)

    def write(self, file: Path) -> None:
        """Keep it for the daemon."""
        part = file.with_name(f".{file.name}")
        about = json.dumps({"cadence_seconds": self.cadence_seconds, "source": self.source})
        with part.open("wb") as opened:
            np.savez(opened, times=self.times, microcelsius=self.microcelsius, about=np.array(about))
        part.replace(file)

    @classmethod
    def read(cls, file: Path) -> Self:
        """What `write` kept.

        Raises:
            LabError: it is not there, or something else.
        """
        try:
            with file.open("rb") as opened, np.load(opened) as stored:
                about: dict[str, Any] = json.loads(str(stored["about"]))
                return cls(stored["times"], stored["microcelsius"], **about)
        except UNREADABLE as error:
            msg = (
                f"readings {str(file)!r} cannot be used ({error}): python -m deployers.lab up --fresh writes them anew"
            )
            raise LabError(msg) from None


def course_of_release(release: Path, name: str) -> Course:
    """All measured readings of a release's test part: what no training has seen.

    Raises:
        ReleaseError: the release has no test part, or one without readings.
    """
    stored = part_for_tests(release, name)
    measured = ~stored["filled"]
    times, values = stored["time"][measured] // 1000, stored["value"][measured]
    if len(times) < 2:
        msg = f"the test part of release {name!r} has {len(times)!r} measured readings, expected 2 or more: train again"
        raise ReleaseError(msg)
    program = json.loads((release / "features.json").read_text(encoding="utf-8"))["program"]
    microcelsius = np.round(values * MICRODEGREES).astype(np.int64)
    return Course(times.astype(np.int64), microcelsius, float(program["cadence_seconds"]), f"test part of {name}")


def part_for_tests(release: Path, name: str) -> dict[str, NDArray[Any]]:
    """The columns of a release's test part: time in µs since 1970, value in °C, segment, filled; `(readings,)` each.

    Raises:
        ReleaseError: the release has none.
    """
    if not (release / "test.npz").exists():
        msg = f"release {name!r} has no test.npz, it was written by an earlier edgeloop: train again"
        raise ReleaseError(msg)
    with np.load(release / "test.npz") as stored:
        return {column: stored[column] for column in ("time", "value", "segment", "filled")}


def simulated_course(cadence_seconds: int = 600, start_ms: int = 1_704_067_200_000) -> Course:
    """Days of a room, in steps of a DS18B20 (1/16 °C): the sun's curve, another from day to day, a radiator's saw."""
    seconds = np.arange(SIMULATED_DAYS * DAY_SECONDS // cadence_seconds) * cadence_seconds
    day = 2 * math.pi * seconds / DAY_SECONDS
    celsius = 20.5 + 1.8 * np.sin(day - 2.2) + 0.7 * np.sin(day / 5.3) + 0.3 * np.abs((seconds / 5400) % 2 - 1)
    steps = np.round(celsius * 16).astype(np.int64)
    times = start_ms + seconds.astype(np.int64) * 1000
    return Course(times, steps * STEP_MICRODEGREES, float(cadence_seconds), f"simulated room, {SIMULATED_DAYS} days")


class Feeder:
    """Gives one board its readings in time, and no sooner than it takes them.

    Args:
        course: the readings.
        board: the board's number from 0 on.
        speed: seconds of the data in one second.
        ring: what the board's ring says now; None before it has one.
        now: seconds, from any clock that does not go back.
    """

    def __init__(
        self, course: Course, board: int, speed: float, ring: Callable[[], Ring | None], now: float = 0.0
    ) -> None:
        self._course, self._board, self._ring = course, board, ring
        self._interval = course.cadence_seconds / speed
        self._due, self._given = now, -1
        self.is_holding = False

    @property
    def taken(self) -> Ring:
        """What the board has taken."""
        return self._ring() or EMPTY

    def begin(self, now: float) -> None:
        """The board has started: it goes on with what its ring lacks."""
        self._given, self._due = self.taken.next, max(self._due, now)

    def due(self, now: float) -> list[Reading]:
        """The readings to be given now."""
        ring = self.taken
        room = LINE_READINGS - (self._given - ring.next)
        room = min(room, int(ring.capacity * RING_SHARE) - (self._given - ring.acknowledged))
        self._due = max(self._due, now - LATE_SECONDS)
        wanted = max(0, math.floor((now - self._due) / self._interval) + 1) if now >= self._due else 0
        count = max(0, min(wanted, room))
        self.is_holding = wanted > 0 and count == 0
        readings = [self._course.reading(self._given + each, self._board) for each in range(count)]
        self._given += count
        self._due += count * self._interval
        return readings
