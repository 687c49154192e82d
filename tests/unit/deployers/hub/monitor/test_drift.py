"""How readings change, beside a reference: what seasons do is no drift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from deployers.hub.monitor.drift import BINS, WIDTH, Drift, distances
from tests.monitoring import CADENCE_MS, START_MS, STEPS_A_DAY, Site

HISTOGRAM = st.lists(st.integers(0, 50), min_size=BINS, max_size=BINS).filter(lambda counts: sum(counts) > 0)


def drifted(celsius: np.ndarray, masked: range = range(0)) -> Drift:
    test = Drift()
    for at, value in enumerate(celsius):
        is_masked = at // STEPS_A_DAY in masked
        test.reading(START_MS + at * CADENCE_MS, float(value), CADENCE_MS, 14, is_masked=is_masked)
    return test


@settings(deadline=None)
@given(HISTOGRAM, HISTOGRAM)
def test_distances_are_those_of_scipy_and_none_to_itself(first: list[int], second: list[int]) -> None:
    found, same = distances(first, second), distances(first, first)
    assert (same.psi, same.ks, same.wasserstein) == pytest.approx((0, 0, 0), abs=1e-12)
    values = (np.arange(BINS) - (BINS - 1) / 2) * WIDTH
    area = stats.wasserstein_distance(values, values, first, second)
    spread = np.sqrt(max(np.cov(values, fweights=first, ddof=0), WIDTH**2))
    assert found.wasserstein == pytest.approx(area / spread, abs=1e-9)
    apart = np.abs(np.cumsum(first) / sum(first) - np.cumsum(second) / sum(second)).max()
    assert found.ks == pytest.approx(apart)
    assert found.psi >= 0


@pytest.mark.parametrize("seed", range(3))
def test_cycle_weather_season_and_level_are_no_drift(seed: int) -> None:
    site = Site(days=50, seed=seed)
    at = np.arange(site.days * STEPS_A_DAY)
    season = 10 * at / len(at) + 3 * (at > 40 * STEPS_A_DAY)
    test = drifted(site.celsius() + season)
    assert test.reference_days == 14
    assert test.psi is not None
    assert (test.level, test.finding(14).reason) == ("ok", "")


def test_noise_warns_with_its_numbers_and_ends_when_it_ends() -> None:
    site = Site(days=60)
    at = np.arange(site.days * STEPS_A_DAY)
    noise = np.random.default_rng(5).normal(0, 0.2, len(at)) * (at >= 35 * STEPS_A_DAY)
    test = drifted(site.celsius() + noise)
    finding = test.finding(14)
    assert finding.level == "warning"
    assert finding.numbers["psi"] == pytest.approx(test.psi, abs=1e-3)
    assert finding.numbers["reference"] == "own"
    ended = drifted(np.where(at < 42 * STEPS_A_DAY, site.celsius() + noise, site.celsius()))
    assert (ended.level, ended.changed_ms is not None) == ("ok", True)


def test_days_with_a_faulty_sensor_and_half_days_are_left_out() -> None:
    celsius = Site(days=30).celsius()
    test = drifted(celsius, masked=range(10, 15))
    assert test.reference_days == 14
    assert len(test.week) == 30 - 1 - 5 - 7 - 14
    assert "learns its reference, 8 of 14 days" in drifted(celsius[: 16 * STEPS_A_DAY]).finding(14).reason
    sparse = Drift()
    for at in range(0, 20 * STEPS_A_DAY, 3):
        sparse.reading(START_MS + at * CADENCE_MS, 20.0, CADENCE_MS, 14, is_masked=False)
    assert (sparse.reference_days, sparse.warm_days) == (0, 0), "changes over a gap are no changes from one to the next"
