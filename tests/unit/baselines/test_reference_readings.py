"""On the reference readings the baselines have the errors that were measured before this code was written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecaster.baselines import baseline_forecasts, standard_baselines
from forecaster.metrics import ForecastMetrics, naive_scale, score, truth
from forecaster.splitting import SplitConfig, split
from tests.reference import reference_csv

HORIZON, CADENCE = 6, 600
# RMSE °C, MAE °C and MAPE %; the last origins, whose horizons end in part behind the readings, were left out there.
MEASURED = {
    "persistence": (0.4180, 0.2166, 0.895),
    "drift": (0.3815, 0.1676, 0.686),
    "seasonal naive": (1.5295, 1.0909, 4.55),
    "ridge": (0.2954, 0.1404, 0.585),
}
TOLERANCES = (5e-4, 5e-4, 6e-3)


@pytest.fixture(scope="module")
def living_room() -> pd.DataFrame:
    readings = pd.read_csv(reference_csv(), parse_dates=["time_point"])
    readings = readings[readings["user"] == "living_room"].reset_index(drop=True)
    time_column = readings["time_point"].astype("datetime64[us]")
    table = pd.DataFrame({"time": time_column, "value": readings["value"], "segment": 0, "filled": False})
    return split(table, SplitConfig())


@pytest.fixture(scope="module")
def forecasts(living_room: pd.DataFrame) -> dict[str, np.ndarray]:
    return baseline_forecasts(living_room, HORIZON, CADENCE)


def errors(living_room: pd.DataFrame, forecasts: np.ndarray) -> ForecastMetrics:
    test = (living_room["part"] == "test").to_numpy()
    return score(forecasts[test], truth(living_room, HORIZON)[test], naive_scale(living_room))


@pytest.mark.parametrize("name", MEASURED)
def test_errors_are_those_measured(living_room: pd.DataFrame, forecasts: dict[str, np.ndarray], name: str) -> None:
    found = errors(living_room, forecasts[name]).overall
    for value, expected, tolerance in zip((found.rmse, found.mae, found.mape), MEASURED[name], TOLERANCES, strict=True):
        assert value == pytest.approx(expected, abs=tolerance)


def test_the_damped_trend_lies_between_drift_and_ridge(
    living_room: pd.DataFrame, forecasts: dict[str, np.ndarray]
) -> None:
    rmse = {name: errors(living_room, made).overall.rmse for name, made in forecasts.items()}
    assert rmse["ridge"] < rmse["damped trend"] < rmse["drift"] < rmse["persistence"]


def test_every_baseline_answers_for_every_row(living_room: pd.DataFrame, forecasts: dict[str, np.ndarray]) -> None:
    assert list(forecasts) == [baseline.name for baseline in standard_baselines()]
    for made in forecasts.values():
        assert made.shape == (len(living_room), HORIZON)
        assert np.isfinite(made).all()
