"""A series as a board sees it: one reading at a time, nothing known of those to come.

    streamer = Streamer(program, cleaning)
    rows = streamer.push(time_us, celsius)   # None for a reading that is not used
    if rows is not None:
        if rows.reset:
            ...                              # zero the network's state
        for x in rows.features:              # held steps first, the reading itself last
            residual = network(x)
        forecast = celsius + residual * program.target_scale

This is what firmware/core/forecast does, and equals `clean` and `features` of the forecaster wherever no grid point has
two readings. Where one has, cleaning knows both and takes the nearer; a board has long forecast from the first when
the second comes, so the first one stays and the second is surplus. Times at one microsecond are surplus likewise.

Here too: the golden vectors of an image, readings and the forecasts that must come of them, as the chapter "Golden
vectors" of deployers/protocol/SPEC.md writes them.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.features import MOST_STEPS, PPM, step_functions
from deployers.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from deployers.conversion.features import FeatureProgram

    Doubles = NDArray[np.float64]
    Floats = NDArray[np.float32]
    Integers = NDArray[np.int64]

MICROSECONDS = 1_000_000
# The grid lies at the first reading, rounded to a quarter of the cadence, as in training.
PHASES = 4
MICRODEGREES = 1_000_000
LARGEST_MICROCELSIUS = 2**31 - 1
LATEST_MS = 253_402_300_799_999  # the end of the year 9999
LARGEST_TOLERANCE = 10.0
# Values beyond those needed that a history may have before it is cut: cutting at each step would copy all of it.
LONGEST_TAIL = 256

COUNT = struct.Struct("<H")
VECTOR = struct.Struct("<HHf")
READING = struct.Struct("<qi")
TIME = struct.Struct("<q")


class GoldenError(InputError):
    """Golden vectors, or the bytes of some, cannot be used."""


@dataclass(frozen=True)
class Rows:
    """What one accepted reading makes the network step through.

    Attributes:
        features: scaled features, `(steps, features)`; the last row is the reading's own, those before it are held.
        times: grid times in µs since 1970, `(steps,)`.
        reset: whether a segment begins, before which the state is zeroed.
    """

    features: Doubles
    times: Integers
    reset: bool


@dataclass
class Counters:
    """Readings and steps so far, named as on the board."""

    accepted: int = 0
    surplus: int = 0
    off_grid: int = 0
    late: int = 0
    held: int = 0
    resets: int = 0

    def as_dict(self) -> dict[str, int]:
        """Plain values for JSON."""
        return asdict(self)


class Streamer:
    """Grid and features, one reading at a time.

    The hub steps through hundreds of series with it: plain numbers, for arrays of a handful cost ten times as much.

    Args:
        program: the features.
        cleaning: the training's `tolerance` (share of the cadence) and `max_hold_steps`; other keys do not matter here.

    Attributes:
        counters: what became of the readings.
    """

    def __init__(self, program: FeatureProgram, cleaning: Mapping[str, Any]) -> None:
        self.program, self.counters = program, Counters()
        self._features = step_functions(program)
        self._step = program.cadence_seconds * MICROSECONDS
        # As the board has it: whole parts in a million.
        self._tolerance = round(float(cleaning["tolerance"]) * PPM) * self._step
        self._max_hold = int(cleaning["max_hold_steps"])
        self._reach = program.history_steps
        self.reset()

    def reset(self) -> None:
        """Forget grid and history: the next reading is the first. For a new series, or a clock that was set back."""
        self._anchor: int | None = None
        self._index = self._time = self._grid_time = 0
        self._history: list[float] = []

    @property
    def is_started(self) -> bool:
        """Whether a reading has placed the grid."""
        return self._anchor is not None

    @property
    def last_time(self) -> int:
        """Time of the last reading that was used, µs since 1970."""
        return self._time

    @property
    def last_grid_time(self) -> int:
        """Time of its grid point, µs since 1970."""
        return self._grid_time

    def push(self, time_us: int, value: float) -> Rows | None:
        """Take one reading.

        Args:
            time_us: µs since 1970.
            value: °C.

        Returns:
            The rows to step through, or None if the reading is late, off grid or surplus (and counted as that).
        """
        stepped = self.steps(time_us, value)
        if stepped is None:
            return None
        features, reset = stepped
        last = self.last_grid_time
        times = np.arange(last - (len(features) - 1) * self._step, last + 1, self._step, dtype=np.int64)
        return Rows(np.array(features), times, reset)

    def steps(self, time_us: int, value: float) -> tuple[list[list[float]], bool] | None:
        """The same as `push`: scaled features of each row, and whether a segment begins."""
        if self._anchor is None:
            phase = self._step // PHASES
            self._anchor = (time_us + phase // 2) // phase * phase
            self.counters.accepted += 1
            return self._begin(time_us, 0, value)
        index = (time_us - self._anchor + self._step // 2) // self._step
        refused = self._refusal(time_us, index)
        if refused is not None:
            setattr(self.counters, refused, getattr(self.counters, refused) + 1)
            return None
        self.counters.accepted += 1
        missing = index - self._index - 1
        if missing > self._max_hold:
            self.counters.resets += 1
            return self._begin(time_us, index, value)
        self.counters.held += missing
        return self._continue(time_us, value, missing)

    def _refusal(self, time_us: int, index: int) -> str | None:
        """The counter that a reading which is not used belongs to."""
        assert self._anchor is not None  # noqa: S101 - for the type checker: push has set it
        if time_us < self._time:
            return "late"
        if abs(time_us - self._anchor - index * self._step) * PPM > self._tolerance:
            return "off_grid"
        return "surplus" if index == self._index else None

    def _begin(self, time_us: int, index: int, value: float) -> tuple[list[list[float]], bool]:
        self._history = [value] * self._reach
        self._index, self._time = index - 1, time_us
        self._grid_time = (self._anchor or 0) + self._index * self._step
        return [self._row(value)], True

    def _continue(self, time_us: int, value: float, missing: int) -> tuple[list[list[float]], bool]:
        self._time = time_us
        if not missing:
            return [self._row(value)], False
        last = self._history[-1]
        return [*(self._row(last) for _ in range(missing)), self._row(value)], False

    def _row(self, value: float) -> list[float]:
        """Scaled features of the next grid point."""
        self._index += 1
        self._grid_time = time = self._grid_time + self._step
        history = self._history
        history.append(value)
        if len(history) > LONGEST_TAIL + self._reach:
            del history[: -self._reach]
        return [feature(history, time) for feature in self._features]


@dataclass(frozen=True)
class Streamed:
    """A whole series, streamed.

    Attributes:
        features: scaled features of all steps, `(steps, features)`.
        times: grid times in µs since 1970, `(steps,)`.
        values: °C at each step, held ones repeated, `(steps,)`.
        resets: steps before which the state is zeroed, `(steps,)`.
        made: step of each accepted reading, at which a forecast is made, `(accepted,)`.
        accepted: number of each accepted reading in the series given, `(accepted,)`.
    """

    features: Doubles
    times: Integers
    values: Doubles
    resets: NDArray[np.bool_]
    made: Integers
    accepted: Integers

    @property
    def segments(self) -> list[slice]:
        """The steps of each segment, in order."""
        starts = [*np.flatnonzero(self.resets), len(self.resets)]
        return [slice(start, stop) for start, stop in pairwise(starts)]


def stream(
    program: FeatureProgram, cleaning: Mapping[str, Any], readings: Iterable[tuple[int, float]]
) -> tuple[Streamed, Counters]:
    """Push every reading, (µs since 1970, °C), and put the rows together.

    Raises:
        InputError: there are no readings.
    """
    streamer, rows, values, accepted = Streamer(program, cleaning), list[Rows](), list[float](), list[int]()
    for number, (time_us, value) in enumerate(readings):
        pushed = streamer.push(int(time_us), float(value))
        if pushed is None:
            continue
        held = values[-1:] * (len(pushed.times) - 1)
        values += [*held, float(value)]
        rows.append(pushed)
        accepted.append(number)
    if not rows:
        msg = f"{len(rows)!r} readings to stream: expected at least one, select another series"
        raise InputError(msg)
    lengths = np.array([len(part.times) for part in rows])
    made = np.cumsum(lengths) - 1
    resets = np.zeros(len(values), bool)
    resets[made[[part.reset for part in rows]]] = True
    together = Streamed(
        np.concatenate([part.features for part in rows]),
        np.concatenate([part.times for part in rows]),
        np.array(values),
        resets,
        made,
        np.array(accepted),
    )
    return together, streamer.counters


@dataclass(frozen=True)
class GoldenVector:
    """Readings, and forecasts that must come of them from a state of zero.

    Attributes:
        times: of the readings, ms since 1970, `(readings,)`.
        microcelsius: the readings, `(readings,)`.
        forecast_times: times of the readings that the forecasts are made at, rising, `(forecasts,)`.
        forecasts: °C, `(forecasts, horizon)`.
        tolerance: °C that a board's forecasts may differ by.
    """

    times: Integers
    microcelsius: Integers
    forecast_times: Integers
    forecasts: Floats
    tolerance: float

    @property
    def readings(self) -> list[tuple[int, float]]:
        """The readings as `stream` takes them, (µs since 1970, °C)."""
        return [(int(t) * 1000, int(v) / MICRODEGREES) for t, v in zip(self.times, self.microcelsius, strict=True)]


def board_readings(vector: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The readings of a vector of golden.json as a board gets them: (ms since 1970, micro-degrees), both rounded."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    found = []
    for time, value in vector["readings"]:
        since = datetime.fromisoformat(time).replace(tzinfo=UTC) - epoch
        found.append((round(since / timedelta(milliseconds=1)), round(float(value) * MICRODEGREES)))
    return found


def golden_vector(
    readings: Sequence[tuple[int, int]], accepted: Sequence[int] | Integers, forecasts: Floats, tolerance: float
) -> GoldenVector:
    """Put a golden vector together.

    Args:
        readings: (ms since 1970, micro-degrees), as `board_readings` gives them.
        accepted: numbers of the readings that the forecasts are made at, rising (`Streamed.accepted`, or some of it).
        forecasts: °C, `(len(accepted), horizon)`.
        tolerance: °C.
    """
    pairs = np.array(readings, np.int64).reshape(-1, 2)
    times = pairs[np.asarray(accepted, np.int64), 0]
    return GoldenVector(pairs[:, 0], pairs[:, 1], times, np.asarray(forecasts, np.float32), float(tolerance))


def encode_golden(vectors: Sequence[GoldenVector]) -> bytes:
    """The bytes that a board checks itself against; all vectors have the horizon of the image's feature program.

    Raises:
        GoldenError: nothing to check, or a number outside what a board takes.
    """
    _require(1 <= len(vectors) <= MOST_STEPS, "count of golden vectors", len(vectors), f"1 to {MOST_STEPS}")
    return COUNT.pack(len(vectors)) + b"".join(map(_encoded, vectors))


def decode_golden(payload: bytes, horizon: int) -> list[GoldenVector]:
    """The inverse of `encode_golden`.

    Args:
        payload: the bytes.
        horizon: of the image's feature program.

    Raises:
        GoldenError: the bytes are no golden vectors of this horizon.
    """
    try:
        return _decoded(payload, horizon)
    except struct.error:
        msg = f"golden vectors of {len(payload)!r} bytes end early for a horizon of {horizon!r}: write the image again"
        raise GoldenError(msg) from None


def _encoded(vector: GoldenVector) -> bytes:
    _check(vector)
    parts = [VECTOR.pack(len(vector.times), len(vector.forecasts), vector.tolerance)]
    parts += [READING.pack(t, v) for t, v in zip(vector.times.tolist(), vector.microcelsius.tolist(), strict=True)]
    rows = np.asarray(vector.forecasts, "<f4")
    parts += [TIME.pack(t) + row.tobytes() for t, row in zip(vector.forecast_times.tolist(), rows, strict=True)]
    return b"".join(parts)


def _decoded(payload: bytes, horizon: int) -> list[GoldenVector]:
    (count,), at, vectors = COUNT.unpack_from(payload), COUNT.size, list[GoldenVector]()
    reading = np.dtype([("time", "<i8"), ("value", "<i4")])
    forecast = np.dtype([("time", "<i8"), ("celsius", "<f4", (horizon,))])
    for _ in range(count):
        readings, forecasts, tolerance = VECTOR.unpack_from(payload, at)
        at += VECTOR.size
        size = readings * reading.itemsize + forecasts * forecast.itemsize
        struct.unpack_from(f"{size}x", payload, at)
        given = np.frombuffer(payload, reading, readings, at)
        made = np.frombuffer(payload, forecast, forecasts, at + readings * reading.itemsize)
        at += size
        integers = (given["time"].astype(np.int64), given["value"].astype(np.int64), made["time"].astype(np.int64))
        vectors.append(GoldenVector(*integers, made["celsius"].astype(np.float32), tolerance))
        _check(vectors[-1])
    _require(bool(vectors) and at == len(payload), "length of golden vectors", len(payload), f"{at} bytes")
    return vectors


def _check(vector: GoldenVector) -> None:
    """Refuse what a board would refuse."""
    times, made = vector.times, vector.forecast_times
    for what, count in (("readings", len(times)), ("forecasts", len(made))):
        _require(1 <= count <= MOST_STEPS, f"count of {what} in a golden vector", count, f"1 to {MOST_STEPS}")
    _require(len(vector.forecasts) == len(made), "count of forecasts", len(vector.forecasts), f"{len(made)}")
    earliest, latest = int(times.min()), int(times.max())
    _require(earliest >= 0 and latest <= LATEST_MS, "time of a reading", (earliest, latest), "1970 to 9999, in ms")
    largest = int(np.abs(vector.microcelsius).max())
    _require(largest <= LARGEST_MICROCELSIUS, "size of a reading", largest, "32 bits of micro-degrees")
    _require(bool((np.diff(made) > 0).all()), "order of forecasts", made.tolist(), "rising times")
    _require(bool(np.isin(made, times).all()), "times of forecasts", made.tolist(), "times of readings")
    _require(bool(np.isfinite(vector.forecasts).all()), "a forecast", "not finite", "numbers")
    allowed = f"0 to {LARGEST_TOLERANCE:g} °C"
    _require(0 <= vector.tolerance <= LARGEST_TOLERANCE, "tolerance of a golden vector", vector.tolerance, allowed)


def _require(holds: bool, what: str, value: Any, expected: str) -> None:  # noqa: FBT001 - the condition itself
    if not holds:
        msg = f"{what} is {value!r}: expected {expected}, make the golden vectors again"
        raise GoldenError(msg)
