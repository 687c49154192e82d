"""The ridge solves its equations over the rows it may learn from, and answers for all."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge as ReferenceRidge

from forecaster.baselines import linear
from forecaster.baselines.linear import PENALTY, Ridge, lag_count, lag_features, learnable
from forecaster.metrics import truth
from tests.synthetic import CADENCE, grid

LAGS = 144


def fitted(table, horizon: int = 3, parts: tuple[str, ...] = ("train",)) -> Ridge:
    ridge = Ridge()
    ridge.fit(table, horizon, CADENCE, parts)
    return ridge


@pytest.mark.parametrize(("cadence", "lags"), [(600, 144), (60, 144), (3600, 24), (86400, 1)])
def test_lags_reach_a_day_back_and_are_at_most_144(cadence: int, lags: int) -> None:
    assert lag_count(cadence) == lags


def test_features_are_lags_newest_first_and_two_harmonics_of_the_day() -> None:
    table = grid(40).assign(value=np.arange(40.0))
    made = lag_features(table, np.array([36]), 4)[0]
    assert made[:4].tolist() == [36, 35, 34, 33]
    assert made[4:] == pytest.approx([1, 0, 0, -1], abs=1e-12)  # row 36 is at 06:00


def test_features_of_a_young_segment_repeat_its_first_value() -> None:
    table = grid(10, breaks=(8,)).assign(value=np.arange(10.0))
    assert lag_features(table, np.array([9]), 4)[0, :4].tolist() == [9, 8, 8, 8]


def test_rows_to_learn_from_have_a_whole_history_and_all_targets_in_the_part() -> None:
    table = grid(1000, breaks=(300,))
    rows, changes = learnable(table, 3, LAGS, ("train",))
    expected = [*range(LAGS - 1, 297), *range(300 + LAGS - 1, 697)]
    assert rows.tolist() == expected
    np.testing.assert_allclose(changes[0], table["value"].to_numpy()[LAGS : LAGS + 3] - table["value"][LAGS - 1])


def test_rows_to_learn_from_have_no_filled_target() -> None:
    table = grid(1000)
    table.loc[500, "filled"] = True
    rows, _ = learnable(table, 3, LAGS, ("train",))
    assert not {497, 498, 499} & set(rows)
    assert {496, 500} <= set(rows)


def test_weights_agree_with_another_implementation() -> None:
    table = grid(1200)
    rows, changes = learnable(table, 3, LAGS, ("train",))
    reference = ReferenceRidge(PENALTY).fit(lag_features(table, rows, LAGS), changes)
    every = np.arange(len(table))
    expected = table["value"].to_numpy()[:, None] + reference.predict(lag_features(table, every, LAGS))
    np.testing.assert_allclose(fitted(table).forecast(table), expected, atol=1e-7)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    table = grid(1200)
    whole = fitted(table).forecast(table)
    monkeypatch.setattr(linear, "CHUNK", 97)
    np.testing.assert_allclose(fitted(table).forecast(table), whole, atol=1e-9)


def test_validation_is_learned_from_only_where_asked_for() -> None:
    table = grid(1200)
    changed = table.assign(value=table["value"].where(table["part"] != "validation", 0.0))
    assert np.array_equal(fitted(table).weights, fitted(changed).weights)
    both = ("train", "validation")
    assert not np.allclose(fitted(table, parts=both).weights, fitted(changed, parts=both).weights)


def test_a_daily_cycle_is_learned() -> None:
    table = grid(1200)
    readings, test = truth(table, 3), (table["part"] == "test").to_numpy()
    own = np.nanmean(np.abs(fitted(table).forecast(table) - readings)[test])
    assert own < 0.9 * np.nanmean(np.abs(table["value"].to_numpy()[:, None] - readings)[test])


def test_too_short_a_part_gives_persistence() -> None:
    table = grid(180)
    np.testing.assert_array_equal(
        fitted(table).forecast(table), np.repeat(table["value"].to_numpy()[:, None], 3, axis=1)
    )
