"""The measured readings: nothing is raised from winter to spring, and what is put in is found."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from deployers.hub.monitor.told import standing
from deployers.hub.monitor.watch import Model, Watch
from deployers.hub.store import StoredForecast, StoredReading
from tests.monitoring import CADENCE_MS, RULES, STEPS_A_DAY
from tests.reference import reference_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

SENSORS = ["living_room", "laundry", "bedroom", "weather_station"]
LAGS, HORIZON, TRAINED_DAYS = (1, 2, 3, 6, 18), 3, 40


@cache
def measured(user: str) -> tuple[NDArray[np.int64], Doubles]:
    frame = pd.read_csv(reference_csv())
    frame = frame[frame["user"] == user].sort_values("time_point")
    return pd.to_datetime(frame["time_point"]).to_numpy("datetime64[ms]").astype(np.int64), frame["value"].to_numpy()


def features(times: NDArray[np.int64], celsius: Doubles) -> Doubles:
    """What a linear forecaster reads: differences and the hour of day, as far as each time has seen."""
    angle = 2 * np.pi * (times % 86_400_000) / 86_400_000
    columns = [np.r_[np.zeros(lag), celsius[lag:] - celsius[:-lag]] for lag in LAGS]
    return np.stack([np.ones(len(celsius)), np.sin(angle), np.cos(angle), *columns], axis=1)


def fitted(times: NDArray[np.int64], celsius: Doubles) -> Doubles:
    """Its weights by the first days: `(features, horizon)`."""
    x = features(times, celsius)[: TRAINED_DAYS * STEPS_A_DAY]
    y = np.stack([celsius[k : k + len(x)] - celsius[: len(x)] for k in range(1, HORIZON + 1)], axis=1)
    weights: Doubles = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y)
    return weights


def live(user: str, change: Callable[[Doubles], Doubles] = lambda celsius: celsius, days: int = 90) -> Any:
    """A watch after so many days; what the sensor measures is changed by `change`, what it forecasts follows.

    Returns:
        The watch, and the states after each day with what they came from.
    """
    times, true = measured(user)
    weights, begin = fitted(times, true), TRAINED_DAYS * STEPS_A_DAY
    celsius = np.r_[true[:begin], change(true[begin:])]
    made = celsius[:, None] + features(times, celsius) @ weights
    watch, states = Watch(RULES, lambda _: Model(CADENCE_MS)), []
    for at in range(begin, min(begin + days * STEPS_A_DAY, len(times))):
        if np.isnan(celsius[at]):
            continue
        time = int(times[at])
        watch.reading(StoredReading(at, user, time, round(celsius[at] * 1e6), time + 500))
        watch.forecast(StoredForecast(user, "hub", time, 1, 0, tuple(map(float, made[at])), time + 600))
        if at % STEPS_A_DAY == 0:
            level, cause = standing(watch.findings(time + 700))
            states.append((level, cause.test if cause is not None else None))
    return watch, states


@pytest.mark.parametrize("user", SENSORS)
def test_winter_to_spring_is_no_alarm(user: str) -> None:
    watch, states = live(user)
    assert watch.state.decay.judged >= 70
    assert "alarm" not in {level for level, _ in states}
    named = {test for level, test in states if level != "ok"}
    assert named <= {"skill", "slump", "jitter", "jump"}
    assert sum(level != "ok" for level, _ in states) <= 0.1 * len(states)


AFTER = 30 * STEPS_A_DAY


def stuck(celsius: Doubles) -> Doubles:
    return np.r_[celsius[:AFTER], np.full(len(celsius) - AFTER, celsius[AFTER])]


def broken_wire(celsius: Doubles) -> Doubles:
    return np.r_[celsius[:AFTER], np.full(len(celsius) - AFTER, -127.0)]


def gappy(celsius: Doubles) -> Doubles:
    lost = np.random.default_rng(1).random(len(celsius)) < 0.5
    return np.where(lost & (np.arange(len(celsius)) >= AFTER), np.nan, celsius)


@pytest.mark.parametrize("user", ["living_room", "bedroom"])
@pytest.mark.parametrize(("fault", "test"), [(stuck, "stuck"), (broken_wire, "range")])
def test_a_fault_of_a_sensor_is_named_within_two_days(user: str, fault: Any, test: str) -> None:
    _, states = live(user, fault, days=34)
    assert ("alarm", test) not in states[:30]
    assert states[32] == ("alarm", test)


def test_readings_that_lack_are_named_and_are_no_decay() -> None:
    watch, states = live("living_room", gappy, days=40)
    assert states[33] == ("alarm", "gaps")
    assert watch.state.decay.level == "ok"


@pytest.mark.parametrize("user", [each for each in SENSORS if each != "bedroom"])
def test_noise_that_the_model_does_not_know_is_found_as_decay(user: str) -> None:
    """Repeating the last reading suffers too, a forecaster suffers more. The bedroom's has no skill to lose."""
    random = np.random.default_rng(2)

    def noisy(celsius: Doubles) -> Doubles:
        spread = 0.3 * (np.arange(len(celsius)) >= AFTER)
        return celsius + spread * random.normal(0, 1, len(celsius))

    _, states = live(user, noisy, days=50)
    assert all(level != "alarm" for level, _ in states[:30])
    assert ("alarm", "skill") in states[30:]


def test_noise_is_named_as_drift_of_the_readings_as_well() -> None:
    random = np.random.default_rng(3)
    watch, states = live(
        "living_room", lambda c: c + 0.2 * (np.arange(len(c)) >= AFTER) * random.normal(0, 1, len(c)), days=40
    )
    drift = next(each for each in watch.findings(0) if each.test == "drift")
    assert drift.level == "warning"
    assert "readings of the last week differ from the first 14 days'" in drift.reason
    assert all(test != "drift" for _, test in states[:30])
