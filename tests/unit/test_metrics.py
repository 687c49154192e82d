"""Errors are measured on the readings that are known, all of them, and nothing else."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from forecaster.errors import ConfigError, ForecasterError, InputError, ReadingError
from forecaster.metrics import (
    ErrorFigures,
    ForecastMetrics,
    Interval,
    difference_interval,
    forecast_errors,
    naive_scale,
    score,
    truth,
)
from tests.synthetic import grid

NAN = math.nan


def small(values: list[float], segment: list[int] | None = None, filled: tuple[int, ...] = ()):
    table = grid(len(values)).assign(value=values, part="train")
    table["segment"] = segment or [0] * len(values)
    table["filled"] = [row in filled for row in range(len(values))]
    return table


def test_truth_holds_the_values_of_the_next_rows() -> None:
    expected = [[2, 4], [4, 8], [8, NAN], [NAN, NAN]]
    np.testing.assert_allclose(truth(small([1, 2, 4, 8]), 2), expected)


def test_truth_is_unknown_across_segments() -> None:
    made = truth(small([1, 2, 4, 8], [0, 0, 1, 1]), 2)
    np.testing.assert_allclose(made, [[2, NAN], [NAN, NAN], [8, NAN], [NAN, NAN]])


def test_truth_is_unknown_where_a_value_was_filled_but_known_from_a_filled_row() -> None:
    made = truth(small([1, 2, 4, 8], filled=(1,)), 2)
    np.testing.assert_allclose(made, [[NAN, 4], [4, 8], [8, NAN], [NAN, NAN]])


def test_truth_goes_on_over_the_border_of_a_part() -> None:
    table = small([1, 2, 4, 8])
    table["part"] = ["train", "train", "test", "test"]
    np.testing.assert_allclose(truth(table, 1)[:, 0], [2, 4, 8, NAN])


def test_truth_of_a_horizon_longer_than_the_grid_is_unknown() -> None:
    assert np.isnan(truth(small([1, 2]), 5)[:, 1:]).all()


def test_naive_scale_is_the_mean_step_of_the_training_part() -> None:
    table = small([0, 1, 3, 3, 90])
    table["part"] = ["train"] * 4 + ["test"]
    assert naive_scale(table) == pytest.approx((1 + 2 + 0) / 3)


def test_naive_scale_leaves_out_steps_between_segments_and_to_filled_values() -> None:
    assert naive_scale(small([0, 1, 50, 53, 53], [0, 0, 1, 1, 1], filled=(4,))) == pytest.approx((1 + 3) / 2)


@pytest.mark.parametrize("values", [[5.0, 5.0, 5.0], [5.0]])
def test_naive_scale_refuses_a_training_part_that_never_changes(values: list[float]) -> None:
    with pytest.raises(ReadingError, match=r"mean change of 0\.0 °C, give readings that change"):
        naive_scale(small(values))


def test_score_measures_over_all_horizons_and_each() -> None:
    forecasts, readings = np.array([[11.0, 18.0], [10.0, 24.0]]), np.array([[10.0, 20.0], [10.0, 20.0]])
    found = score(forecasts, readings, scale=0.5)
    assert found.overall.mae == pytest.approx(7 / 4)
    assert found.overall.rmse == pytest.approx(math.sqrt((1 + 4 + 16) / 4))
    assert found.overall.mape == pytest.approx(100 * (0.1 + 0.1 + 0.2) / 4)
    assert found.overall.mase == pytest.approx(3.5)
    assert [figures.mae for figures in found.by_horizon] == [0.5, 3.0]
    assert [figures.count for figures in found.by_horizon] == [2, 2]
    assert found.overall.count == 4


def test_score_pools_by_count_and_not_by_horizon() -> None:
    found = score(np.array([[1.0, 4.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [0.0, NAN]]), 1.0)
    assert found.overall.mae == pytest.approx((1 + 1 + 4) / 3)


def test_score_leaves_unknown_readings_out_whatever_was_forecast_for_them() -> None:
    readings = np.array([[1.0, NAN], [2.0, NAN]])
    found = score(np.array([[1.0, 500.0], [3.0, NAN]]), readings, 1.0)
    assert found.overall == ErrorFigures(0.5, math.sqrt(0.5), 25.0, 0.5, 2)
    assert found.by_horizon[1].count == 0
    assert math.isnan(found.by_horizon[1].rmse)


def test_mape_uses_absolute_readings_and_leaves_out_zero() -> None:
    found = score(np.array([[-5.0], [7.0]]), np.array([[-10.0], [0.0]]), 1.0)
    assert found.overall.mape == pytest.approx(50.0)
    assert found.overall.count == 2


def test_mape_of_readings_that_are_all_zero_is_unknown() -> None:
    assert math.isnan(score(np.ones((2, 1)), np.zeros((2, 1)), 1.0).overall.mape)


@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_score_refuses_a_forecast_that_is_not_finite_where_the_reading_is_known(bad: float) -> None:
    forecasts = np.array([[1.0, 2.0], [1.0, bad]])
    with pytest.raises(ForecasterError, match=rf"row 1 at step 2 is {bad!r} .*1 such in all"):
        score(forecasts, np.ones((2, 2)), 1.0)


def test_score_refuses_arrays_of_different_shapes() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 1\), expected \(2, 2\)"):
        score(np.ones((2, 1)), np.ones((2, 2)), 1.0)


def test_score_refuses_origins_without_any_reading() -> None:
    with pytest.raises(InputError, match="none of 3 origins"):
        score(np.ones((3, 2)), np.full((3, 2), NAN), 1.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, NAN, math.inf])
def test_score_refuses_a_scale_that_divides_by_nothing(scale: float) -> None:
    with pytest.raises(InputError, match=f"scale of MASE is {scale!r}"):
        score(np.ones((2, 1)), np.ones((2, 1)), scale)


def test_errors_are_forecast_minus_reading() -> None:
    found = forecast_errors(np.array([[3.0, 9.0]]), np.array([[5.0, NAN]]))
    np.testing.assert_array_equal(found, [[-2.0, NAN]])


def test_metrics_survive_json_with_what_is_unknown() -> None:
    found = score(np.array([[1.0, 0.0]]), np.array([[0.0, NAN]]), 1.0)
    fields = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    again = ForecastMetrics.from_dict(fields)
    assert fields["mape"] is None
    assert math.isnan(again.overall.mape)
    assert again.as_dict() == found.as_dict()
    assert again.overall.count == found.overall.count


def test_metrics_have_the_overall_figures_beside_those_by_horizon() -> None:
    fields = score(np.ones((2, 3)), np.full((2, 3), 2.0), 1.0).as_dict()
    assert set(fields) == {"mae", "rmse", "mape", "mase", "count", "by_horizon"}
    assert len(fields["by_horizon"]) == 3


def errors(seed: int, origins: int = 600, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (origins, 3))


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_the_estimate_is_the_difference_of_the_two_errors(metric: str) -> None:
    a, b = errors(1), errors(2, spread=2.0)
    a[5, 1] = b[5, 1] = NAN
    found = difference_interval(a, b, block=20, samples=200, seed=0, metric=metric)
    size = (lambda e: np.sqrt(np.nanmean(e**2))) if metric == "rmse" else (lambda e: np.nanmean(np.abs(e)))
    assert found.estimate == pytest.approx(size(a) - size(b))
    assert found.low < found.estimate < found.high
    assert found.excludes_zero


def test_equal_errors_have_an_interval_of_zero() -> None:
    found = difference_interval(errors(1), errors(1), block=20, samples=50, seed=0)
    assert found == Interval(0.0, 0.0, 0.0)
    assert not found.excludes_zero


def test_the_samples_are_paired() -> None:
    a = errors(1)
    paired = difference_interval(a, a * 1.01, block=20, samples=300, seed=0)
    apart = difference_interval(a, errors(2) * 1.01, block=20, samples=300, seed=0)
    assert paired.high - paired.low < 0.1 * (apart.high - apart.low)


def test_blocks_widen_the_interval_of_errors_that_last() -> None:
    days = np.repeat(np.random.default_rng(3).normal(0, 1, (40, 1)), 50, axis=0)
    other = np.full_like(days, 0.9)
    single = difference_interval(days, other, block=1, samples=400, seed=0)
    whole = difference_interval(days, other, block=50, samples=400, seed=0)
    assert whole.high - whole.low > 3 * (single.high - single.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        a, b = rng.normal(0, 1, (300, 1)), rng.normal(0, 1, (300, 1))
        found = difference_interval(a, b, block=10, samples=200, seed=0, metric="mae")
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_the_seed_repeats_the_interval() -> None:
    made = [difference_interval(errors(1), errors(2), block=20, samples=50, seed=seed) for seed in (7, 7, 8)]
    assert made[0] == made[1] != made[2]


def test_blocks_without_a_reading_are_no_sample() -> None:
    a, b = errors(1, 40), errors(2, 40)
    a[:20], b[:20] = NAN, NAN
    found = difference_interval(a, b, block=20, samples=5000, seed=0)
    assert math.isfinite(found.low)


@pytest.mark.parametrize(("block", "samples"), [(0, 10), (601, 10), (10, 0)])
def test_block_and_samples_outside_their_range_are_refused(block: int, samples: int) -> None:
    with pytest.raises(ConfigError, match=f"block {block} must be 1 to 600 .* samples {samples} at least 1"):
        difference_interval(errors(1), errors(2), block=block, samples=samples, seed=0)


def test_errors_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(InputError, match="not pairs"):
        difference_interval(errors(1), errors(1)[:, :2], block=5, samples=5, seed=0)
    gap = errors(1)
    gap[3, 0] = NAN
    with pytest.raises(InputError, match="not pairs"):
        difference_interval(errors(1), gap, block=5, samples=5, seed=0)


@pytest.mark.parametrize(
    ("low", "high", "certain"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0, 1, False)]
)
def test_an_interval_is_certain_when_it_excludes_zero(low: float, high: float, certain: bool) -> None:
    assert Interval(0.0, low, high).excludes_zero is certain
