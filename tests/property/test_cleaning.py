"""Cleaning, whatever the readings: order does not matter, the future does not leak, nothing gets lost uncounted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import assume, given
from hypothesis import strategies as st

from forecaster.cleaning import CleaningConfig, clean

START = np.datetime64("2024-03-04T00:00:00", "us")
CADENCE = 60
MICROSECONDS = 1_000_000

configs = st.builds(
    CleaningConfig,
    cadence_seconds=st.just(CADENCE),
    tolerance=st.sampled_from([0.25, 0.3, 0.5]),
    conflicts=st.sampled_from(["last", "mean", "median"]),
    max_hold_steps=st.integers(0, 4),
    min_segment_steps=st.just(1),
)


def frame(rows: list[tuple[int, float]]) -> pd.DataFrame:
    time = START + np.array([at for at, _ in rows], dtype="timedelta64[us]")
    return pd.DataFrame({"time": time, "value": np.array([value for _, value in rows], dtype=float)})


def moments(*, unique: bool) -> st.SearchStrategy[Any]:
    """Rows (µs, °C): some right on grid points, some anywhere, over at most an hour and a half."""
    on_grid = st.integers(0, 90).map(lambda step: step * CADENCE * MICROSECONDS)
    anywhere = st.integers(0, 90 * CADENCE * MICROSECONDS)
    value = st.integers(300, 420).map(lambda steps: steps * 0.0625)
    rows = st.tuples(on_grid | anywhere, value)
    kind = {"unique_by": (lambda row: row[0],)} if unique else {}
    several = st.lists(rows, min_size=2, max_size=60, **kind)
    return several.filter(lambda rows: len({at for at, _ in rows}) > 1)


@given(moments(unique=True), configs, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[tuple[int, float]], config: CleaningConfig, rng: Any) -> None:
    shuffled = rows.copy()
    rng.shuffle(shuffled)
    grid, report = clean(frame(rows), config)
    again, other = clean(frame(shuffled), config)
    pd.testing.assert_frame_equal(grid, again)
    assert {**report.as_dict(), "out_of_order": 0} == {**other.as_dict(), "out_of_order": 0}


@given(moments(unique=False), configs, st.integers(1, 60), st.floats(-5, 5))
def test_later_readings_never_change_earlier_grid_values(
    rows: list[tuple[int, float]], config: CleaningConfig, keep: int, change: float
) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    cut = rows[min(keep, len(rows) - 1)][0]
    past, later = [row for row in rows if row[0] < cut], [row for row in rows if row[0] >= cut]
    assume(len({at for at, _ in past}) > 1)
    # A grid point is settled once its tolerance has passed.
    settled = START + np.timedelta64(cut - round(config.tolerance * CADENCE * MICROSECONDS), "us")
    before = known(clean(frame(past), config)[0], settled)
    for future in (later, [(at, value + change) for at, value in later], later[::2]):
        grid, _ = clean(frame(past + future), config)
        after = known(grid, settled)
        pd.testing.assert_frame_equal(after.head(len(before)), before)
        assert after["filled"].iloc[len(before) :].all()


def known(grid: pd.DataFrame, settled: np.datetime64) -> pd.DataFrame:
    return grid[grid["time"] < settled].reset_index(drop=True)


@given(moments(unique=False), configs, st.integers(1, 5))
def test_every_row_is_in_one_count(rows: list[tuple[int, float]], config: CleaningConfig, shortest: int) -> None:
    whole, _ = clean(frame(rows), config)
    assume(whole["segment"].value_counts().max() >= shortest)
    grid, report = clean(frame(rows), config.model_copy(update={"min_segment_steps": shortest}))
    gone = report.exact_duplicates + report.conflicting + report.surplus + report.off_grid
    assert report.rows_in == len(rows)
    assert report.rows_in - gone + report.held - report.rows_dropped_with_segments == report.rows_out == len(grid)
    assert report.segments == grid["segment"].nunique()
    assert len(whole) - len(grid) == report.rows_dropped_with_segments
    steps = (whole["time"].iloc[-1] - whole["time"].iloc[0]) // pd.Timedelta(seconds=CADENCE) + 1
    assert steps == len(whole) - report.held + report.missing


@given(moments(unique=False), configs)
def test_a_grid_is_regular_inside_its_segments(rows: list[tuple[int, float]], config: CleaningConfig) -> None:
    grid, _ = clean(frame(rows), config)
    assert np.isfinite(grid["value"]).all()
    assert grid["time"].is_monotonic_increasing
    step, same = grid["time"].diff().dt.total_seconds(), grid["segment"].diff() == 0
    assert (step[same] == CADENCE).all()
    assert (step[~same].dropna() > CADENCE * (config.max_hold_steps + 1)).all()
    assert grid["segment"].diff().dropna().isin([0, 1]).all()
    held = grid["filled"]
    assert not held[~same].any()
    assert (grid["value"][held] == grid["value"].shift()[held]).all()


@given(moments(unique=False), configs)
def test_cleaning_a_grid_again_changes_nothing(rows: list[tuple[int, float]], config: CleaningConfig) -> None:
    grid, _ = clean(frame(rows), config)
    assume(len(grid) > 1)
    again, report = clean(grid[["time", "value"]], config)
    pd.testing.assert_frame_equal(again.drop(columns="filled"), grid.drop(columns="filled"))
    assert report.rows_in == report.rows_out
    assert not report.held + report.surplus + report.off_grid


@given(st.integers(1, 5000), st.floats(0, 0.1), st.integers(0, 2**32 - 1))
def test_the_inferred_cadence_of_a_grid_is_its_own(seconds: int, jitter: float, seed: int) -> None:
    strayed = (np.arange(60) + np.random.default_rng(seed).uniform(-jitter, jitter, 60)) * seconds
    raw = pd.DataFrame({"time": START + (strayed * 1e6).astype("timedelta64[us]"), "value": np.arange(60.0)})
    grid, report = clean(raw, CleaningConfig())
    assert clean(grid[["time", "value"]], CleaningConfig())[1].cadence_seconds == report.cadence_seconds
