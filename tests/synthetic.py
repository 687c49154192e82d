"""Small series for tests: a daily cycle, slow weather and sensor noise, from a seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecaster.dataset import Dataset, SequenceConfig, build_dataset
from forecaster.features import FeatureConfig, fit_program

CADENCE = 600
SMALL = SequenceConfig(steps=64, horizon=3, warm_up=16, streams=4)
FEW = FeatureConfig(differences=(1, 3), deviations=(6,), harmonics=1)


def grid(rows: int = 1200, seed: int = 0, breaks: tuple[int, ...] = ()) -> pd.DataFrame:
    """A split grid frame; a new segment begins, hours later, at each row of `breaks`."""
    rng = np.random.default_rng(seed)
    step = np.arange(rows)
    weather = np.cumsum(rng.normal(0, 0.05, rows))
    value = 20 + 2 * np.sin(2 * np.pi * step / 144) + weather - weather.mean() + rng.normal(0, 0.02, rows)
    segment = np.searchsorted(np.asarray(breaks, int), step, side="right")
    time = np.datetime64("2024-03-01T00:00:00", "us") + (step * CADENCE + segment * 7 * 3600).astype("timedelta64[s]")
    edges = (int(rows * 0.7), int(rows * 0.85))
    part = np.select([step < edges[0], step < edges[1]], ["train", "validation"], "test")
    return pd.DataFrame({"time": time, "value": value, "segment": segment, "filled": False, "part": part})


def dataset(rows: int = 1200, seed: int = 0, config: SequenceConfig = SMALL, features: FeatureConfig = FEW) -> Dataset:
    """A small dataset over `grid`."""
    frame = grid(rows, seed)
    return build_dataset(
        frame, fit_program(frame, features, CADENCE, config.horizon), config, {"source": "synthetic", "cleaning": {}}
    )


def readings(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    """A readings frame over `grid`."""
    return grid(rows, seed)[["time", "value"]]
