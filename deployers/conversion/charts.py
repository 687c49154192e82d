"""Axes as every figure of the reports has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 9.6  # inches
# The model stands out; hues that stay apart for colour-blind readers (Okabe & Ito 2008).
READINGS, MODEL, MUTED, ACCENT = "#111111", "#9e2a2b", "#9aa5b1", "#2f6690"
BASELINES = ("#2f6690", "#e09f3e", "#56b4e9", "#009e73", "#cc79a7", "#6b4c9a")


def new_axes(height: float, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """A figure with one pair of axes."""
    figure, row = new_row(height, 1)
    row[0].set(xlabel=x_label, ylabel=y_label)
    return figure, row[0]


def new_row(height: float, columns: int, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with several pairs of axes, row by row."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    found = [figure.add_subplot(rows, columns, at + 1) for at in range(rows * columns)]
    for axes in found:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, color="#e4e8ec", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, found


def dated(axes: Axes) -> None:
    """Write the times of the x axis as short as they can be."""
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def legend_above(axes: Axes, columns: int = 4) -> None:
    """A legend over the axes, where it covers nothing."""
    legend = axes.legend(frameon=False, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1))
    for line in legend.get_lines():
        line.set_linewidth(2)


def colours(names: list[str]) -> dict[str, str]:
    """A colour for each baseline, the same in every figure."""
    return {name: BASELINES[at % len(BASELINES)] for at, name in enumerate(names)}
