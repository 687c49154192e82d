"""Golden vectors of each type: its own forecasts of the release's readings, and no more than a slot has room for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployers.conversion.features import FeatureProgram
from deployers.conversion.golden import (
    LEAST_TOLERANCE,
    OUTPUT_STEPS,
    PAYLOAD_BYTES,
    _kept,
    board_golden,
    golden_series,
    keras_difference,
    largest,
)
from deployers.conversion.runtimes import TFLM
from deployers.conversion.stream import decode_golden
from deployers.exceptions import ReleaseError


@pytest.fixture(scope="module")
def golden(release: Path) -> dict[str, Any]:
    return dict(json.loads((release / "golden.json").read_text()))


@pytest.fixture(scope="module")
def fields(release: Path) -> dict[str, Any]:
    return dict(json.loads((release / "features.json").read_text()))


@pytest.fixture(scope="module")
def program(fields: dict[str, Any]) -> FeatureProgram:
    return FeatureProgram.from_dict(fields["program"])


@pytest.fixture(scope="module")
def series(golden, program, fields):
    return golden_series(golden, program, fields["cleaning"])


def test_every_vector_of_the_release_is_there(golden, series) -> None:
    assert [each.name for each in series] == [vector["name"] for vector in golden["vectors"]]
    assert {"calm", "agitated", "jitter", "two readings missing"} == {each.name for each in series}


def test_the_float_cell_says_what_keras_said(series, program, proof) -> None:
    runtime = TFLM(proof.files["float32"])
    for each in series:
        assert np.abs(each.forecasts(runtime, program)[each.rows] - each.keras).max() < 2e-6


def test_a_gap_makes_steps_without_a_reading(series) -> None:
    gap = next(each for each in series if each.name == "two readings missing")
    assert len(gap.streamed.times) == len(gap.readings) + 2
    assert len(gap.streamed.made) == len(gap.readings)


@pytest.mark.parametrize("kind", ["float32", "int8", "int16x8"])
def test_a_board_gets_the_forecasts_of_its_own_type(series, program, proof, kind: str) -> None:
    runtime = TFLM(proof.files[kind])
    decoded = decode_golden(board_golden(proof.files[kind], series, program), program.horizon)
    step = 0.0 if kind == "float32" else runtime.outputs[0].scale * program.target_scale
    for vector, each in zip(decoded, series, strict=True):
        assert vector.tolerance == pytest.approx(max(LEAST_TOLERANCE, OUTPUT_STEPS * step))
        made = each.forecasts(runtime, program)[each.streamed.made]
        at = np.searchsorted([time for time, _ in each.readings], vector.forecast_times)
        rows = np.searchsorted(each.streamed.accepted, at)
        assert np.array_equal(vector.forecasts, made[rows].astype(np.float32))


@pytest.mark.parametrize("kind", ["float32", "int8", "int16x8"])
def test_how_far_a_type_is_from_keras_is_told_with_its_runtime(series, program, proof, kind: str) -> None:
    runtime = TFLM(proof.files[kind])
    apart = [np.abs(each.forecasts(runtime, program)[each.rows] - each.keras).max() for each in series]
    assert keras_difference(proof.files[kind], series, program) == {"runtime": "TFLM", "celsius": max(apart)}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_infinitely_far(value: float) -> None:
    assert largest(np.array([0.0, value]), np.zeros(2)) == float("inf")
    assert largest(np.array([0.5, -2.0]), np.zeros(2)) == 2.0


@pytest.mark.parametrize(("horizon", "expected"), [(6, 96), (144, 8), (288, 4)])
def test_long_horizons_keep_fewer_forecasts(horizon: int, expected: int) -> None:
    kept = _kept(96, 96, horizon, PAYLOAD_BYTES // 4)
    assert len(kept) == expected
    assert kept[-1] == 95
    assert 12 * 96 + len(kept) * (8 + 4 * horizon) <= PAYLOAD_BYTES // 4


def test_one_forecast_is_kept_whatever_the_room() -> None:
    assert _kept(5000, 5000, 288, 100).tolist() == [4999]
    assert _kept(1, 1, 6, 10_000).tolist() == [0]


def test_a_forecast_at_no_step_is_refused(golden, program, fields) -> None:
    vector = {**golden["vectors"][0]}
    vector["grid_times"] = ["2001-01-01T00:00:00", *vector["grid_times"][1:]]
    with pytest.raises(
        ReleaseError, match=r"^golden vector 'calm' has no step at '2001-01-01T00:00:00', expected .*: train"
    ):
        golden_series({"vectors": [vector]}, program, fields["cleaning"])


def test_forecasts_of_another_horizon_are_refused(golden, program, fields) -> None:
    vector = {**golden["vectors"][0]}
    vector["forecasts"] = [row[:-1] for row in vector["forecasts"]]
    with pytest.raises(ReleaseError, match=r"forecasts of shape \(96, 2\), expected \(96, 3\) forecasts"):
        golden_series({"vectors": [vector]}, program, fields["cleaning"])
