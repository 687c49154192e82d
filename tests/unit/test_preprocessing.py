"""From raw readings to forecasts: rules, segments, and the network in between."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from forecaster.errors import ReadingError
from forecaster.gru.architecture import Architecture
from forecaster.gru.network import initial_weights, stream_network
from forecaster.preprocessing import Preprocessing
from forecaster.streaming import segments, stream_forecasts
from tests.synthetic import CADENCE, dataset, grid, readings

PROGRAM = dataset().program
PLAIN = Preprocessing.as_trained(PROGRAM, {})


def constant(residual: float):
    """A network that always forecasts the same scaled change."""
    return lambda x: np.full((1, x.shape[1], PROGRAM.horizon), residual, np.float32)


def remembering():
    """A network with weights of its own, whose answer depends on everything since its first step."""
    architecture = Architecture(len(PROGRAM.names), PROGRAM.horizon, 4)
    weights = initial_weights(architecture, np.random.default_rng(3)) * np.float32(4)
    return stream_network(architecture, weights)


def test_a_forecast_is_the_reading_plus_the_scaled_change() -> None:
    table, made = PLAIN.forecasts(readings(50), constant(0.5))
    assert made.shape == (50, PROGRAM.horizon)
    expected = table["value"].to_numpy() + 0.5 * PROGRAM.target_scale
    assert made[:, 0] == pytest.approx(expected)
    assert made[:, -1] == pytest.approx(expected)


def test_the_network_sees_scaled_features_in_the_order_of_the_program() -> None:
    seen: list[np.ndarray] = []

    def look(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return np.zeros((1, x.shape[1], PROGRAM.horizon), np.float32)

    table, _ = PLAIN.forecasts(readings(30), look)
    first = PROGRAM.names.index("difference:1")
    assert seen[0].dtype == np.float32
    assert seen[0].shape == (1, 30, len(PROGRAM.names))
    steps = np.diff(table["value"].to_numpy()) / PROGRAM.scales[first]
    assert seen[0][0, 1:, first] == pytest.approx(steps, rel=1e-5, abs=1e-6)


def test_a_short_gap_is_held_and_forecast_over() -> None:
    table, made = PLAIN.forecasts(readings(60).drop(index=[20, 21]), constant(0.0))
    assert len(made) == 60
    assert table["filled"].sum() == 2
    assert made[20, 0] == made[21, 0] == table["value"][19]


def test_a_long_gap_begins_a_new_state() -> None:
    network = remembering()
    whole = readings(120)
    table, made = PLAIN.forecasts(whole.drop(index=range(50, 70)), network)
    assert table["segment"].nunique() == 2
    _, alone = PLAIN.forecasts(whole.iloc[70:].reset_index(drop=True), network)
    assert made[50:] == pytest.approx(alone)


def test_the_state_is_carried_inside_a_segment() -> None:
    network = remembering()
    _, whole = PLAIN.forecasts(readings(80), network)
    _, late = PLAIN.forecasts(readings(80).iloc[60:].reset_index(drop=True), network)
    assert not np.allclose(whole[60:63], late[:3])


@pytest.mark.parametrize(("held", "rows"), [(0, 57), (2, 57), (3, 60)])
def test_the_rules_of_the_training_decide_what_is_held(held: int, rows: int) -> None:
    preprocessing = Preprocessing.as_trained(PROGRAM, {"max_hold_steps": held})
    table, _ = preprocessing.forecasts(readings(60).drop(index=[30, 31, 32]), constant(0.0))
    assert len(table) == rows


def test_only_cadence_and_shortest_segment_are_set_anew() -> None:
    trained = {"max_hold_steps": 9, "conflicts": "median", "min_segment_steps": 48, "cadence_seconds": None}
    cleaning = Preprocessing.as_trained(PROGRAM, trained).cleaning
    assert (cleaning.max_hold_steps, cleaning.conflicts) == (9, "median")
    assert (cleaning.min_segment_steps, cleaning.cadence_seconds) == (1, CADENCE)


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(ValidationError, match="interpolate"):
        Preprocessing.as_trained(PROGRAM, {"interpolate": True})


def test_it_survives_json() -> None:
    again = Preprocessing.from_dict(json.loads(json.dumps(PLAIN.as_dict())))
    assert again == PLAIN


def test_readings_of_another_cadence_fall_off_the_grid() -> None:
    minutes = readings(10).assign(time=pd.date_range("2024-03-01", periods=10, freq="min").astype("datetime64[us]"))
    table, _ = PLAIN.forecasts(minutes, constant(0.0))
    assert len(table) <= 2


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_readings_are_refused(rows: int) -> None:
    with pytest.raises(ReadingError, match="reading"):
        PLAIN.forecasts(readings(5).iloc[:rows], constant(0.0))


def test_segments_are_runs_of_one_label() -> None:
    found = segments(grid(10, breaks=(3, 7)))
    assert [rows.tolist() for rows in found] == [[0, 1, 2], [3, 4, 5, 6], [7, 8, 9]]


def test_each_segment_is_streamed_by_itself() -> None:
    lengths: list[int] = []

    def count(x: np.ndarray) -> np.ndarray:
        lengths.append(x.shape[1])
        return np.zeros((1, x.shape[1], PROGRAM.horizon), np.float32)

    stream_forecasts(grid(10, breaks=(3, 7)), PROGRAM, count)
    assert lengths == [3, 4, 3]
