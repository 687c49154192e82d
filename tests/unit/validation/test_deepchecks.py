"""Deepchecks stays quiet and offline, and its results arrive as conditions."""

from __future__ import annotations

import importlib
import logging
import math
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from forecaster.validation import ValidationConfig, integrity
from forecaster.validation.integrity import deepchecks_conditions, feature_table

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = ValidationConfig()
NETWORK_EVENTS: list[str] = []
WATCH = {"on": False}


def _watch(event: str, _arguments: Any) -> None:
    if WATCH["on"] and event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"}:
        NETWORK_EVENTS.append(event)


@pytest.fixture(scope="module", autouse=True)
def _audit() -> None:
    sys.addaudithook(_watch)  # cannot be taken away again, only switched off


@pytest.fixture
def network() -> Iterator[list[str]]:
    NETWORK_EVENTS.clear()
    WATCH["on"] = True
    yield NETWORK_EVENTS
    WATCH["on"] = False


def measured(case: Any, **limits: Any) -> dict[str, Any]:
    conditions, values = deepchecks_conditions(case.grid, case.parts, ValidationConfig(**limits))
    return {condition.name: condition for condition in conditions} | values


def test_no_network_no_output_no_warning(
    room: Any, network: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISABLE_DEEPCHECKS_ANONYMOUS_TELEMETRY", "")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        deepchecks_conditions(room.grid, room.parts, CONFIG)
    telemetry = importlib.import_module("deepchecks.analytics.anonymous_telemetry")
    assert telemetry.ANALYTICS_DISABLED
    assert network == []
    assert capfd.readouterr() == ("", "")
    assert caught == []


def test_filters_and_log_level_are_given_back(room: Any) -> None:
    deepchecks_conditions(room.grid, room.parts, CONFIG)
    filters, level = list(warnings.filters), logging.getLogger("deepchecks").level
    logging.getLogger("deepchecks").setLevel(logging.DEBUG)
    deepchecks_conditions(room.grid, room.parts, CONFIG)
    assert logging.getLogger("deepchecks").level == logging.DEBUG
    logging.getLogger("deepchecks").setLevel(level)
    assert warnings.filters == filters


def test_package_does_not_import_deepchecks_itself() -> None:
    source = importlib.util.find_spec("forecaster.validation.integrity")
    assert source is not None
    assert not {"deepchecks", "Suite", "Dataset"} & set(vars(integrity))


def test_feature_table_is_what_a_model_sees(case_of: Any) -> None:
    case = case_of.of(np.array([20.0, 20.5, 20.25, 30.0, 30.5])).gap(2, 3)
    table = feature_table(case.grid)
    assert table["difference"].tolist() == [0.5, 0.5]  # the first row of each segment has no predecessor
    assert table["value"].tolist() == [20.5, 30.5]
    assert table["hour_sine"].iloc[0] == pytest.approx(math.sin(2 * math.pi / 144))
    assert table["hour_cosine"].iloc[0] == pytest.approx(math.cos(2 * math.pi / 144))


def test_values_of_a_sound_room(room: Any) -> None:
    found = measured(room)
    assert found["missing feature values"].value == 0.0
    assert found["distinct values of a feature"].value == room.grid["value"].diff().iloc[1:3024].nunique()
    assert found["size of the test part"].value == pytest.approx(648 / 3023)
    assert found["test rows inside the train part"].value == 0.0
    assert found["deepchecks"] == "0.19.1"


def test_drift_score_is_the_kolmogorov_smirnov_distance(case_of: Any) -> None:
    rng = np.random.default_rng(5)
    case = case_of.of(rng.normal(20.0, 1.0, 2000))
    steps = feature_table(case.grid)["difference"]
    parts = case.parts.loc[steps.index]
    train, test = (np.sort(steps[parts == name].to_numpy()) for name in ("train", "test"))
    points = np.concatenate([train, test])
    shares = [np.searchsorted(part, points, side="right") / len(part) for part in (train, test)]
    expected = np.max(np.abs(shares[0] - shares[1]))
    assert measured(case)["drift of the step difference"].value == pytest.approx(expected)


def test_missing_values_are_found_with_their_feature(room: Any) -> None:
    grid = room.grid.copy()
    grid.loc[100, "value"] = np.nan
    conditions, _ = deepchecks_conditions(grid, room.parts, CONFIG)
    missing = next(condition for condition in conditions if condition.name == "missing feature values")
    assert not missing.passed
    assert missing.value == pytest.approx(2 / 3023)  # the value alone would be one; its two differences are missing too
    assert missing.detail == "worst: difference"


def test_a_test_part_of_one_value_is_found(room: Any) -> None:
    grid = room.grid.copy()
    grid.loc[room.parts == "test", "value"] = 20.0
    conditions, _ = deepchecks_conditions(grid, room.parts, CONFIG)
    distinct = next(condition for condition in conditions if condition.name == "distinct values of a feature")
    assert (distinct.value, distinct.detail) == (1.0, "worst: value")


def test_a_test_part_of_afternoons_drifts_in_the_hour(room: Any) -> None:
    hour = room.grid["time"].dt.hour
    parts = np.where(room.parts != "test", "train", np.where((hour >= 12) & (hour < 18), "test", "validation"))
    found = measured(room.labelled(parts))
    assert not found["drift of the hour of day (sine)"].passed
    assert not found["drift of the hour of day (cosine)"].passed
    assert found["test rows inside the train part"].passed


def test_overlap_is_the_share_of_test_rows_before_the_last_train_row(room: Any) -> None:
    parts = np.array(["train"] * 2000 + ["test"] * 250 + ["train"] * 1 + ["test"] * 750 + ["validation"] * 1319)
    assert measured(room.labelled(parts))["test rows inside the train part"].value == pytest.approx(0.25)


def test_limits_come_from_the_config(room: Any) -> None:
    found = measured(room, max_difference_drift=0.01, max_hour_drift=0.02, min_test_ratio=0.5, min_distinct_values=7)
    assert found["drift of the step difference"].limit == 0.01
    assert found["drift of the hour of day (sine)"].limit == 0.02
    assert found["drift of the hour of day (cosine)"].limit == 0.02
    assert found["size of the test part"].limit == 0.5
    assert found["distinct values of a feature"].limit == 7


@pytest.mark.parametrize("missing", ["train", "test"])
def test_a_part_without_rows_fails_all_and_says_why(room: Any, missing: str) -> None:
    parts = room.parts.replace(missing, "validation")
    conditions, values = deepchecks_conditions(room.grid, parts, CONFIG)
    assert not any(condition.passed for condition in conditions)
    reasons = {condition.detail for condition in conditions}
    assert reasons == {f"the {missing} part has 0 usable rows, Deepchecks needs 10"}
    assert values["level_drift"] is None


def test_sampling_repeats_with_the_seed(room: Any) -> None:
    scores = [
        measured(room, deepchecks_rows=200, seed=seed)["drift of the step difference"].value for seed in (1, 1, 2)
    ]
    assert scores[0] == scores[1] != scores[2]


class _BrokenCheck:
    """A check result as Deepchecks gives it for a check that could not run."""

    def __init__(self, name: str) -> None:
        self.check = type(name, (), {})()
        self.exception = ValueError("no such luck")


def test_a_check_that_could_not_run_fails_its_condition() -> None:
    results = integrity.CheckResults([_BrokenCheck("FeatureDrift"), _BrokenCheck("PercentOfNulls")])
    assert results.only("FeatureDrift") == (None, "no such luck")
    value, why = results.worst("PercentOfNulls", max, dict)
    assert math.isnan(value)
    assert why == "no such luck"
    assert results.only("IsSingleValue") == (None, "IsSingleValue gave no result")


def test_every_default_check_is_run_or_left_out_for_a_reason() -> None:
    with integrity.quiet_deepchecks():
        suites = importlib.import_module("deepchecks.tabular.suites")
        checks = importlib.import_module("deepchecks.tabular.checks")
        defaults = [
            check
            for suite in (suites.data_integrity(), suites.train_test_validation())
            for check in suite.checks.values()
        ]
        run = {type(check).__name__ for check in integrity.chosen_checks(checks, CONFIG)}
    names = {type(check).__name__ for check in defaults}
    assert names <= run | set(integrity.LEFT_OUT)
    assert not run & set(integrity.LEFT_OUT)
    assert all(hasattr(checks, name) for name in integrity.LEFT_OUT)


def test_time_of_day_does_not_depend_on_the_date() -> None:
    times = pd.to_datetime(["2024-01-01 06:00", "2024-01-01 18:00", "2024-07-09 18:00"])
    grid = pd.DataFrame({"time": times, "value": 20.0, "segment": 0, "filled": False})
    table = feature_table(grid)
    assert table["hour_sine"].to_numpy() == pytest.approx([-1.0, -1.0])
