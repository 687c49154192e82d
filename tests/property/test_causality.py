"""No future reading changes a past feature, no validation or test reading the scaler, no forecast the past."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecaster.features import FeatureConfig, features, fit_program
from forecaster.gru.architecture import FORMS, Architecture
from forecaster.gru.network import initial_weights, stream_network
from forecaster.streaming import stream_forecasts
from tests.synthetic import CADENCE, grid

ALL = FeatureConfig(differences=(1, 3, 18), deviations=(6, 36), harmonics=2, weekday=True)
ROWS = 400


@given(row=st.integers(1, ROWS - 1), change=st.floats(-50, 50), seed=st.integers(0, 5))
@settings(max_examples=60)
def test_no_future_reading_changes_a_past_feature(row: int, change: float, seed: int) -> None:
    table = grid(ROWS, seed, breaks=(150,))
    program = fit_program(table, ALL, CADENCE, 6)
    before = features(table, program)
    table.loc[row:, "value"] += change
    after = features(table, program)
    assert np.array_equal(before[:row], after[:row])


@given(row=st.integers(int(ROWS * 0.7), ROWS - 1), value=st.floats(-100, 100))
@settings(max_examples=60)
def test_no_validation_or_test_reading_changes_the_scaler(row: int, value: float) -> None:
    table = grid(ROWS)
    program = fit_program(table, ALL, CADENCE, 6)
    table.loc[row:, "value"] = value
    assert fit_program(table, ALL, CADENCE, 6) == program


@given(row=st.integers(1, ROWS - 1), change=st.floats(0.1, 50), form=st.sampled_from(FORMS))
@settings(max_examples=30)
def test_no_future_reading_changes_a_past_forecast(row: int, change: float, form: str) -> None:
    table = grid(ROWS, breaks=(150,))
    program = fit_program(table, ALL, CADENCE, 6)
    architecture = Architecture(len(program.names), 6, 5, form)
    network = stream_network(architecture, initial_weights(architecture, np.random.default_rng(1)))
    before = stream_forecasts(table, program, network)
    table.loc[row:, "value"] += change
    after = stream_forecasts(table, program, network)
    assert np.array_equal(before[:row], after[:row])
    assert not np.allclose(before[row], after[row])
