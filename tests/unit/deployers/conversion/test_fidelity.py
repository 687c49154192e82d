"""Figures of a converted cell: against the float model, against the truth, and over time."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from deployers.conversion import fidelity
from deployers.conversion.features import FeatureProgram
from deployers.conversion.fidelity import DRIFT_STEPS, TestPart, compared, errors_against_truth, run_part
from deployers.conversion.runtimes import TFLM
from deployers.exceptions import MissingTool, ReleaseError
from tests.unit.deployers.conftest import HORIZON, INPUTS, sequences

MINUTE = 60_000_000


# The truth


def test_the_truth_is_what_came_later_in_the_same_segment() -> None:
    value = np.array([1.0, 2.0, 4.0, 10.0, 20.0])
    truth = fidelity.changes_ahead(value, np.array([0, 0, 0, 1, 1]), np.zeros(5, bool), 2)
    nan = np.nan
    expected = np.array([[1, 3], [2, nan], [nan, nan], [10, nan], [nan, nan]])
    assert np.array_equal(truth, expected, equal_nan=True)


def test_filled_readings_are_no_truth() -> None:
    truth = fidelity.changes_ahead(np.arange(4.0), np.zeros(4, int), np.array([False, False, True, False]), 2)
    assert np.isnan(truth).tolist() == [[False, True], [True, False], [False, True], [True, True]]


def test_a_horizon_longer_than_the_part_has_no_truth() -> None:
    truth = fidelity.changes_ahead(np.arange(3.0), np.zeros(3, int), np.zeros(3, bool), 5)
    assert np.isfinite(truth).sum(axis=0).tolist() == [2, 1, 0, 0, 0]


def test_errors_are_told_by_horizon_and_over_all() -> None:
    truth = np.array([[0.0, np.nan], [0.0, 1.0]])
    found = errors_against_truth(np.array([[1.0, 9.0], [-3.0, 1.5]]), truth)
    assert found["mae"] == pytest.approx((1 + 3 + 0.5) / 3)
    assert found["rmse"] == pytest.approx(np.sqrt((1 + 9 + 0.25) / 3))
    assert [part["mae"] for part in found["by_horizon"]] == [2.0, 0.5]
    assert [part["count"] for part in found["by_horizon"]] == [2, 1]


def test_errors_are_told_by_day_beside_persistence() -> None:
    day = 86_400_000_000
    time = np.array([0, day - 1, 20_000 * day, 20_001 * day])
    truth = np.array([[1.0, -2.0], [3.0, np.nan], [0.5, 0.5], [np.nan, np.nan]])
    program = FeatureProgram(("difference:1",), (1.0,), 0.5, 60, 2)
    rows = TestPart(program, time, np.zeros(4), np.zeros(1, int), np.zeros((4, 1), np.float32), truth)
    found = fidelity.errors_by_day(np.array([[1.0, 0.0], [2.0, 9.0], [1.0, 1.0], [0.0, 0.0]]), rows)
    assert found == [
        {"day": "1970-01-01", "model": 1.0, "persistence": 2.0, "count": 3},
        {"day": "2024-10-04", "model": 0.5, "persistence": 0.5, "count": 2},
    ]


def test_a_forecast_that_is_no_number_is_not_left_out() -> None:
    truth = np.array([[0.0, np.nan], [0.0, 1.0]])
    found = errors_against_truth(np.array([[np.nan, 9.0], [0.0, 1.5]]), truth)
    assert np.isnan(found["mae"])
    assert np.isnan(found["by_horizon"][0]["mae"])
    assert found["by_horizon"][1] == {"mae": 0.5, "rmse": 0.5, "count": 1}
    assert np.isnan(fidelity._growth(found["mae"], 1.0))  # noqa: SLF001


def test_drift_is_the_root_mean_square_of_each_window(monkeypatch, part: TestPart, forms) -> None:
    real_states, file, off = TFLM.real_states, forms["gru"].files["float32"], cycle([0.5, 0.0])
    monkeypatch.setattr(TFLM, "real_states", lambda self: 0 * real_states(self) + np.float32(next(off)))
    _, drift, largest = fidelity._drift(file, file, part.features)  # noqa: SLF001
    assert drift.tolist() == [0.5] * len(drift)
    assert largest == 0.5


def test_a_state_that_is_no_number_is_not_passed_over(monkeypatch, part: TestPart, forms) -> None:
    real_states, file = TFLM.real_states, forms["gru"].files["float32"]
    calls = iter([float("nan")])
    monkeypatch.setattr(TFLM, "real_states", lambda self: real_states(self) + np.float32(next(calls, 0.0)))
    _, drift, largest = fidelity._drift(file, file, part.features)  # noqa: SLF001
    assert np.isnan(drift[0])
    assert drift[-1] == 0
    assert np.isnan(largest)


def test_without_any_truth_nothing_is_measured() -> None:
    found = errors_against_truth(np.zeros((2, 1)), np.full((2, 1), np.nan))
    assert (found["mae"], found["rmse"], found["count"]) == (None, None, 0)
    assert np.isnan(fidelity._growth(None, 1.0))  # noqa: SLF001
    assert np.isnan(fidelity._growth(1.0, 0.0))  # noqa: SLF001


# The test part


def test_the_test_part_is_that_of_the_release(release: Path) -> None:
    part, stored = TestPart.load(release), np.load(release / "test.npz")
    assert np.array_equal(part.time, stored["time"])
    assert part.features.shape == (len(part.time), len(part.program.names))
    assert part.truth.shape == (len(part.time), part.program.horizon)
    assert part.starts[0] == 0


def test_a_release_without_a_test_part_says_so(copied_release: Path) -> None:
    (copied_release / "test.npz").unlink()
    with pytest.raises(ReleaseError, match=r"has no test\.npz, it was written by an earlier edgeloop: train again"):
        TestPart.load(copied_release)


def test_an_empty_test_part_says_so(copied_release: Path) -> None:
    stored = np.load(copied_release / "test.npz")
    np.savez(copied_release / "test.npz", **{name: stored[name][:0] for name in stored.files})
    with pytest.raises(ReleaseError, match=r"has no rows: train again on more readings"):
        TestPart.load(copied_release)


# One type measured


@pytest.fixture(scope="module")
def part() -> TestPart:
    """Two segments of one of the tests' walks; the truth is zero."""
    features = np.concatenate(sequences(6)[:2])
    rows = len(features)
    program = FeatureProgram(("difference:1", "difference:2", "difference:3"), (1.0,) * INPUTS, 0.5, 60, HORIZON)
    time = np.arange(rows, dtype=np.int64) * MINUTE
    starts = np.array([0, rows // 2])
    return TestPart(program, time, np.full(rows, 20.0), starts, features, np.zeros((rows, HORIZON)))


@pytest.fixture(scope="module")
def reference(part: TestPart, forms):
    found = forms["gru"]
    parts = [found.model(half[None], training=False).numpy()[0] for half in np.split(part.features, 2)]
    return np.concatenate(parts).astype(np.float64) * part.program.target_scale


@pytest.fixture(scope="module")
def measured(part: TestPart, reference, forms):
    files = forms["gru"].files
    runs = {kind: run_part(kind, file, files["float32"], part) for kind, file in files.items()}
    return {kind: compared(made, part, reference) for kind, made in runs.items()}


def test_float_is_the_float_model(measured) -> None:
    figures = measured["float32"].figures
    assert abs(figures["mae_growth"]) < 1e-6
    assert figures["error"]["largest"]["celsius"] < 1e-6
    assert figures["drift"] == {"steps": DRIFT_STEPS, "rms": 0.0, "first_rms": 0.0, "largest": 0.0}
    assert figures["saturation"] == {}


@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_the_largest_error_is_told_with_its_place(measured, part: TestPart, reference, forms, kind: str) -> None:
    made = TFLM(forms["gru"].files[kind]).forecasts(part.features, part.starts) * part.program.target_scale
    difference = np.abs(made - reference)
    row, step = np.unravel_index(difference.argmax(), difference.shape)
    largest = measured[kind].figures["error"]["largest"]
    assert largest["celsius"] == pytest.approx(difference.max(), rel=1e-5)
    assert largest["horizon"] == step + 1
    assert np.datetime64(largest["time"]) == np.datetime64(int(part.time[row]), "us")
    by_horizon = measured[kind].figures["error"]["by_horizon"]
    assert [each["largest"] for each in by_horizon] == pytest.approx(difference.max(axis=0), rel=1e-5)
    assert all(each["mean"] <= each["p99"] <= each["largest"] for each in by_horizon)


def test_more_bits_are_nearer(measured) -> None:
    int8, int16 = (measured[kind].figures for kind in ("int8", "int16x8"))
    assert int16["error"]["mean"] < int8["error"]["mean"]
    assert int16["drift"]["rms"] < int8["drift"]["rms"]


def test_a_carried_state_does_not_run_away(measured) -> None:
    steps, drift = measured["int8"].drift
    assert steps[-1] == DRIFT_STEPS
    assert len(steps) == len(drift) == 40
    assert drift[-10:].mean() < 2 * drift[:10].mean() + 1e-6


def test_cost_is_told_with_the_runtime(measured, forms) -> None:
    for kind, found in measured.items():
        assert found.figures["file_bytes"] == len(forms["gru"].files[kind])
        assert 0 < found.figures["arena_bytes"] < 4096
        assert found.figures["runtime"] == "TFLM, reference kernels"


def test_values_at_a_limit_are_counted(measured, part: TestPart) -> None:
    counts = measured["int8"].figures["saturation"]
    rows = len(part.features)
    assert counts["x"]["values"] == rows * INPUTS
    assert counts["y"]["values"] == rows * HORIZON
    assert {"FULLY_CONNECTED", "ADD", "MUL", "SUB", "h0_next"} <= set(counts)
    assert "LOGISTIC" not in counts
    assert all(0 <= each["at_limit"] <= each["values"] for each in counts.values())


def test_loud_features_are_counted_as_saturated(part: TestPart, forms) -> None:
    file = forms["gru"].files["int8"]
    loud = replace(part, features=part.features * np.float32(50))
    quiet, counts = fidelity._saturation(file, part), fidelity._saturation(file, loud)  # noqa: SLF001
    assert counts["x"]["at_limit"] > 0.5 * counts["x"]["values"]
    assert quiet["x"]["at_limit"] < 0.1 * quiet["x"]["values"]


def test_segments_are_counted_each_from_nothing(part: TestPart, forms) -> None:
    file, half = forms["gru"].files["int8"], len(part.features) // 2
    loud = replace(part, features=part.features * np.float32(6))
    halves = [
        replace(loud, features=loud.features[rows], starts=np.array([0])) for rows in (slice(half), slice(half, None))
    ]
    both = fidelity._saturation(file, loud)  # noqa: SLF001
    first, second = (fidelity._saturation(file, each) for each in halves)  # noqa: SLF001
    assert {name: counts["at_limit"] for name, counts in both.items()} == {
        name: first[name]["at_limit"] + second[name]["at_limit"] for name in both
    }
    through = fidelity._saturation(file, replace(loud, starts=np.array([0])))  # noqa: SLF001
    assert through != both


def test_zero_after_relu_is_no_saturation(part: TestPart, forms) -> None:
    counts = fidelity._saturation(forms["gru_dense"].files["int8"], part)  # noqa: SLF001
    assert counts["FULLY_CONNECTED"]["at_limit"] < 0.02 * counts["FULLY_CONNECTED"]["values"]


def test_without_an_engine_its_arena_is_not_known(monkeypatch, forms) -> None:
    asked: list[bool] = []

    def missing(_: bytes, *, build: bool) -> None:
        asked.append(build)
        msg = "no compiler"
        raise MissingTool(msg)

    monkeypatch.setattr(fidelity, "Engine", missing)
    assert fidelity._arena_bytes(forms["gru"].files["int8"], build=False) is None  # noqa: SLF001
    assert asked == [False]


def test_the_figures_are_plain(measured) -> None:
    for found in measured.values():
        assert json.loads(json.dumps(found.figures)) == found.figures
