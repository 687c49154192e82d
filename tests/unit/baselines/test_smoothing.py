"""The damped trend follows its recursion, finds its parameters and forecasts from every row."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from forecaster.baselines.smoothing import BOUNDS, DampedTrend, smoothed
from tests.synthetic import grid


def with_parameters(alpha: float, beta: float, phi: float, horizon: int = 3) -> DampedTrend:
    baseline = DampedTrend()
    baseline.horizon, baseline.alpha, baseline.beta, baseline.phi = horizon, alpha, beta, phi
    return baseline


def fitted(table, parts: tuple[str, ...] = ("train",)) -> DampedTrend:
    baseline = DampedTrend()
    baseline.fit(table, 3, 600, parts)
    return baseline


def parameters(baseline: DampedTrend) -> tuple[float, float, float]:
    return baseline.alpha, baseline.beta, baseline.phi


def test_the_recursion_agrees_with_statsmodels() -> None:
    value = grid(300)["value"].to_numpy()
    # statsmodels forecasts the first value too; a start from it without trend makes that forecast perfect.
    model = ETSModel(
        value, "add", "add", damped_trend=True, initialization_method="known", initial_level=value[0], initial_trend=0.0
    )
    result = model.smooth([0.8, 0.3, 0.9])
    level, trend, error = smoothed(value, np.arange(300) == 0, 0.8, 0.3, 0.9)
    np.testing.assert_allclose(level, result.level, atol=1e-9)
    np.testing.assert_allclose(trend, result.slope, atol=1e-9)
    np.testing.assert_allclose(error, result.resid, atol=1e-9)
    table = grid(300)
    np.testing.assert_allclose(with_parameters(0.8, 0.3, 0.9, 5).forecast(table)[-1], result.forecast(5), atol=1e-9)


def test_the_compiled_recursion_does_what_its_python_says() -> None:
    value, begins = grid(50)["value"].to_numpy(), np.isin(np.arange(50), (0, 20))
    for ours, plain in zip(
        smoothed(value, begins, 0.7, 0.2, 0.9), smoothed.py_func(value, begins, 0.7, 0.2, 0.9), strict=True
    ):
        np.testing.assert_allclose(ours, plain, atol=1e-12)


def test_forecasts_are_the_level_and_the_damped_trend() -> None:
    table = grid(2).assign(value=[10.0, 11.0])
    # ε = 1, level 11 − 0.5, trend 0.4
    made = with_parameters(0.5, 0.4, 0.9, 2).forecast(table)[1]
    assert made == pytest.approx([10.5 + 0.9 * 0.4, 10.5 + (0.9 + 0.81) * 0.4])


def test_a_segment_begins_with_its_first_value_and_no_trend() -> None:
    table = grid(200, breaks=(100,))
    made = with_parameters(0.8, 0.3, 0.9)
    later = table.iloc[100:].reset_index(drop=True)
    np.testing.assert_allclose(made.forecast(table)[100:], made.forecast(later))
    assert made.forecast(table)[100] == pytest.approx(np.full(3, table["value"][100]))


def test_the_fit_finds_the_parameters_a_series_was_made_with() -> None:
    rng, level, trend, made = np.random.default_rng(2), 20.0, 0.0, []
    for error in rng.normal(0, 0.1, 20000):
        made.append(level + 0.9 * trend + error)
        level, trend = made[-1] - (1 - 0.6) * error, 0.9 * trend + 0.25 * error
    found = fitted(grid(20000).assign(value=made))
    assert parameters(found) == pytest.approx((0.6, 0.25, 0.9), abs=0.03)


def test_no_point_of_a_coarse_grid_is_better_than_the_fit() -> None:
    table = grid(800)
    taken, value, begins = (table["part"] == "train").to_numpy(), table["value"].to_numpy(), np.arange(800) == 0
    loss = lambda alpha, beta, phi: np.square(smoothed(value, begins, alpha, beta, phi)[2][taken]).sum()  # noqa: E731
    best = loss(*parameters(fitted(table)))
    axes = [np.linspace(low, high, 9) for low, high in BOUNDS]
    others = [loss(alpha, alpha * share, phi) for alpha in axes[0] for share in axes[1] for phi in axes[2]]
    assert best <= min(others) * (1 + 1e-9)


def test_validation_is_learned_from_only_where_asked_for() -> None:
    table = grid(800)
    noise = np.random.default_rng(1).normal(0, 1, 800)
    changed = table.assign(value=table["value"] + np.where(table["part"] == "validation", noise, 0))
    assert parameters(fitted(table)) == parameters(fitted(changed))
    both = ("train", "validation")
    assert parameters(fitted(table, both)) != parameters(fitted(changed, both))


def test_errors_of_filled_values_do_not_count() -> None:
    table = grid(800)
    table.loc[100:400, "filled"] = True
    held = table.assign(value=table["value"].where(~table["filled"], 90.0))
    taken = ~table["filled"].to_numpy() & (table["part"] == "train").to_numpy()
    found = fitted(held)
    error = smoothed(held["value"].to_numpy(), np.arange(800) == 0, *parameters(found))[2]
    assert np.isfinite(error[taken]).all()
    assert parameters(found) != parameters(fitted(held.assign(filled=False)))


def test_a_series_that_never_changes_is_forecast_as_it_is() -> None:
    table = grid(100).assign(value=21.5)
    np.testing.assert_allclose(fitted(table).forecast(table), 21.5)


def test_no_row_to_learn_from_still_gives_forecasts() -> None:
    table = grid(100).assign(part="test")
    assert np.isfinite(fitted(table).forecast(table)).all()
