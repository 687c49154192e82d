"""Laws that errors keep for every array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from forecaster.metrics import difference_interval, score, truth
from tests.synthetic import grid

SHAPES = st.tuples(st.integers(1, 30), st.integers(1, 5))
CELSIUS = st.integers(-4000, 6000).map(lambda hundredths: hundredths / 100)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES)
    readings = draw(st_numpy.arrays(float, shape, elements=CELSIUS))
    unknown = draw(st_numpy.arrays(bool, shape))
    assume(not unknown.all())
    readings[unknown] = np.nan
    return draw(st_numpy.arrays(float, shape, elements=CELSIUS)), readings


@given(pairs())
def test_rmse_is_never_below_mae(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = score(*pair, 1.0)
    for figures in (found.overall, *(f for f in found.by_horizon if f.count)):
        assert figures.rmse >= figures.mae * (1 - 1e-12) >= 0


@given(pairs(), st.floats(0.1, 10))
def test_mase_is_mae_over_the_scale(pair: tuple[np.ndarray, np.ndarray], scale: float) -> None:
    found = score(*pair, scale).overall
    assert found.mase == pytest.approx(found.mae / scale)


@given(pairs())
def test_overall_figures_are_the_mean_over_horizons_weighted_by_count(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = score(*pair, 1.0)
    known = [figures for figures in found.by_horizon if figures.count]
    assert sum(figures.count for figures in known) == found.overall.count
    assert sum(f.mae * f.count for f in known) / found.overall.count == pytest.approx(found.overall.mae, abs=1e-12)


@given(pairs(), st.integers(0, 3))
def test_an_interval_turns_its_sign_with_the_order(pair: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    one = pair[0] - pair[1]
    other = 2 * one + 1
    ahead = difference_interval(one, other, block=1, samples=20, seed=seed)
    back = difference_interval(other, one, block=1, samples=20, seed=seed)
    assert ahead.estimate == pytest.approx(-back.estimate)
    assert (ahead.low, ahead.high) == pytest.approx((-back.high, -back.low))


@given(st.integers(2, 60), st.integers(1, 8), st.integers(0, 59))
def test_truth_is_the_value_so_many_rows_later(rows: int, horizon: int, cut: int) -> None:
    table = grid(rows, breaks=(cut,) if 0 < cut < rows else ())
    found, value, segment = truth(table, horizon), table["value"].to_numpy(), table["segment"].to_numpy()
    for row in range(rows):
        for k in range(1, horizon + 1):
            known = row + k < rows and segment[row + k] == segment[row]
            assert np.isnan(found[row, k - 1]) == (not known)
            if known:
                assert found[row, k - 1] == pytest.approx(value[row + k])
