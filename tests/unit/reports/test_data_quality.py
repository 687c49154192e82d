"""The data quality page tells the verdict first, then what was measured, cleaned and seen."""

from __future__ import annotations

import re
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

from forecaster.gate import Condition
from forecaster.reports import data_quality
from forecaster.reports.data_quality import cleaning_sentences, data_quality_page
from forecaster.validation import ValidationReport

CLEAN = {
    "rows_in": 1300,
    "out_of_order": 0,
    "exact_duplicates": 0,
    "conflicting": 0,
    "surplus": 0,
    "off_grid": 0,
    "missing": 0,
    "held": 0,
    "gaps_long": 0,
    "longest_gap_steps": 0,
    "segments": 1,
    "segments_dropped": 0,
    "rows_dropped_with_segments": 0,
    "rows_out": 1300,
    "cadence_seconds": 600,
}
SUMMARY = {"first": "2024-01-01", "last": "2024-01-10", "minimum": 19.0, "level_drift": None, "part_rows": {"train": 9}}
GOOD = Condition("spikes", 0.0, "at most", 0.001, "share")
BAD = Condition("longest gap", 60.0, "at most", 48.0, "h", "1 long gap(s)")


def make_grid(rows: int = 1300, *, parts: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    time = np.datetime64("2024-01-01", "us") + np.arange(rows) * np.timedelta64(600, "s")
    grid = pd.DataFrame({"time": time, "value": 20 + np.cumsum(rng.normal(0, 0.1, rows))})
    grid = grid.assign(segment=np.arange(rows) // 700, filled=np.arange(rows) % 100 == 50)
    if parts:
        share = np.arange(rows) / max(rows, 1)
        grid["part"] = np.select([share < 0.7, share < 0.85], ["train", "validation"], "test")
    return grid


def page_of(grid: pd.DataFrame, *conditions: Condition, source: str = "living_room", **cleaning: Any) -> str:
    readings = grid.loc[~grid["filled"], ["time", "value"]].reset_index(drop=True)
    return data_quality_page(readings, grid, CLEAN | cleaning, ValidationReport(conditions, SUMMARY), source)


def test_lead_tells_source_size_and_verdict() -> None:
    html = page_of(make_grid(), GOOD)
    assert "living_room: 1,287 readings, 1,300 grid rows every 10 min, 2024-01-01 to 2024-01-10" in html
    assert "Passed: all 1 conditions are met." in html
    assert html.index("Passed:") < html.index("<h2>")


def test_failed_conditions_are_named_first() -> None:
    html = page_of(make_grid(0), GOOD, BAD)
    assert "Failed: 1 of 2 conditions are not met: longest gap." in html
    assert html.index("<td>longest gap</td>") < html.index("<td>spikes</td>")


def test_source_is_escaped() -> None:
    assert "&lt;script&gt;" in page_of(make_grid(0), GOOD, source="<script>")


def test_level_drift_is_shown_without_a_limit() -> None:
    html = page_of(make_grid(0), GOOD)
    assert "seasons move it)</td><td>not measured</td>" in html
    assert '<td>minimum, °C</td><td class="n">19</td>' in html
    assert '<td>rows of the test part</td><td class="n">0</td>' in html


def test_four_figures_with_captions_in_order() -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page_of(make_grid(), GOOD))
    assert [caption.split()[0] for caption in captions] == ["The", "By", "Step", "Intervals"]
    assert "13 held values" in captions[0]


@pytest.mark.parametrize("rows", [1, 2])
def test_page_of_hardly_any_rows(rows: int) -> None:
    html = page_of(make_grid(rows), BAD)
    assert html.count("<figure>") == (2 if rows == 1 else 4)  # one reading has neither a step nor an interval


def test_page_of_no_rows_still_tells_the_conditions() -> None:
    html = page_of(make_grid(0), BAD)
    assert "longest gap" in html
    assert "<figure>" not in html


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_values_that_are_not_finite_are_left_out_of_the_figures(value: float) -> None:
    grid = make_grid()
    grid.loc[[10, 800], "value"] = value
    assert page_of(grid, BAD).count("<figure>") == 4


def test_grid_before_the_split_is_drawn_as_one() -> None:
    assert page_of(make_grid(parts=False), GOOD).count("<figure>") == 4


def test_a_constant_series_has_a_page() -> None:
    assert page_of(make_grid().assign(value=20.0), BAD).count("<figure>") == 4


def test_matplotlib_keeps_no_figures_and_its_backend() -> None:
    backend = mpl.get_backend()
    page_of(make_grid(), GOOD)
    assert mpl.get_backend() == backend
    assert not hasattr(data_quality, "plt")


def test_same_inputs_same_page() -> None:
    assert page_of(make_grid(60), GOOD, BAD) == page_of(make_grid(60), GOOD, BAD)


def test_clean_data_is_told_in_few_words() -> None:
    assert cleaning_sentences(CLEAN) == [
        "1,300 readings: all in order, distinct and on the grid.",
        "There are no gaps.",
        "1,300 rows are left, in segments of regular cadence: 1.",
    ]


def test_each_count_of_cleaning_is_told() -> None:
    counts = CLEAN | {
        "out_of_order": 11,
        "exact_duplicates": 12,
        "conflicting": 13,
        "surplus": 14,
        "off_grid": 15,
        "missing": 16,
        "held": 17,
        "gaps_long": 18,
        "longest_gap_steps": 9,
        "segments_dropped": 19,
        "rows_dropped_with_segments": 1020,
    }
    text = " ".join(cleaning_sentences(counts))
    for number in (
        "11 out",
        "12 exact",
        "13 with",
        "14 surplus",
        "15 off",
        "16 grid",
        "17 of them held",
        "18 gap",
        "19 seg",
    ):
        assert number in text
    assert "1,020 rows lost with them" in text
    assert "the longest is 1.5 h" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(10, "10 s"), (600, "10 min"), (5400, "1.5 h"), (90000, "25 h"), (259200, "3 days"), (0, "0 s")],
)
def test_durations_in_the_unit_a_reader_uses(seconds: float, words: str) -> None:
    assert data_quality.duration(seconds) == words


def test_lines_break_between_segments() -> None:
    figure = data_quality.series_figure(make_grid(parts=False))
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() == "None"]
    assert [np.size(line.get_xdata()) for line in lines] == [700, 600]


def test_parts_are_told_apart() -> None:
    figure = data_quality.series_figure(make_grid())
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["train", "validation", "test", "held"]


@pytest.mark.parametrize("rows", [0, 3])
def test_step_figure_leaves_out_steps_between_segments(rows: int) -> None:
    grid = make_grid(100, parts=False).assign(value=20.0, segment=[0] * 50 + [1] * 50)
    grid.loc[50:, "value"] += rows
    (stairs,) = data_quality.step_figure(grid).axes[0].patches
    shares, _, _ = stairs.get_data()  # type: ignore[attr-defined]
    assert shares.max() == 1.0


def test_long_intervals_share_the_last_bar() -> None:
    axes = data_quality.interval_figure(np.array([1.0, 1.01, 2.0, 10.0, 500.0])).axes[0]
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    heights = {round(bar.get_x() + bar.get_width() / 2, 2): bar.get_height() for bar in bars}
    assert {place: height for place, height in heights.items() if height} == {1.0: 2, 2.0: 1, 10.0: 2}


@given(values=st.lists(st.floats(-50, 50), min_size=1, max_size=300), points=st.integers(0, 100))
def test_thinning_keeps_the_extremes_and_the_order(values: list[float], points: int) -> None:
    array = np.array(values)
    rows = data_quality.envelope(array, points)
    assert len(rows) <= max(points, 2)
    assert np.all(np.diff(rows) > 0)
    assert array[rows].min() == array.min()
    assert array[rows].max() == array.max()


@pytest.mark.parametrize("seconds", [1, 7, 60, 600, 3600, 43200, 86400, 1_000_000])
@pytest.mark.parametrize("rows", [1, 2, 3, 50, 900])
def test_series_of_any_length_is_drawn_without_a_warning(seconds: int, rows: int) -> None:
    grid = make_grid(rows)
    grid["time"] = grid["time"].iloc[0] + np.arange(rows) * pd.Timedelta(seconds=seconds)
    figure = data_quality.series_figure(grid)
    figure.axes[0].xaxis.get_majorticklocs()


def test_one_spike_does_not_squeeze_the_other_steps_and_is_still_counted() -> None:
    grid = make_grid(parts=False).assign(segment=0)
    grid.loc[600, "value"] += 65.0
    (stairs,) = data_quality.step_figure(grid).axes[0].patches
    shares, edges, _ = stairs.get_data()  # type: ignore[attr-defined]
    assert edges[-1] < 1.0
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] == shares[-1] == pytest.approx(1 / 1299)
