"""Splitting: in time order, by row count, never with a part too small to use."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from forecaster.errors import ReadingError
from forecaster.splitting import PARTS, SplitConfig, split


def grid(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": np.datetime64("2024-03-04", "us") + np.arange(rows) * np.timedelta64(600, "s"),
            "value": np.arange(rows, dtype=float),
            "segment": np.arange(rows) // 7,
            "filled": np.zeros(rows, bool),
        }
    )


def test_the_default_is_70_15_15() -> None:
    parts = split(grid(1000), SplitConfig())["part"]
    assert parts.value_counts().to_dict() == {"train": 700, "validation": 150, "test": 150}
    assert parts.drop_duplicates().tolist() == ["train", "validation", "test"]


def test_only_a_column_is_added_and_the_grid_given_stays() -> None:
    before = grid(100)
    after = split(before, SplitConfig())
    assert list(after.columns) == ["time", "value", "segment", "filled", "part"]
    assert all(type(part) is str for part in after["part"])
    pd.testing.assert_frame_equal(after.drop(columns="part"), grid(100))
    pd.testing.assert_frame_equal(before, grid(100))


@given(st.integers(3, 400), st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_parts_follow_each_other_and_keep_their_shares(rows: int, train: float, validation: float) -> None:
    if train + validation >= 1:
        with pytest.raises(ValidationError, match="leave no test part"):
            SplitConfig(train=train, validation=validation)
        return
    config = SplitConfig(train=train, validation=validation)
    parts = split(grid(rows), config, minimum_steps=0)["part"]
    order = [PARTS.index(part) for part in parts]
    assert order == sorted(order)
    assert abs(order.count(0) - rows * train) <= 0.5
    assert abs(order.count(0) + order.count(1) - rows * (train + validation)) <= 0.5


@pytest.mark.parametrize(
    ("rows", "minimum", "message"),
    [
        (100, 16, "100 rows are too few: each part needs at least 16, validation has 15, test has 15; give more"),
        (100, 71, "train has 70, validation has 15, test has 15"),
        (4, 1, "validation has 0"),
        (0, 1, "0 rows are too few"),
    ],
)
def test_a_part_that_is_too_small_is_refused(rows: int, minimum: int, message: str) -> None:
    with pytest.raises(ReadingError, match=message):
        split(grid(rows), SplitConfig(), minimum)


def test_the_smallest_parts_allowed_pass() -> None:
    assert len(split(grid(100), SplitConfig(), minimum_steps=15)) == 100


@pytest.mark.parametrize(
    "wrong",
    [{"train": 0}, {"train": 1}, {"validation": 0}, {"train": 0.85, "validation": 0.15}, {"train": 0.9, "test": 0.1}],
)
def test_shares_that_leave_a_part_empty_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SplitConfig(**wrong)
