"""The data quality report: whether this dataset is fit to train on, and what it looks like."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.charts import dated, legend_above, new_axes
from deployers.conversion.page import Page
from forecaster.gate import failures, number
from forecaster.validation.conditions import raw_intervals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from forecaster.validation.report import ValidationReport

# Three hues that stay apart for colour-blind readers and in grey.
COLOURS = {"train": "#2f6690", "validation": "#e09f3e", "test": "#9e2a2b", "all": "#2f6690"}
HELD_COLOUR = "#111111"
MOST_POINTS = 8000  # drawn in the line of the series; its picture is some 1000 pixels wide
LONGEST_INTERVAL = 10  # cadences; longer ones share the last bar


def data_quality_page(
    readings: pd.DataFrame, grid: pd.DataFrame, cleaning: Mapping[str, Any], validation: ValidationReport, source: str
) -> str:
    """The report as one HTML document without outside references.

    Args:
        readings: raw readings (time, value), shape (rows_in, 2).
        grid: the cleaned grid (time, value, segment, filled), with `part` once it has been split.
        cleaning: the cleaning report as a dict of counts.
        validation: the conditions and the summary.
        source: where the readings came from, in words.
    """
    summary = validation.summary
    page = Page(
        "Data quality",
        f"{source}: {number(len(readings))} readings, {number(len(grid))} grid rows every "
        f"{duration(float(cleaning['cadence_seconds']))}, {summary['first']} to {summary['last']}",
    )
    page.verdict(_verdict(validation), passed=validation.passed)
    page.section("Conditions")
    page.conditions(sorted(validation.conditions, key=lambda condition: condition.passed))
    page.section("Cleaning")
    for sentence in cleaning_sentences(cleaning):
        page.paragraph(sentence)
    page.section("Values")
    page.table(("Measured without a limit", "Value"), _summary_rows(summary))
    drawable = grid[np.isfinite(grid["value"])]  # a dataset that failed for its values still gets its report
    if len(drawable):
        page.section("Figures")
        for figure, caption in _figures(readings, drawable, cleaning):
            page.figure(figure, caption)
    return page.render()


def cleaning_sentences(cleaning: Mapping[str, Any]) -> list[str]:
    """What cleaning found and did, in words; what did not happen is not told."""
    found = _counts(
        cleaning,
        out_of_order="out of time order",
        exact_duplicates="exact repetitions",
        conflicting="with another value for a time already read",
        surplus="surplus to their grid step",
        off_grid="off the grid and dropped",
    )
    sentences = [f"{number(cleaning['rows_in'])} readings: {found or 'all in order, distinct and on the grid'}."]
    gaps = _counts(
        cleaning,
        missing="grid steps without a reading",
        held="of them held at the value before",
        gaps_long="gap(s) too long to bridge",
    )
    longest = duration(float(cleaning["longest_gap_steps"]) * float(cleaning["cadence_seconds"]))
    sentences.append(f"Gaps: {gaps}; the longest is {longest}." if gaps else "There are no gaps.")
    dropped = _counts(
        cleaning, segments_dropped="segment(s) too short and dropped", rows_dropped_with_segments="rows lost with them"
    )
    left = (
        f"{number(cleaning['rows_out'])} rows are left, in segments of regular cadence: {number(cleaning['segments'])}"
    )
    sentences.append(f"{left}; {dropped}." if dropped else f"{left}.")
    return sentences


def _counts(cleaning: Mapping[str, Any], **words: str) -> str:
    return ", ".join(f"{number(cleaning[key])} {text}" for key, text in words.items() if cleaning[key])


def _verdict(validation: ValidationReport) -> str:
    total, failed = len(validation.conditions), failures(validation.conditions)
    if not failed:
        return f"all {total} conditions are met."
    return f"{len(failed)} of {total} conditions are not met: {', '.join(condition.name for condition in failed)}."


def _summary_rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in ("minimum", "median", "mean", "maximum", "standard_deviation"):
        yield f"{key.replace('_', ' ')}, °C", _or_dash(summary.get(key))
    for part in ("train", "validation", "test"):
        yield f"rows of the {part} part", summary["part_rows"].get(part, 0)
    yield "drift of the level, train to test (KS distance; seasons move it)", _or_dash(summary.get("level_drift"))


def _or_dash(value: Any) -> Any:
    return "not measured" if value is None else value


def duration(seconds: float) -> str:
    """Seconds in the largest unit that a reader would choose."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size * (2 if unit == "days" else 1):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _figures(readings: pd.DataFrame, grid: pd.DataFrame, cleaning: Mapping[str, Any]) -> Iterator[tuple[Figure, str]]:
    held = int(grid["filled"].sum())
    yield series_figure(grid), f"The series by part; {number(held)} held values; lines break between segments."
    yield hour_figure(grid), "By hour of day: median (line) and the middle 80 % of the values (band) of each part."
    if _steps(grid).notna().any():
        yield (
            step_figure(grid),
            "Step differences by part, on a logarithmic scale; the outermost bars hold all beyond.",
        )
    intervals = raw_intervals(readings) / float(cleaning["cadence_seconds"])
    if len(intervals):
        yield (
            interval_figure(intervals),
            f"Intervals between raw readings in cadences; {LONGEST_INTERVAL} stands for all from there on.",
        )


def _by_part(grid: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if "part" not in grid:
        yield "all", grid
        return
    for part in ("train", "validation", "test"):
        rows = grid[grid["part"] == part]
        if len(rows):
            yield part, rows


def series_figure(grid: pd.DataFrame) -> Figure:
    """°C over time by part, a line for each segment, held values marked."""
    figure, axes = new_axes(3.4, "", "°C")
    for part, rows in _by_part(grid):
        for at, (_, segment) in enumerate(rows.groupby("segment")):
            drawn = segment.iloc[envelope(segment["value"].to_numpy(), MOST_POINTS * len(segment) // len(grid))]
            axes.plot(drawn["time"], drawn["value"], color=COLOURS[part], linewidth=0.8, label="" if at else part)
    held = grid[grid["filled"]]
    if len(held):
        axes.plot(held["time"], held["value"], "x", color=HELD_COLOUR, markersize=4, label="held")
    dated(axes)
    legend_above(axes)
    return figure


def envelope(values: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Rows to draw: lowest and highest of equal bins, so that no spike gets lost; at most about `points`."""
    bins = max(points // 2, 1)
    if len(values) <= 2 * bins:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), bins + 1).astype(np.int64)
    pairs = [start + pick(values[start:stop]) for start, stop in pairwise(edges) for pick in (np.argmin, np.argmax)]
    return np.unique(np.array(pairs, np.int64))


def hour_figure(grid: pd.DataFrame) -> Figure:
    """Median and 10 to 90 % of the °C by hour of day and part."""
    figure, axes = new_axes(3.0, "hour of day", "°C")
    for part, rows in _by_part(grid):
        low, middle, high = (rows.groupby(rows["time"].dt.hour)["value"].quantile(share) for share in (0.1, 0.5, 0.9))
        axes.fill_between(middle.index, low, high, color=COLOURS[part], alpha=0.15, linewidth=0)
        axes.plot(middle.index, middle, color=COLOURS[part], label=part, marker="o", markersize=3)
    axes.set_xticks(range(0, 24, 3))
    legend_above(axes)
    return figure


def _steps(grid: pd.DataFrame) -> pd.Series:
    return grid["value"].diff().where(grid["segment"].eq(grid["segment"].shift()))


def step_figure(grid: pd.DataFrame) -> Figure:
    """Shares of the step differences (°C) by part; the grid needs at least one step inside a segment."""
    figure, axes = new_axes(3.0, "step difference, °C", "share of the part")
    steps = _steps(grid)
    # One spike must not squeeze all other steps into one bar.
    reach = max(3.0 * float(steps.abs().quantile(0.99)), 0.1)
    edges = np.linspace(-reach, reach, 62)  # an odd number of bins: the one in the middle holds the zero steps
    for part, rows in _by_part(grid):
        own = steps.loc[rows.index].dropna().clip(-reach, reach).to_numpy()
        share = np.histogram(own, edges)[0] / max(len(own), 1)
        axes.stairs(share, edges, color=COLOURS[part], label=part, linewidth=1.4)
    axes.set_yscale("log")
    legend_above(axes)
    return figure


def interval_figure(intervals: NDArray[np.float64]) -> Figure:
    """Counts of intervals given in cadences, shape (intervals,)."""
    figure, axes = new_axes(2.6, "interval, cadences", "intervals")
    edges = np.arange(0.0, LONGEST_INTERVAL + 0.5, 0.25) - 0.125
    counts, _ = np.histogram(np.minimum(intervals, LONGEST_INTERVAL), edges)
    axes.bar(edges[:-1] + 0.125, counts, width=0.22, color=COLOURS["all"])
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    axes.set_xticks(range(LONGEST_INTERVAL + 1), [*map(str, range(LONGEST_INTERVAL)), f"{LONGEST_INTERVAL}+"])
    return figure
