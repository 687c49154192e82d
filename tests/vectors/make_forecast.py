"""Write tests/vectors/forecast.json: readings, what becomes of each, and golden vectors, for host and board.

    .venv/bin/python -m tests.vectors.make_forecast [FILE]

Hex digits by name, little-endian:

- `program`: a feature program with every operation;
- `cell_<type>`: a GRU cell that goes with it; `cell_not_a_number`: the float one with an output that is no number;
- `series_<name>`: one record a reading: i64 ms since 1970, i32 micro-degrees, u16 what becomes of it (0 accepted,
  1 surplus, 2 off grid, 3 late), u16 steps that it makes, u16 whether a segment begins, u16 zero, then the scaled
  features of its last step as f32 (zeros if it is not accepted). The features are those of the Python side;
- `golden_<type>`: golden vectors of these series, whose forecasts the reference runtimes made of Python's features.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

from deployers.conversion.features import FeatureProgram, encode_program
from deployers.conversion.flat import Graph
from deployers.conversion.runtimes import board_runtime
from deployers.conversion.stream import LATEST_MS, Streamer, encode_golden, golden_vector, stream
from tests.vectors.cells import gru_cell

FILE = Path(__file__).with_name("forecast.json")
CADENCE = 600
STEP = CADENCE * 1000
NAMES = (
    *("difference:1", "difference:6", "deviation:2", "deviation:36"),
    *("hour:1:sin", "hour:1:cos", "hour:3:cos", "weekday:sin", "weekday:cos"),
)
SCALES = (0.0625, 0.31, 0.07, 1 / 3, 1.0, 1.0, 1.0, 1.0, 1.0)
PROGRAM = FeatureProgram(NAMES, SCALES, 0.75, CADENCE, 3)
CLEANING = {"tolerance": 0.4, "max_hold_steps": 6}
TYPES = {"float32": "float32", "int8": "int8", "int16x8": "int16"}
VERDICTS = ("surplus", "off_grid", "late")
RECORD = struct.Struct("<qiHHHH")
FLOAT_TOLERANCE = 2e-5

# 2024-02-29T18:10:00, and 2024-03-03T22:00:00, a Sunday.
LEAP_DAY = 1_709_230_200_000
SUNDAY = 1_709_503_200_000

Reading = tuple[int, int]


def walk(start: int, count: int, seed: int, jitter: int) -> list[Reading]:
    """Readings of a sensor with 1/16 °C that strays from its grid by up to `jitter` ms; some are below zero."""
    rng = np.random.default_rng(seed)
    sixteenths = np.cumsum(rng.integers(-6, 7, count)) - 8
    late = rng.integers(0, 2 * jitter, count)
    return [(start + i * STEP + int(late[i]), int(sixteenths[i]) * 62_500) for i in range(count)]


def gaps() -> list[Reading]:
    """Six missing steps are held, seven begin a segment, and so do three years."""
    at = [0, 1, 2, 9, 10, 18, 19, 20, 157_800, 157_801]
    return [(LEAP_DAY + i * STEP, 21_000_001 + i * 1_234 % 99_991) for i in at]


def disorder() -> list[Reading]:
    """Readings at the tolerance and one millisecond beyond it, twice, late, and too many."""
    allowed = STEP * 2 // 5
    at = [0, 0, STEP, STEP - 1, STEP + 1, 2 * STEP + allowed, 3 * STEP + allowed + 1, 3 * STEP - allowed]
    at += [2 * STEP, 4 * STEP - allowed - 1, 4 * STEP - 1, 4 * STEP + 1, 5 * STEP - STEP // 2, 5 * STEP, 0, 6 * STEP]
    return [(SUNDAY + ms, -5_000_000 + 17 * i) for i, ms in enumerate(at)]


def extremes() -> list[Reading]:
    """The first and the last time, and everything that 32 bits hold."""
    low, high = -(2**31 - 1), 2**31 - 1
    first = [(i * STEP, (low, high)[i % 2]) for i in range(40)]
    last = LATEST_MS - LATEST_MS % STEP
    return [*first, (last - STEP, high), (last, 1), (LATEST_MS, -1), (0, 0)]


SERIES = {
    "leap_day": walk(LEAP_DAY, 60, 1, 40_000),
    "week": walk(SUNDAY, 30, 2, 1),
    "quarter": walk(SUNDAY + STEP // 4, 12, 3, 60_000),
    "gaps": gaps(),
    "disorder": disorder(),
    "extremes": extremes(),
}
GOLDEN = ("leap_day", "week", "gaps", "disorder")


def records(readings: list[Reading]) -> bytes:
    """What Python makes of every reading."""
    streamer, out = Streamer(PROGRAM, CLEANING), b""
    for time_ms, microcelsius in readings:
        before = streamer.counters.as_dict()
        rows = streamer.push(time_ms * 1000, microcelsius / 1e6)
        if rows is None:
            counted = [1 + i for i, name in enumerate(VERDICTS) if getattr(streamer.counters, name) > before[name]]
            out += RECORD.pack(time_ms, microcelsius, counted[0], 0, 0, 0) + bytes(4 * len(NAMES))
        else:
            out += RECORD.pack(time_ms, microcelsius, 0, len(rows.features), rows.reset, 0)
            out += rows.features[-1].astype("<f4").tobytes()
    return out


def forecasts(file: bytes, readings: list[Reading]) -> tuple[Any, Any]:
    """Numbers of the accepted readings, and what a reference runtime makes of them in °C."""
    streamed, _ = stream(PROGRAM, CLEANING, [(ms * 1000, value / 1e6) for ms, value in readings])
    residuals = board_runtime(file).forecasts(streamed.features.astype(np.float32), np.flatnonzero(streamed.resets))
    celsius = streamed.values[:, None] + residuals.astype(np.float64) * PROGRAM.target_scale
    return streamed.accepted, celsius[streamed.made].astype(np.float32)


def golden(kind: str, file: bytes) -> bytes:
    """Golden vectors of one type; a feature in the neighbouring float may round to the next integer."""
    runtime = board_runtime(file)
    tolerance = FLOAT_TOLERANCE if kind == "float32" else 2 * runtime.outputs[0].scale * PROGRAM.target_scale
    vectors = [golden_vector(SERIES[name], *forecasts(file, SERIES[name]), tolerance) for name in GOLDEN]
    return encode_golden(vectors)


def without_number(file: bytes) -> bytes:
    """A float cell whose outputs are no numbers: its last bias is not."""
    graph = Graph(file)
    bias = np.asarray(graph.constant(graph.operators[-1].inputs[2]), "<f4")
    return file.replace(bias.tobytes(), np.full_like(bias, np.nan).tobytes())


def vectors() -> dict[str, str]:
    """All of forecast.json."""
    out = {"program": encode_program(PROGRAM, CLEANING)}
    for kind, dtype in TYPES.items():
        out[f"cell_{kind}"] = gru_cell(dtype, len(NAMES), 4, PROGRAM.horizon, seed=7).file
        out[f"golden_{kind}"] = golden(kind, out[f"cell_{kind}"])
    out["cell_not_a_number"] = without_number(out["cell_float32"])
    out |= {f"series_{name}": records(readings) for name, readings in SERIES.items()}
    return {name: value.hex() for name, value in out.items()}


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else FILE).write_text(json.dumps(vectors(), indent=1) + "\n")
