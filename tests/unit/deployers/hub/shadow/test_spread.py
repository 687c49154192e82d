"""What the simulated days stand for: how the skill of two forecasters differs from day to day on measured readings."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tests.reference import reference_csv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

SENSORS = ["living_room", "laundry", "bedroom", "weather_station"]
STEPS, HORIZON, BEGIN = 144, 3, 40
USUAL = ((1, 2, 3, 6, 18), 0, 40)
# Trained on other days, or reading less or more.
OTHERS = [((1, 2, 3, 6, 18), 0, 20), ((1, 2, 3, 6, 18), 20, 40), ((1, 2), 0, 40), ((1,), 0, 40)]
OTHERS += [((1, 2, 3, 6, 18, 36, 72), 0, 40)]


@cache
def measured(user: str) -> tuple[Doubles, Doubles]:
    frame = pd.read_csv(reference_csv())
    frame = frame[frame["user"] == user].sort_values("time_point")
    hours = pd.to_datetime(frame["time_point"]).to_numpy("datetime64[ms]").astype(np.int64) % 86_400_000
    return hours / 86_400_000, frame["value"].to_numpy(np.float64)


def daily_skill(user: str, lags: tuple[int, ...], first: int, last: int) -> Doubles:
    """Of a linear forecaster that was trained on some days, on the days after all training."""
    day, celsius = measured(user)
    past = [np.r_[np.zeros(lag), celsius[lag:] - celsius[:-lag]] for lag in lags]
    x = np.stack([np.ones(len(day)), np.sin(2 * np.pi * day), np.cos(2 * np.pi * day), *past], axis=1)
    count = len(celsius) - HORIZON
    ahead = np.stack([celsius[k : k + count] for k in range(1, HORIZON + 1)], axis=1) - celsius[:count, None]
    trained = slice(first * STEPS, last * STEPS)
    weights = np.linalg.solve(x[trained].T @ x[trained] + np.eye(x.shape[1]), x[trained].T @ ahead[trained])
    model, persistence = (np.abs(e).sum(axis=1)[BEGIN * STEPS :] for e in (ahead - x[:count] @ weights, ahead))
    days = len(model) // STEPS
    model, persistence = (e[: days * STEPS].reshape(days, STEPS).sum(axis=1) for e in (model, persistence))
    return np.asarray(1 - model / persistence)


def test_spread_and_correlation_of_the_difference_are_those_that_are_simulated() -> None:
    apart = [daily_skill(user, *other) - daily_skill(user, *USUAL) for user in SENSORS for other in OTHERS]
    assert min(map(len, apart)) > 90
    spread = [each.std(ddof=1) for each in apart]
    correlation = [np.corrcoef(each[1:], each[:-1])[0, 1] for each in apart]
    assert 0.01 < np.median(spread) < 0.02, "0.015"
    assert max(spread) < 0.045
    assert 0.05 < np.median(correlation) < 0.15, "0.12"
