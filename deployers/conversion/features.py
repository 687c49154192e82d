"""What the network reads at each step: a program of causal features, scaled from the training part.

A feature is named by its operation, so that a program is data a microcontroller can follow:

    difference:L        y_t − y_{t−L}, in units of its standard deviation
    deviation:W         y_t − mean(y_{t−W+1} … y_t), likewise
    hour:H:sin|cos      sine or cosine of the H-th harmonic of the time of day
    weekday:sin|cos     sine or cosine of the position in the week

Before a segment has L (W) readings its first reading stands in for the missing ones. The bytes that go to the board
are in the chapter "Feature program" of deployers/protocol/SPEC.md.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from deployers.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    Integers = NDArray[np.int64]

DAY_SECONDS = 86_400
DAY = DAY_SECONDS * 1_000_000  # µs
WEEK = 7 * DAY
# 1970-01-01 was a Thursday; a week begins on Monday.
EPOCH_WEEKDAY = 3

# Limits of what a board runs (firmware/core/features/features.h).
MOST_FEATURES = 64
MOST_STEPS = 65_535
LONGEST_HORIZON = 288
HIGHEST_HARMONIC = 24
LONGEST_CADENCE = DAY_SECONDS
SCALES = (1e-6, 1e6)
TOLERANCES = (0.25, 0.5)
PPM = 1_000_000

HEADER = struct.Struct("<IHHdIHH")
ENTRY = struct.Struct("<BBHId")
OPERATIONS = ("difference", "deviation", "hour", "weekday")  # numbered from 1
FUNCTIONS = ("", "sin", "cos")  # numbered from 0
SMALLEST_ARGUMENT = {"difference": 1, "deviation": 2, "hour": 1}  # the mean of one reading is that reading
NAME = re.compile(r"(?:(difference|deviation):([1-9]\d*)|(hour):([1-9]\d*):(sin|cos)|(weekday):(sin|cos))")


class ProgramError(InputError):
    """A feature program, or the bytes of one, cannot be used."""


@dataclass(frozen=True)
class Feature:
    """One parsed name.

    Attributes:
        operation: one of `OPERATIONS`.
        argument: lag, window or harmonic; 0 for the weekday.
        function: "sin" or "cos" for the clock, else empty.
    """

    operation: str
    argument: int
    function: str

    @property
    def is_clock(self) -> bool:
        """Whether it depends on the time alone."""
        return self.function != ""

    @property
    def reach(self) -> int:
        """Steps that must be kept, the present one included."""
        return {"difference": self.argument + 1, "deviation": self.argument}.get(self.operation, 1)

    @property
    def name(self) -> str:
        """The inverse of `parse`."""
        parts = (self.operation, str(self.argument or ""), self.function)
        return ":".join(part for part in parts if part)


@dataclass(frozen=True)
class FeatureProgram:
    """Features with their scales, and the scale of the forecast residuals.

    Attributes:
        names: operations, in the order of the network's inputs.
        scales: divisor of each feature, °C for differences and deviations, 1 for the clock.
        target_scale: °C of one unit of the network's output.
        cadence_seconds: seconds of one step.
        horizon: steps that are forecast.
    """

    names: tuple[str, ...]
    scales: tuple[float, ...]
    target_scale: float
    cadence_seconds: int
    horizon: int

    def select(self, names: Sequence[str]) -> Self:
        """The program with only the named features, in the given order.

        Raises:
            ProgramError: a name is not in this program.
        """
        scale_of = dict(zip(self.names, self.scales, strict=True))
        unknown = [name for name in names if name not in scale_of]
        if unknown:
            msg = f"feature {unknown[0]!r} is not in the dataset, which has {', '.join(self.names)}"
            raise ProgramError(msg)
        return replace(self, names=tuple(names), scales=tuple(scale_of[name] for name in names))

    @property
    def history_steps(self) -> int:
        """Readings that must be kept to compute the next features (the ring buffer's length)."""
        return max((parse(name).reach for name in self.names), default=1)

    @property
    def buffer_bytes(self) -> int:
        """Buffer that forecast_init wants for this program on the board."""
        count = len(self.names)
        return 8 * count + -(-4 * (self.history_steps + count + self.horizon) // 8) * 8

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        return cls(**{**fields, "names": tuple(fields["names"]), "scales": tuple(fields["scales"])})


@lru_cache(maxsize=1024)
def parse(name: str) -> Feature:
    """What a feature's name says.

    Raises:
        ProgramError: it is no name of a feature.
    """
    match = NAME.fullmatch(name)
    if match is None:
        msg = f"feature {name!r} is unknown: expected difference:L, deviation:W, hour:H:sin|cos or weekday:sin|cos"
        raise ProgramError(msg)
    past, reach, hour, harmonic, function, weekday, weekday_function = match.groups()
    feature = Feature(past or hour or weekday, int(reach or harmonic or 0), function or weekday_function or "")
    least = SMALLEST_ARGUMENT.get(feature.operation, 0)
    if feature.argument < least:
        msg = f"feature {name!r} reaches over {feature.argument!r} step: expected at least {least!r}"
        raise ProgramError(msg)
    return feature


def scaled_features(time: Integers, value: Doubles, segment: Integers, program: FeatureProgram) -> Doubles:
    """Scaled features of every row, `(rows, features)`; a row reads itself and earlier rows of its segment.

    Args:
        time: µs since 1970, `(rows,)`.
        value: °C, `(rows,)`.
        segment: label of the unbroken stretch that each row lies in, `(rows,)`.
        program: the features.
    """
    scaled: Doubles = raw_features(time, value, segment, program.names) / np.asarray(program.scales)
    return scaled


def raw_features(time: Integers, value: Doubles, segment: Integers, names: Sequence[str]) -> Doubles:
    """Unscaled features of every row, `(rows, len(names))`; arguments as for `scaled_features`."""
    starts = np.flatnonzero(np.r_[True, segment[1:] != segment[:-1]])
    out = np.empty((len(value), len(names)))
    for column, feature in enumerate(map(parse, names)):
        if feature.is_clock:
            out[:, column] = clock(time, feature)
            continue
        for start, stop in zip(starts, [*starts[1:], len(value)], strict=True):
            out[start:stop, column] = _history(value[start:stop], feature)
    return out


def clock(time: Integers, feature: Feature) -> Doubles:
    """A feature of the time alone; `time` in µs since 1970, any shape."""
    days = time % DAY / 1e6 / DAY_SECONDS
    weekday = (time // DAY + EPOCH_WEEKDAY) % 7
    turns = days * feature.argument if feature.operation == "hour" else (days + weekday) / 7
    function: Callable[[Doubles], Doubles] = np.sin if feature.function == "sin" else np.cos
    return function(2 * np.pi * turns)


def _history(value: Doubles, feature: Feature) -> Doubles:
    """A feature of the past within one segment."""
    reach = feature.argument
    if feature.operation == "difference":
        before = np.concatenate([np.full(min(reach, len(value)), value[0]), value[:-reach]])
        return np.subtract(value, before[: len(value)])
    # The mean of exact window sums: a running sum would carry rounding from one step to the next.
    padded = np.concatenate([np.full(reach - 1, value[0]), value])
    return np.subtract(value, np.lib.stride_tricks.sliding_window_view(padded, reach).mean(axis=1))


@lru_cache(maxsize=32)
def step_functions(program: FeatureProgram) -> tuple[Callable[[list[float], int], float], ...]:
    """For one step at a time: of each feature a scaled function of the last values, the present one last, and the time.

    The values are as many as `history_steps` or more; the time is that of the grid point, µs since 1970.
    """
    return tuple(_function(parse(name), scale) for name, scale in zip(program.names, program.scales, strict=True))


def _function(feature: Feature, scale: float) -> Callable[[list[float], int], float]:
    reach = feature.argument
    if feature.is_clock:

        @lru_cache(maxsize=4096)  # the same for every series on the same grid, and again the next day
        def at(position: int) -> float:
            return float(clock(np.asarray(position), feature)) / scale

        period = DAY if feature.operation == "hour" else WEEK
        return lambda _, time: at(time % period)
    if feature.operation == "difference":
        return lambda history, _: (history[-1] - history[-1 - reach]) / scale
    return lambda history, _: (history[-1] - math.fsum(history[-reach:]) / reach) / scale


def encode_program(program: FeatureProgram, cleaning: Mapping[str, Any]) -> bytes:
    """The bytes that a board follows.

    Args:
        program: the features.
        cleaning: the training's `tolerance` (share of the cadence) and `max_hold_steps`; other keys do not matter on
            a board, which sees one reading at a time.

    Raises:
        ProgramError: a number is outside what a board takes.
    """
    check_program(program)
    tolerance, hold = float(cleaning["tolerance"]), int(cleaning["max_hold_steps"])
    _check("tolerance", tolerance, *TOLERANCES)
    _check("max_hold_steps", hold, 0, MOST_STEPS)
    head = HEADER.pack(
        program.cadence_seconds,
        program.horizon,
        len(program.names),
        program.target_scale,
        round(tolerance * PPM),
        hold,
        0,
    )
    return head + b"".join(map(_entry, map(parse, program.names), program.scales))


def decode_program(payload: bytes) -> tuple[FeatureProgram, dict[str, Any]]:
    """The inverse of `encode_program`: the program, and `tolerance` and `max_hold_steps` of the cleaning.

    Raises:
        ProgramError: the bytes are no feature program, or one that no board takes.
    """
    if len(payload) < HEADER.size:
        msg = f"a feature program of {len(payload)!r} bytes: expected at least {HEADER.size}, write the image again"
        raise ProgramError(msg)
    cadence, horizon, count, target_scale, ppm, hold, zero = HEADER.unpack_from(payload)
    if len(payload) != HEADER.size + count * ENTRY.size:
        msg = f"a feature program of {len(payload)!r} bytes with {count!r} features: expected 24 + 16 × features bytes"
        raise ProgramError(msg)
    entries = list(ENTRY.iter_unpack(payload[HEADER.size :]))
    if zero or any(entry[3] for entry in entries):
        msg = "a feature program with a byte set that must be zero: it was written for newer firmware"
        raise ProgramError(msg)
    names = tuple(_name(*entry[:3]) for entry in entries)
    program = FeatureProgram(names, tuple(entry[4] for entry in entries), target_scale, cadence, horizon)
    check_program(program)
    _check("tolerance", ppm / PPM, *TOLERANCES)
    return program, {"tolerance": ppm / PPM, "max_hold_steps": hold}


def check_program(program: FeatureProgram) -> None:
    """Refuse what a board would refuse.

    Raises:
        ProgramError: a number is outside what a board takes.
    """
    _check("count of features", len(program.names), 1, MOST_FEATURES)
    if len(program.scales) != len(program.names):
        msg = f"{len(program.names)!r} features have {len(program.scales)!r} scales: expected one each"
        raise ProgramError(msg)
    _check("cadence_seconds", program.cadence_seconds, 1, LONGEST_CADENCE)
    _check("horizon", program.horizon, 1, LONGEST_HORIZON)
    _check("target_scale", program.target_scale, *SCALES)
    for feature, scale in zip(map(parse, program.names), program.scales, strict=True):
        _check(f"scale of {feature.name}", scale, *SCALES)
        most = HIGHEST_HARMONIC if feature.operation == "hour" else MOST_STEPS
        _check(f"argument of {feature.name}", feature.argument, 0, most)


def _check(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        msg = f"{what} is {value!r}: a board takes {least:g} to {most:g}"
        raise ProgramError(msg)


def _entry(feature: Feature, scale: float) -> bytes:
    operation, function = OPERATIONS.index(feature.operation) + 1, FUNCTIONS.index(feature.function)
    return ENTRY.pack(operation, function, feature.argument, 0, scale)


def _name(operation: int, function: int, argument: int) -> str:
    """The canonical name of an entry; only what `encode_program` writes is read."""
    if not (1 <= operation <= len(OPERATIONS) and function < len(FUNCTIONS)):
        msg = f"feature operation {operation!r} with function {function!r} is unknown: expected 1 to 4 and 0 to 2"
        raise ProgramError(msg)
    feature = Feature(OPERATIONS[operation - 1], argument, FUNCTIONS[function])
    if parse(feature.name) != feature:
        msg = f"feature {feature.name!r} has argument {argument!r}, which does not go with its operation"
        raise ProgramError(msg)
    return feature.name
