"""Feature program, grid and forecasts of the board, built for this machine, against the Python side."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployers.conversion.board import HostBoard
from deployers.conversion.features import (
    FeatureProgram,
    ProgramError,
    decode_program,
    encode_program,
    parse,
    scaled_features,
)
from deployers.conversion.runtimes import Engine
from deployers.conversion.stream import (
    LATEST_MS,
    GoldenError,
    Streamer,
    decode_golden,
    encode_golden,
    golden_vector,
    stream,
)
from deployers.exceptions import ConversionError
from deployers.protocol.status import Status
from tests.reference import reference_csv
from tests.vectors import make_forecast
from tests.vectors.cells import gru_cell
from tests.vectors.make_forecast import CLEANING, FILE, NAMES, PROGRAM, STEP, SUNDAY, TYPES
from tests.vectors.raw_forecast import RawBoard, check_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A board's feature against Python's, relatively, and absolutely before the division by the scale: see SPEC.md.
RELATIVE, ABSOLUTE = 1.2e-7, 2e-10
FLOAT_CELSIUS = 2e-5
PAYLOAD = encode_program(PROGRAM, CLEANING)
MICRO = st.integers(-(2**31), 2**31 - 1) | st.integers(-40_000_000, 60_000_000)
USUAL = ("difference:1", "difference:3", "deviation:6", "deviation:36", "hour:1:sin", "hour:1:cos", "hour:2:sin")


@pytest.fixture(scope="module")
def boards(engine_library: Path) -> dict[str, RawBoard]:
    """One of each type with the program of the vectors."""
    assert engine_library.exists()
    stored = json.loads(FILE.read_text())
    return {kind: RawBoard(bytes.fromhex(stored[f"cell_{kind}"]), PAYLOAD, PROGRAM.horizon) for kind in TYPES}


def close(found: Any, expected: Any, scales: tuple[float, ...]) -> bool:
    """Features within the stated tolerance."""
    wanted = np.asarray(expected, np.float32).astype(np.float64)
    return bool((np.abs(found - wanted) <= RELATIVE * np.abs(wanted) + ABSOLUTE / np.asarray(scales)).all())


@st.composite
def series(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Readings by whose times every rule of the grid is met: steps, gaps, the tolerance, times that go back."""
    near = st.sampled_from([0, 1, -1, 240_000, 240_001, -240_000, -240_001, 300_000, -300_000])
    offset = near | st.integers(-STEP, STEP)
    hops = st.sampled_from([1, 1, 1, 1, 2, 6, 7, 8, 9, 0, -1, 500, 10**6])
    time = draw(st.sampled_from([SUNDAY, 0, 1, 86_399_999, 4_102_444_799_999, LATEST_MS - 40 * STEP]))
    out = []
    for hop, shift, value in draw(st.lists(st.tuples(hops, offset, MICRO), min_size=1, max_size=40)):
        out.append((min(max(time + shift, 0), LATEST_MS), value))
        time += hop * STEP
    return out


# The same decisions, the same features


@given(series())
@settings(max_examples=150)
def test_every_reading_is_taken_as_python_takes_it(
    boards: dict[str, RawBoard], readings: list[tuple[int, int]]
) -> None:
    board, streamer = boards["float32"], Streamer(PROGRAM, CLEANING)
    board.reset()
    before = board.counters
    for time, value in readings:
        rows, pushed = streamer.push(time * 1000, value / 1e6), board.push(time, value)
        assert pushed.status == 0
        assert (pushed.celsius is None) == (rows is None)
        assert {name: count - before[name] for name, count in board.counters.items()} == streamer.counters.as_dict()
        if rows is not None:
            assert close(pushed.features, rows.features[-1], PROGRAM.scales)


@given(
    st.integers(1, 86_400), st.integers(250_000, 500_000), st.integers(0, 9), st.data(), st.integers(0, LATEST_MS // 2)
)
@settings(max_examples=100)
def test_any_cadence_tolerance_and_hold(cadence: int, ppm: int, hold: int, data: st.DataObject, start: int) -> None:
    """Odd cadences have quarters that do not fit into them."""
    cleaning = {"tolerance": ppm / 1e6, "max_hold_steps": hold}
    program = replace(PROGRAM, cadence_seconds=cadence)
    board = RawBoard(gru_cell("float32", len(NAMES), 2, 3, 1).file, encode_program(program, cleaning), 3)
    streamer, step = Streamer(program, cleaning), cadence * 1000
    hops = data.draw(st.lists(st.tuples(st.integers(-1, 12), st.integers(-step, step)), min_size=5, max_size=20))
    times = start + np.cumsum([hop for hop, _ in hops]) * step + [shift for _, shift in hops]
    for time in np.maximum(times, 0).tolist():
        assert (board.push(time, 20_000_000).celsius is None) == (streamer.push(time * 1000, 20.0) is None)
    assert board.counters == streamer.counters.as_dict()


@given(st.lists(MICRO, min_size=1, max_size=60), st.integers(0, LATEST_MS // STEP - 100))
@settings(max_examples=60)
def test_an_unbroken_series_has_the_features_of_the_training(
    boards: dict[str, RawBoard], values: list[int], first: int
) -> None:
    board, times = boards["int8"], (first + np.arange(len(values))) * STEP
    board.reset()
    expected = scaled_features(times * 1000, np.array(values) / 1e6, np.zeros(len(values), np.int64), PROGRAM)
    for time, value, row in zip(times.tolist(), values, expected, strict=True):
        assert close(board.push(time, value).features, row, PROGRAM.scales)


@pytest.mark.parametrize("time", [-1, -(2**63), 2**63 - 1, LATEST_MS + 1])
def test_a_time_no_clock_has_is_refused_and_changes_nothing(boards: dict[str, RawBoard], time: int) -> None:
    board = boards["float32"]
    board.reset()
    board.push(SUNDAY, 20_000_000)
    before = bytes(board.inside)
    pushed = board.push(time, 20_000_000)
    assert (pushed.status, pushed.celsius) == (Status.FORECAST_TIME, None)
    assert bytes(board.inside) == before


def test_thirty_thousand_steps_drift_by_nothing(boards: dict[str, RawBoard]) -> None:
    """A window sum of floats would have drifted; this one is that of a board which has seen only the last readings."""
    board, rng = boards["float32"], np.random.default_rng(3)
    values = (20e6 + np.cumsum(rng.integers(-900_001, 900_001, 30_000))).astype(np.int64).tolist()
    board.reset()
    for number, value in enumerate(values):
        last = board.push(SUNDAY + number * STEP, value).features.copy()
    board.reset()
    for number, value in list(enumerate(values))[-80:]:
        fresh = board.push(SUNDAY + number * STEP, value).features
    assert fresh.tobytes() == last.tobytes()


# The same programs


@given(st.data())
@settings(max_examples=200)
@example(None)
def test_c_and_python_refuse_the_same_programs(data: st.DataObject | None) -> None:
    payload = bytearray(PAYLOAD)
    if data is not None:
        for at, byte in data.draw(
            st.lists(st.tuples(st.integers(0, len(PAYLOAD) - 1), st.integers(0, 255)), max_size=3)
        ):
            payload[at] = byte
        del payload[data.draw(st.just(len(payload)) | st.integers(0, len(payload))) :]
    status, need = check_program(bytes(payload))
    try:
        program, _ = decode_program(bytes(payload))
    except ProgramError:
        assert status < 0
    else:
        assert status == 0
        reach = max(parse(name).reach for name in program.names)
        assert need == 8 * len(program.names) + 4 * reach


@pytest.mark.parametrize("names", [("difference:1",), ("deviation:9", "weekday:cos"), USUAL])
def test_python_states_the_buffer_that_the_board_wants(names: tuple[str, ...]) -> None:
    program = FeatureProgram(names, (1.0,) * len(names), 1.0, CLEANING["max_hold_steps"], 5)
    file = gru_cell("float32", len(names), 2, 5, 1).file
    assert HostBoard(file, encode_program(program, CLEANING), 5).buffer_bytes == program.buffer_bytes


def test_a_model_of_other_ends_is_refused_by_name() -> None:
    for inputs, outputs in ((len(NAMES) - 1, 3), (len(NAMES), 4)):
        with pytest.raises(ConversionError, match="FORECAST_MODEL"):
            HostBoard(gru_cell("int8", inputs, 2, outputs, 1).file, PAYLOAD, 3)


# The same forecasts


@pytest.fixture(scope="module")
def slices() -> list[list[tuple[int, int]]]:
    """Stretches of the measured series with their own jitter and gaps, (ms since 1970, micro-degrees)."""
    table = pd.read_csv(reference_csv(), parse_dates=["time_point"])
    table = table[table["user"] == table["user"].iloc[0]].sort_values("time_point")
    milliseconds = table["time_point"].to_numpy("datetime64[ms]").astype(np.int64)
    micro = np.rint(table["value"].to_numpy() * 1e6).astype(np.int64)
    starts = np.linspace(0, len(table) - 400, 5).astype(int)
    return [list(zip(milliseconds[s : s + 400].tolist(), micro[s : s + 400].tolist(), strict=True)) for s in starts]


def python_forecasts(file: bytes, program: FeatureProgram, readings: list[tuple[int, int]]) -> tuple[list[int], Any]:
    """Python's grid and features, the engine's network: numbers of the accepted readings and °C."""
    streamed, _ = stream(program, CLEANING, [(ms * 1000, value / 1e6) for ms, value in readings])
    residuals = Engine(file).forecasts(streamed.features.astype(np.float32), np.flatnonzero(streamed.resets))
    celsius = streamed.values[:, None] + residuals.astype(np.float64) * program.target_scale  # noqa: PD011 - no frame
    return streamed.accepted.tolist(), celsius[streamed.made].astype(np.float32)


@pytest.mark.parametrize("kind", TYPES)
def test_measured_readings_give_the_same_forecasts(slices: list[list[tuple[int, int]]], kind: str) -> None:
    """The integer types to the bit: no feature of these readings lies on the border between two integers."""
    scales = (0.1, 0.25, 0.2, 0.5, 1.0, 1.0, 1.0)
    program = FeatureProgram(USUAL, scales, 0.5, 600, 6)
    file = gru_cell(TYPES[kind], len(USUAL), 16, 6, seed=4).file
    board = HostBoard(file, encode_program(program, CLEANING), 6)
    limit = FLOAT_CELSIUS if kind == "float32" else 0.0
    for readings in slices:
        numbers, expected = python_forecasts(file, program, readings)
        found, made = board.forecasts(readings)
        assert found == numbers
        assert len(found) > 300
        assert np.abs(made - expected).max() <= limit


# Golden vectors


@pytest.mark.parametrize("kind", TYPES)
def test_stored_golden_vectors_are_passed_by_their_own_model_only(boards: dict[str, RawBoard], kind: str) -> None:
    payload = bytes.fromhex(json.loads(FILE.read_text())[f"golden_{kind}"])
    tolerance = decode_golden(payload, PROGRAM.horizon)[0].tolerance
    for name, board in boards.items():
        status, worst = board.golden(payload)
        assert (status == Status.OK) == (worst <= tolerance)
        assert (status == Status.OK) == (name == kind) or (kind == "int8" and name == "int16x8"), name


def own_golden(board: HostBoard, tolerance: float) -> tuple[bytes, Any]:
    """Golden vectors of what a board says itself."""
    readings = make_forecast.SERIES["leap_day"]
    numbers, made = board.forecasts(readings)
    return encode_golden([golden_vector(readings, numbers, made, tolerance)]), made


@given(row=st.integers(0, 59), column=st.integers(0, 2), off=st.floats(-1, 1))
@settings(max_examples=60)
@example(row=59, column=2, off=0.0)
def test_a_forecast_off_by_more_than_the_tolerance_is_found(
    boards: dict[str, RawBoard], row: int, column: int, off: float
) -> None:
    board, tolerance = boards["int16x8"], 0.125
    readings = make_forecast.SERIES["leap_day"]
    numbers, made = board.forecasts(readings)
    row %= len(made)
    moved = made.copy()
    moved[row, column] += np.float32(off)
    status, worst = board.golden(encode_golden([golden_vector(readings, numbers, moved, tolerance)]))
    assert worst == np.abs(moved - made).max()
    assert status == (Status.GOLDEN_MISMATCH if worst > tolerance else Status.OK)


@pytest.mark.parametrize(
    ("change", "cleaning"),
    [
        ({"target_scale": 0.8}, {}),
        ({"scales": (0.07, *PROGRAM.scales[1:])}, {}),
        ({"names": ("difference:2", *NAMES[1:])}, {}),
        ({"names": (*NAMES[:4], NAMES[5], NAMES[4], *NAMES[6:])}, {}),
        ({"cadence_seconds": 300}, {}),
        ({}, {"max_hold_steps": 7}),
        ({}, {"tolerance": 0.39}),
    ],
)
def test_another_program_does_not_pass(change: dict[str, Any], cleaning: dict[str, Any]) -> None:
    stored = json.loads(FILE.read_text())
    program = encode_program(replace(PROGRAM, **change), {**CLEANING, **cleaning})
    board = HostBoard(bytes.fromhex(stored["cell_float32"]), program, PROGRAM.horizon)
    status, worst = board.golden(bytes.fromhex(stored["golden_float32"]))
    assert status == Status.GOLDEN_MISMATCH
    assert worst > FLOAT_CELSIUS


@given(st.data())
@settings(max_examples=100)
def test_what_python_reads_as_golden_the_board_runs(boards: dict[str, RawBoard], data: st.DataObject) -> None:
    payload, _ = own_golden(boards["int8"], 1.0)
    damaged = bytearray(payload)
    for at in data.draw(st.lists(st.integers(0, 60) | st.integers(0, len(payload) - 1), max_size=3)):
        damaged[at] = data.draw(st.integers(0, 255))
    status, _ = boards["int8"].golden(bytes(damaged))
    try:
        decode_golden(bytes(damaged), PROGRAM.horizon)
    except GoldenError:
        return
    assert status in {Status.OK, Status.GOLDEN_MISMATCH}


def each_length(payload: bytes) -> Iterator[bytes]:
    yield from (payload[:length] for length in range(len(payload)))
    yield payload + b"\0"


def test_every_other_length_is_refused_and_nothing_is_run(boards: dict[str, RawBoard]) -> None:
    board = boards["int8"]
    payload, _ = own_golden(board, 1.0)
    board.push(SUNDAY, 1)
    before = bytes(board.inside)
    for part in each_length(payload):
        status, worst = board.golden(part)
        assert status == Status.GOLDEN_LENGTH
        assert np.isnan(worst)
    assert bytes(board.inside) == before


def test_a_network_that_answers_no_number_does_not_pass() -> None:
    """A float cell can; no tolerance makes that a forecast."""
    file = gru_cell("float32", len(NAMES), 2, 3, 1).file
    program = encode_program(replace(PROGRAM, target_scale=1e6), CLEANING)
    readings = [(SUNDAY, 20_000_000)]
    payload = encode_golden([golden_vector(readings, [0], np.zeros((1, 3), np.float32), 10.0)])
    status, worst = HostBoard(make_forecast.without_number(file), program, 3).golden(payload)
    assert (status, worst) == (Status.GOLDEN_MISMATCH, float("inf"))


def test_the_stored_vectors_are_what_python_says_today() -> None:
    assert make_forecast.vectors() == json.loads(FILE.read_text())
