"""The firmware's forecast on this machine: readings in, °C out, as the Python features and the cell have them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deployers.conversion.board import HostBoard
from deployers.conversion.features import FeatureProgram
from deployers.conversion.golden import golden_series
from deployers.conversion.runtimes import TFLM
from deployers.exceptions import ConversionError
from deployers.protocol.status import Status

TYPES = ("float32", "int8", "int16x8")


@pytest.fixture(scope="module")
def program(conversion: Path) -> FeatureProgram:
    return FeatureProgram.from_dict(json.loads((conversion / "features.json").read_text())["program"])


@pytest.fixture
def board(conversion: Path, program: FeatureProgram):
    def made(kind: str, payload: bytes | None = None) -> HostBoard:
        payload = (conversion / "program.bin").read_bytes() if payload is None else payload
        return HostBoard((conversion / f"cell_{kind}.tflite").read_bytes(), payload, program.horizon)

    return made


@pytest.mark.parametrize("kind", TYPES)
def test_readings_become_the_forecasts_of_the_python_features(board, conversion: Path, program, kind: str) -> None:
    fields = json.loads((conversion / "features.json").read_text())
    series = golden_series(json.loads((conversion / "golden.json").read_text()), program, fields["cleaning"])
    runtime = TFLM((conversion / f"cell_{kind}.tflite").read_bytes())
    for each in series:
        numbers, celsius = board(kind).forecasts(each.readings)
        assert numbers == each.streamed.accepted.tolist()
        assert np.abs(celsius - each.forecasts(runtime, program)[each.streamed.made]).max() < 1e-4


@pytest.mark.parametrize("kind", TYPES)
def test_its_own_golden_vectors_pass(board, conversion: Path, kind: str) -> None:
    status, worst = board(kind).golden((conversion / f"golden_{kind}.bin").read_bytes())
    assert status is Status.OK
    assert worst < 1e-4


def test_golden_vectors_of_another_type_do_not_match_to_the_same_digit(board, conversion: Path) -> None:
    _, worst = board("int8").golden((conversion / "golden_float32.bin").read_bytes())
    assert worst > 1e-4


def test_a_forecast_that_is_off_is_a_mismatch(board, conversion: Path) -> None:
    payload = bytearray((conversion / "golden_float32.bin").read_bytes())
    payload[-4:] = np.float32(99).tobytes()
    status, worst = board("float32").golden(bytes(payload))
    assert status is Status.GOLDEN_MISMATCH
    assert worst > 10


def test_golden_vectors_that_end_early_are_refused(board, conversion: Path) -> None:
    status, worst = board("int8").golden((conversion / "golden_int8.bin").read_bytes()[:-1])
    assert status is Status.GOLDEN_LENGTH
    assert np.isnan(worst)


def test_a_board_begins_anew_with_each_series(board) -> None:
    host = board("int16x8")
    readings = [(600_000 * n, 20_000_000 + 300_000 * (n % 5)) for n in range(20)]
    _, first = host.forecasts(readings)
    _, again = host.forecasts(readings)
    assert np.array_equal(first, again)


def test_no_readings_make_no_forecasts(board, program) -> None:
    numbers, celsius = board("int8").forecasts([])
    assert numbers == []
    assert celsius.shape == (0, program.horizon)


def test_the_buffer_is_as_large_as_the_program_says(board, program) -> None:
    assert board("int8").buffer_bytes == program.buffer_bytes


@pytest.mark.parametrize("payload", [b"\0" * 24, b"\xff" * 56])
def test_a_program_that_is_none_is_refused_by_name(board, payload: bytes) -> None:
    with pytest.raises(ConversionError, match=r"^the firmware refuses the feature program: \w+ \(-6\d\d, "):
        board("int8", payload)


def test_a_program_of_other_inputs_is_refused(board, conversion: Path, program) -> None:
    from deployers.conversion.features import encode_program

    cleaning = json.loads((conversion / "features.json").read_text())["cleaning"]
    one = encode_program(program.select(program.names[:1]), cleaning)
    with pytest.raises(ConversionError, match="FORECAST_MODEL"):
        board("int8", one)


def test_a_time_no_board_knows_is_refused(board) -> None:
    with pytest.raises(ConversionError, match="refuses reading 0: FORECAST_TIME"):
        board("int8").forecasts([(-1, 20_000_000)])
