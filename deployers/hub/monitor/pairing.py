"""Forecasts, and the readings that come true of them: whichever of the two arrives first.

What is held for one series is bounded, and so is the work at each reading: the last readings and the last forecasts of
each source. The same pairs come out if both are given again in another order, as long as none is older than that.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from deployers.hub.store.records import SHADOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

READINGS_HELD = 48  # the longest horizon of the protocol, and half as many
FORECASTS_HELD = 40


class Pair(NamedTuple):
    """One step of a forecast beside its reading.

    Attributes:
        source: "board", "hub" or "shadow".
        version: of the image.
        step: from 1.
        time_ms: of the reading that the forecast was for.
        model: |forecast − reading| in °C.
        persistence: |reading at which the forecast was made − reading| in °C.
    """

    source: str
    version: int
    step: int
    time_ms: int
    model: float
    persistence: float


@dataclass(slots=True)
class Pending:
    """A forecast whose readings are awaited.

    Attributes:
        made_ms: time of the reading that it was made at.
        base: that reading in °C, None before it has come.
        done: one bit a step that has been paired.
    """

    source: str
    version: int
    made_ms: int
    celsius: Sequence[float]
    base: float | None = None
    done: int = 0

    @property
    def is_paired(self) -> bool:
        """Whether every step has been."""
        return self.done == (2 << len(self.celsius)) - 2

    def pairs(self, readings: Iterable[tuple[int, float]], cadence_ms: int) -> Iterator[Pair]:
        """Pairs with those of the readings that are for steps not yet paired."""
        if self.base is None:
            return
        for time_ms, celsius in readings:
            step = _step(time_ms - self.made_ms, cadence_ms)
            if 1 <= step <= len(self.celsius) and not self.done >> step & 1:
                self.done |= 1 << step
                off, base = abs(self.celsius[step - 1] - celsius), abs(self.base - celsius)
                yield Pair(self.source, self.version, step, time_ms, off, base)


def is_next(before_ms: int, time_ms: int, cadence_ms: int) -> bool:
    """Whether a reading is the one after another: by at most one step and a half."""
    return 0 < 2 * (time_ms - before_ms) < 3 * cadence_ms


def lane_of(source: str, version: int) -> str:
    """Whose forecasts follow each other: the board's and the hub's whatever they run, and each challenger's own."""
    return f"{SHADOW} {version}" if source == SHADOW else source


class Pairing:
    """The last readings and forecasts of one series."""

    def __init__(self) -> None:
        self._readings: deque[tuple[int, float]] = deque(maxlen=READINGS_HELD)
        self._pending: dict[str, deque[Pending]] = {}

    def reading(self, time_ms: int, celsius: float, cadence_ms: int) -> list[Pair]:
        """A reading has come; what it says of forecasts before it."""
        self._readings.append((time_ms, celsius))
        self._forget_challengers(time_ms - READINGS_HELD * cadence_ms)
        found: list[Pair] = []
        for pending in self._pending.values():
            for each in pending:
                if each.made_ms == time_ms and each.base is None:
                    each.base = celsius
                    found += each.pairs(self._readings, cadence_ms)
                elif not each.is_paired:
                    found += each.pairs(((time_ms, celsius),), cadence_ms)
        return found

    def forecast(
        self, source: str, version: int, made_ms: int, celsius: Sequence[float], cadence_ms: int
    ) -> list[Pair]:
        """A forecast has come; what readings say of it that are there already."""
        made = Pending(source, version, made_ms, celsius, self.at(made_ms))
        self._pending.setdefault(lane_of(source, version), deque(maxlen=FORECASTS_HELD)).append(made)
        return list(made.pairs(self._readings, cadence_ms))

    def at(self, time_ms: int) -> float | None:
        """The reading of this time in °C, if it is among the last ones."""
        return next((value for time, value in reversed(self._readings) if time == time_ms), None)

    def _forget_challengers(self, before_ms: int) -> None:
        """Of those that have ended, nothing comes true any more."""
        for lane in [each for each in self._pending if each.startswith(SHADOW)]:
            if self._pending[lane][-1].made_ms < before_ms:
                del self._pending[lane]


def _step(apart_ms: int, cadence_ms: int) -> int:
    """The step that a reading is nearest to, 0 if it is of none."""
    return 0 if apart_ms <= 0 else (2 * apart_ms + cadence_ms) // (2 * cadence_ms)
