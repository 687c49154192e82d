"""A model as the hub runs it: one step of the cell a reading, its state carried for each series.

    model = Model(3, program, cleaning, maker, "float32")
    model.prove(vectors)                       # its golden vectors, before anybody is answered by it
    track = model.track()                      # nothing known of the series yet
    made = track.push(time_ms, microcelsius)   # None where no forecast is made: the reading is late, off grid, surplus

A track does with a reading what firmware/app/model.c does with it: "Readings and forecasts" of
deployers/protocol/SPEC.md.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deployers.conversion.stream import LATEST_MS, MICRODEGREES, Streamer
from deployers.exceptions import GateFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from deployers.conversion.features import FeatureProgram
    from deployers.conversion.stream import GoldenVector
    from deployers.hub.cells import Cell

    State = list[NDArray[Any]]

# Of the firmware (firmware/app/limits.h): readings that rebuild a state beyond those that the features reach back to,
# how far a clock may be set back without beginning a new series, and readings in a row that find no place on the grid.
REPLAY_READINGS = 512
CLOCK_BACK_MS = 60_000
STRAY_READINGS = 2
# As many readings as one message of a board holds, twice over: one of these that comes again is known.
REMEMBERED = 128
# LiteRT's integer kernels round otherwise than the board's in places, so its steps may differ by as many more.
INTEGER_SLACK = 2.0


class Made(NamedTuple):
    """A forecast.

    Attributes:
        time_ms: of the reading that it was made at.
        grid_ms: of that reading's grid point; value k is for k + 1 steps of the cadence after it.
        celsius: float32 values, one a step of the horizon.
    """

    time_ms: int
    grid_ms: int
    celsius: tuple[float, ...]


class Model:
    """One version, loaded.

    Args:
        version: of the image.
        program: the features.
        cleaning: `tolerance` and `max_hold_steps`.
        maker: makes a cell; called in each thread that forecasts, for a cell serves one thread at a time.
        kind: the number format that the cell computes in.

    Attributes:
        tracks: state of each live series. Only the thread that steps adds to it or steps one.
    """

    def __init__(
        self,
        version: int,
        program: FeatureProgram,
        cleaning: Mapping[str, Any],
        maker: Callable[[], Cell],
        kind: str,
    ) -> None:
        self.version, self.program, self.cleaning, self.kind = version, program, cleaning, kind
        self.tracks: dict[str, Track] = {}
        self._maker, self._own = maker, threading.local()

    @property
    def cell(self) -> Cell:
        """The cell of this thread."""
        try:
            cell: Cell = self._own.cell
        except AttributeError:
            cell = self._own.cell = self._maker()
        return cell

    @property
    def replay_readings(self) -> int:
        """As many readings as rebuild a state: the firmware's number."""
        return self.program.history_steps + REPLAY_READINGS

    @property
    def cadence_ms(self) -> int:
        """Time from one step to the next in ms."""
        return self.program.cadence_seconds * 1000

    def track(self) -> Track:
        """The state of a series of which nothing is known."""
        return Track(self)

    def prove(self, vectors: Iterable[GoldenVector]) -> float:
        """Run golden vectors.

        Returns:
            The largest difference in °C.

        Raises:
            GateFailed: a forecast was not made, or is further from the listed one than the vector's tolerance, twice
                that for an integer cell.
        """
        worst = 0.0
        for number, vector in enumerate(vectors):
            off, allowed = self._off(vector), vector.tolerance
            allowed *= 1.0 if self.kind == "float32" else INTEGER_SLACK
            if not off <= allowed:  # also if it is no number
                msg = (
                    f"golden vector {number} of version {self.version!r} comes out {off:.3g} °C off in "
                    f"{self.cell.name}, expected at most {allowed:.3g} °C: convert the release again"
                )
                raise GateFailed(msg)
            worst = max(worst, off)
        return worst

    def _off(self, vector: GoldenVector) -> float:
        readings = zip(vector.times.tolist(), vector.microcelsius.tolist(), strict=True)
        found = {made.time_ms: made.celsius for made in self.track().push_all(readings)}
        missing = (float("inf"),) * self.program.horizon
        rows = np.array([found.get(time, missing) for time in vector.forecast_times.tolist()])
        return float(np.abs(rows - vector.forecasts).max())


class Track:
    """The state that one series has in one model.

    Attributes:
        last: the latest forecast; replaced as a whole, so that any thread may read it.
    """

    __slots__ = ("_model", "_remembered", "_state", "_stray", "_streamer", "last")

    def __init__(self, model: Model) -> None:
        self._model = model
        self._streamer = Streamer(model.program, model.cleaning)
        self._state: State = []
        self._stray = 0
        self._remembered: dict[int, None] = {}
        self.last: Made | None = None

    def push(self, time_ms: int, microcelsius: int) -> Made | None:
        """Take one reading.

        Returns:
            The forecast made at it, None where the firmware makes none. A reading that was taken already is none.
        """
        made = self.push_all(((time_ms, microcelsius),))
        return made[0] if made else None

    def push_all(self, readings: Iterable[tuple[int, int]]) -> list[Made]:
        """Take readings, (ms since 1970, micro-degrees), as they came; every forecast that is made at them."""
        cell, placed = self._model.cell, self._placed(readings)
        made, at, x = list[Made](), 0, _quantised(cell, placed)
        for each in placed:
            end = at + len(each.rows)
            y, self._state = cell.carry(x[at:end], self._zero(cell) if each.reset else self._state)
            made.append(self._made(each, cell.outputs[0].real(y)[0]))
            at = end
        if made:
            self.last = made[-1]
        return made

    def replay(self, readings: Iterable[tuple[int, int]]) -> None:
        """The same without the forecasts between: only `last` is made. Faster where nobody asks for them."""
        cell, placed = self._model.cell, self._placed(readings)
        if not placed:
            return
        begin = max((number for number, each in enumerate(placed) if each.reset), default=0)
        if placed[begin].reset:  # what was before it is forgotten anyway
            placed, self._state = placed[begin:], self._zero(cell)
        y, self._state = cell.carry(_quantised(cell, placed), self._state)
        self.last = self._made(placed[-1], cell.outputs[0].real(y)[0])

    def _placed(self, readings: Iterable[tuple[int, int]]) -> list[_Placed]:
        """What becomes of readings before the network sees them; those that it never sees are not among them."""
        placed = []
        for time_ms, microcelsius in readings:
            if time_ms in self._remembered or not 0 <= time_ms <= LATEST_MS:
                continue
            self._remember(time_ms)
            value = microcelsius / MICRODEGREES
            stepped = self._steps(time_ms * 1000, value)
            if stepped is not None:
                placed.append(_Placed(time_ms, self._streamer.last_grid_time // 1000, value, *stepped))
        return placed

    @staticmethod
    def _zero(cell: Cell) -> State:
        return [end.nothing for end in cell.inputs[1:]]

    def _made(self, placed: _Placed, residuals: NDArray[np.float32]) -> Made:
        celsius = placed.value + residuals.astype(np.float64) * self._model.program.target_scale
        return Made(placed.time_ms, placed.grid_ms, tuple(celsius.astype(np.float32).tolist()))

    def _remember(self, time_ms: int) -> None:
        """As the store, which takes a time of a series once."""
        if len(self._remembered) >= REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[time_ms] = None

    def _steps(self, time_us: int, value: float) -> tuple[list[list[float]], bool] | None:
        streamer = self._streamer
        if streamer.is_started and time_us < streamer.last_time - CLOCK_BACK_MS * 1000:
            self._begin_anew()
        stepped = streamer.steps(time_us, value)
        if stepped is not None:
            self._stray = 0
            return stepped
        self._stray = self._stray + 1 if self._is_after_a_gap(time_us) else 0
        if self._stray < STRAY_READINGS:
            return None
        self._begin_anew()
        return streamer.steps(time_us, value)

    def _begin_anew(self) -> None:
        self._streamer.reset()
        self._stray = 0

    def _is_after_a_gap(self, time_us: int) -> bool:
        held = int(self._model.cleaning["max_hold_steps"]) + 1
        return time_us - self._streamer.last_time > held * self._model.cadence_ms * 1000


class _Placed(NamedTuple):
    """A reading on the grid: the rows of features that it makes the network step through."""

    time_ms: int
    grid_ms: int
    value: float
    rows: list[list[float]]
    reset: bool


def _quantised(cell: Cell, placed: list[_Placed]) -> NDArray[Any]:
    return cell.inputs[0].quantise(np.array([row for each in placed for row in each.rows], np.float32))


def replayed(model: Model, readings: Iterable[tuple[int, int]]) -> Track:
    """The track that readings, (ms since 1970, micro-degrees) in the order of time, leave behind."""
    track = model.track()
    track.replay(readings)
    return track
