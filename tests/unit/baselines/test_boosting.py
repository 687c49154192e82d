"""The benchmark's rival sees what the ridge sees, and nothing else imports LightGBM."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from forecaster.baselines import boosting
from forecaster.baselines.boosting import Boosting
from forecaster.metrics import truth
from tests.synthetic import CADENCE, grid

pytest.importorskip("lightgbm", exc_type=ImportError)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "TREES", 30)


def fitted(table, seed: int = 0) -> np.ndarray:
    rival = Boosting(seed)
    rival.fit(table, 2, CADENCE, ("train",))
    return rival.forecast(table)


def test_trees_beat_persistence_on_a_daily_cycle() -> None:
    table = grid(1600)
    readings, test = truth(table, 2), (table["part"] == "test").to_numpy()
    own = np.nanmean(np.abs(fitted(table) - readings)[test])
    assert own < np.nanmean(np.abs(table["value"].to_numpy()[:, None] - readings)[test])


def test_a_level_never_seen_changes_nothing() -> None:
    table = grid(1000)
    np.testing.assert_allclose(fitted(table.assign(value=table["value"] + 64.0)), fitted(table) + 64.0, atol=0.05)


def test_the_seed_repeats_the_trees() -> None:
    table = grid(1000)
    assert np.array_equal(fitted(table, 3), fitted(table, 3))
    assert not np.array_equal(fitted(table, 3), fitted(table, 4))


def test_too_short_a_part_gives_persistence() -> None:
    table = grid(180)
    np.testing.assert_array_equal(fitted(table), np.repeat(table["value"].to_numpy()[:, None], 2, axis=1))


def test_nothing_heavy_is_imported_with_the_configuration() -> None:
    code = "import sys, forecaster.evaluation, forecaster.baselines.boosting as _; "
    code += "print(sorted({'lightgbm', 'matplotlib', 'numba', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
