"""Deepchecks' tabular checks on the feature table, turned into conditions.

Deepchecks judges tables whose rows are independent. On a time series most of its defaults mean nothing, so the suite
is put together here check by check; what is left out, and why, is in `LEFT_OUT`.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecaster.gate import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from forecaster.validation.config import ValidationConfig

FEATURES = ("value", "difference", "hour_sine", "hour_cosine")
STATIONARY = {"difference": "step difference", "hour_sine": "hour of day (sine)", "hour_cosine": "hour of day (cosine)"}
SMALLEST_PART = 10  # rows; FeatureDrift's own `min_samples`

NO_STRINGS = "every column is a float64, and this check reads only strings"
NO_LABEL = "the table has no label: the targets are later values of its own column"
LEFT_OUT: Mapping[str, str] = {
    "MixedNulls": NO_STRINGS,
    "MixedDataTypes": NO_STRINGS,
    "SpecialCharacters": NO_STRINGS,
    "StringMismatch": NO_STRINGS,
    "StringLengthOutOfBounds": NO_STRINGS,
    "StringMismatchComparison": NO_STRINGS,
    "NewCategoryTrainTest": NO_STRINGS,
    "ConflictingLabels": NO_LABEL,
    "ClassImbalance": NO_LABEL,
    "FeatureLabelCorrelation": NO_LABEL,
    "FeatureLabelCorrelationChange": NO_LABEL,
    "NewLabelTrainTest": NO_LABEL,
    "LabelDrift": f"{NO_LABEL}; the drift of the step difference is the drift of the targets",
    "IdentifierLabelCorrelation": f"{NO_LABEL}, and no identifier but the time",
    "IndexTrainTestLeakage": "the time is the index, and DateTrainTestLeakageOverlap judges it",
    "DateTrainTestLeakageDuplicates": "grid times strictly increase, so a shared time is an overlap, which is judged",
    "DataDuplicates": "a quantised sensor reads the same value with the same step at the same hour on many days",
    "TrainTestSamplesMix": "the same rows in both parts are quiet nights, not leakage",
    "FeatureFeatureCorrelation": "value and hour of day are correlated by nature: days are warmer than nights",
    "OutlierSampleDetection": "it is blind to order and calls rare weather an outlier; spikes have their own condition",
    "MultivariateDrift": "a classifier always tells seasons apart by the level; drift is limited feature by feature",
    "ColumnsInfo": "it states types that are fixed here",
}


def feature_table(grid: pd.DataFrame) -> pd.DataFrame:
    """What a model is going to see, one row for each grid row that has a predecessor in its segment.

    Returns:
        Columns time, value (°C), difference (°C since the step before), hour_sine, hour_cosine; the grid's index.
    """
    hour = (grid["time"] - grid["time"].dt.normalize()) / pd.Timedelta(days=1) * 2.0 * np.pi
    table = pd.DataFrame(
        {
            "time": grid["time"],
            "value": grid["value"],
            "difference": grid["value"].diff(),
            "hour_sine": np.sin(hour),
            "hour_cosine": np.cos(hour),
        }
    )
    return table[grid["segment"].eq(grid["segment"].shift())]


def deepchecks_conditions(
    grid: pd.DataFrame, parts: pd.Series, config: ValidationConfig
) -> tuple[list[Condition], dict[str, Any]]:
    """Run the suite on the train and the test part.

    Args:
        grid: the cleaned grid (time, value, segment, filled), shape (rows, 4 or more).
        parts: "train", "validation" or "test" for each grid row, shape (rows,).
        config: the limits, the number of rows and the seed of the sampling.

    Returns:
        The conditions, with the value NaN where a check could not run, and the values without a limit: level_drift
        (None if it could not be measured) and deepchecks, its version.
    """
    table = feature_table(grid)
    label = pd.Series(parts.to_numpy(), index=grid.index).loc[table.index]
    train, test = (table[label == name].reset_index(drop=True) for name in ("train", "test"))
    results, version = _run_suite(train, test, config)
    drift = _drift_scores(results)
    level = drift["value"][0]
    conditions = [*_single_part_conditions(results, config), *_two_part_conditions(results, config)]
    for feature, words in STATIONARY.items():
        limit = config.max_difference_drift if feature == "difference" else config.max_hour_drift
        score, detail = drift[feature]
        conditions.append(Condition(f"drift of the {words}", score, "at most", limit, "KS distance", detail))
    return conditions, {"level_drift": None if math.isnan(level) else level, "deepchecks": version}


def _single_part_conditions(results: CheckResults, config: ValidationConfig) -> list[Condition]:
    nulls, where = results.worst("PercentOfNulls", max, lambda value: value["Percent of nulls in sample"].to_dict())
    distinct, feature = results.worst("IsSingleValue", min, dict)
    where = where if nulls else ""
    return [
        Condition("missing feature values", nulls, "at most", config.max_missing_feature_share, "share", where),
        Condition("distinct values of a feature", distinct, "at least", config.min_distinct_values, "values", feature),
    ]


def _two_part_conditions(results: CheckResults, config: ValidationConfig) -> list[Condition]:
    rows, why = results.only("DatasetsSizeComparison")
    ratio = math.nan if rows is None else rows["Test"] / rows["Train"]
    words = why if rows is None else f"{rows['Test']} test rows, {rows['Train']} train rows"
    overlap, reason = results.only("DateTrainTestLeakageOverlap")
    share = math.nan if overlap is None else float(overlap)
    return [
        Condition("size of the test part", ratio, "at least", config.min_test_ratio, "of the train part", words),
        Condition("test rows inside the train part", share, "at most", config.max_test_overlap, "share", reason),
    ]


def _drift_scores(results: CheckResults) -> dict[str, tuple[float, str]]:
    scores, why = results.only("FeatureDrift")
    if scores is None:
        return dict.fromkeys(FEATURES, (math.nan, why))
    # Deepchecks leaves the score out, or None, where a column has too few values of its own.
    found = {feature: (scores.get(feature) or {}).get("Drift score") for feature in FEATURES}
    return {name: (math.nan, "not measured") if score is None else (float(score), "") for name, score in found.items()}


class CheckResults:
    """Check results by check name, or the one reason why there are none."""

    def __init__(self, results: list[Any], reason: str = "") -> None:
        self.reason = reason
        self.by_check: dict[str, list[Any]] = {}
        for result in results:
            self.by_check.setdefault(type(result.check).__name__, []).append(result)

    def values(self, check: str) -> tuple[list[Any], str]:
        """The values of one check over the parts; empty, with the reason, if it failed on any of them."""
        results = self.by_check.get(check, [])
        reasons = [str(result.exception) for result in results if hasattr(result, "exception")]
        if reasons or not results:
            return [], (reasons or [self.reason or f"{check} gave no result"])[0]
        return [result.value for result in results], ""

    def only(self, check: str) -> tuple[Any, str]:
        """The value of a check of two parts, or None and the reason."""
        values, reason = self.values(check)
        return (values[0] if values else None), reason

    def worst(self, check: str, pick: Any, columns: Any) -> tuple[float, str]:
        """The worst value over parts and columns, and the column it was found in; NaN and the reason without any."""
        values, reason = self.values(check)
        if not values:
            return math.nan, reason
        pairs = [(float(value), f"worst: {name}") for result in values for name, value in columns(result).items()]
        value, detail = pick(pairs, key=lambda pair: pair[0])
        return value, detail


def _run_suite(train: pd.DataFrame, test: pd.DataFrame, config: ValidationConfig) -> tuple[CheckResults, str]:
    with quiet_deepchecks() as (deepchecks, version):
        small = {name: len(part) for name, part in (("train", train), ("test", test)) if len(part) < SMALLEST_PART}
        if small:
            reason = ", ".join(f"the {name} part has {rows} usable rows" for name, rows in small.items())
            return CheckResults([], f"{reason}, Deepchecks needs {SMALLEST_PART}"), version
        suite = deepchecks.Suite("dataset", *chosen_checks(deepchecks.checks, config))
        # Without cat_features Deepchecks guesses, and takes a column of few distinct values for a category.
        datasets = [
            deepchecks.Dataset(part, features=list(FEATURES), cat_features=[], datetime_name="time")
            for part in (train, test)
        ]
        return CheckResults(suite.run(*datasets, with_display=False).results), version


def chosen_checks(checks: Any, config: ValidationConfig) -> list[Any]:
    """The checks that mean something here, from the module `deepchecks.tabular.checks`."""
    sampling = {"n_samples": config.deepchecks_rows, "random_state": config.seed}
    return [
        checks.PercentOfNulls(columns=list(FEATURES), **sampling),
        checks.IsSingleValue(columns=list(FEATURES), **sampling),
        checks.DatasetsSizeComparison(),
        checks.DateTrainTestLeakageOverlap(**sampling),
        checks.FeatureDrift(columns=list(FEATURES), min_samples=SMALLEST_PART, **sampling),
    ]


@contextmanager
def quiet_deepchecks() -> Iterator[tuple[Any, str]]:
    """`deepchecks.tabular` and the version, imported on first use (seconds), without network, progress bars, warnings.

    Importing it asks a server for the latest version, with an identity it writes into its own package, unless the
    variable is set first; an empty value counts as unset, so it is set whatever it was.
    """
    os.environ["DISABLE_DEEPCHECKS_ANONYMOUS_TELEMETRY"] = "True"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import deepchecks  # noqa: PLC0415 - its import costs seconds of CPU time
        import deepchecks.tabular  # noqa: PLC0415
        import deepchecks.tabular.checks  # noqa: PLC0415

        logger = logging.getLogger("deepchecks")
        level = logger.level
        logger.setLevel(logging.ERROR)  # progress bars and warnings hang on this level
        try:
            yield deepchecks.tabular, deepchecks.__version__
        finally:
            logger.setLevel(level)
