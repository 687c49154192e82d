"""Gradient boosting on the ridge's inputs, a rival for the benchmark only: LightGBM is a development dependency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from forecaster.baselines.linear import lag_count, lag_features, learnable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from forecaster.arrays import Doubles

# Strong regularisation: neighbouring lags and origins repeat each other.
SETTINGS = {
    "objective": "regression",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "verbosity": -1,
    "num_threads": 1,
}
TREES = 250


class Boosting:
    """Direct forecasts of the change from the last reading, one LightGBM model a horizon (Ke et al. 2017).

    Lags enter as differences to the last reading, because trees cannot reach a level they have not seen. A training
    part without a row to learn from gives persistence.

    Args:
        seed: of LightGBM.
    """

    name = "LightGBM"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, grid: pd.DataFrame, horizon: int, cadence_seconds: int, parts: Sequence[str]) -> None:
        """Grow the trees over the rows of `parts`."""
        import lightgbm  # noqa: PLC0415 - a run of the pipelines does without it

        self.lags = lag_count(cadence_seconds)
        rows, changes = learnable(grid, horizon, self.lags, parts)
        inputs = _relative(lag_features(grid, rows, self.lags), self.lags)
        settings = {**SETTINGS, "seed": self.seed, "deterministic": True}
        self.horizon, self.models = horizon, list[Any]()
        if len(rows):
            for k in range(horizon):
                self.models.append(lightgbm.train(settings, lightgbm.Dataset(inputs, changes[:, k]), TREES))

    def forecast(self, grid: pd.DataFrame) -> Doubles:
        """Forecasts made at every row, `(rows, horizon)`, °C."""
        out = np.repeat(grid["value"].to_numpy(np.float64)[:, None], self.horizon, axis=1)
        inputs = _relative(lag_features(grid, np.arange(len(grid)), self.lags), self.lags)
        for k, model in enumerate(self.models):
            out[:, k] += model.predict(inputs)
        return out


def _relative(inputs: Doubles, lags: int) -> Doubles:
    """The inputs with lags as differences to the newest, which itself is left out."""
    return np.hstack([inputs[:, 1:lags] - inputs[:, :1], inputs[:, lags:]])
