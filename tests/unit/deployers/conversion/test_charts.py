"""Axes of the reports are alike, and their colours tell baselines apart."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.dates import ConciseDateFormatter

from deployers.conversion.charts import BASELINES, MODEL, colours, dated, legend_above, new_axes, new_row


def test_new_axes_have_their_labels() -> None:
    figure, axes = new_axes(3.0, "hour of day", "°C")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("hour of day", "°C")
    assert figure.axes == [axes]


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 1), (4, 3)])
def test_a_row_has_its_axes_in_reading_order(columns: int, rows: int) -> None:
    figure, found = new_row(3.0, columns, rows)
    figure.draw_without_rendering()
    assert len(found) == columns * rows
    places = [(-round(axes.get_position().y0, 3), axes.get_position().x0) for axes in found]
    assert places == sorted(places)


def test_only_the_axes_that_carry_numbers_are_drawn() -> None:
    _, axes = new_axes(3.0, "", "°C")
    assert [name for name, spine in axes.spines.items() if spine.get_visible()] == ["left", "bottom"]


def test_times_are_written_short() -> None:
    _, axes = new_axes(3.0, "", "°C")
    axes.plot(np.datetime64("2024-03-01T00:00", "us") + np.arange(3) * np.timedelta64(1, "h"), [1, 2, 3])
    dated(axes)
    assert isinstance(axes.xaxis.get_major_formatter(), ConciseDateFormatter)


def test_the_legend_stands_above_the_axes() -> None:
    figure, axes = new_axes(3.0, "x", "y")
    axes.plot([0, 1], [0, 1], label="reading")
    legend_above(axes)
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert [entry.get_text() for entry in legend.get_texts()] == ["reading"]
    assert legend.get_window_extent().y0 >= axes.get_window_extent().y1 - 1


def test_every_baseline_has_a_colour_of_its_own_that_is_not_the_models() -> None:
    names = [f"baseline {number}" for number in range(len(BASELINES))]
    found = colours(names)
    assert list(found) == names
    assert len({*found.values(), MODEL}) == len(names) + 1


def test_more_baselines_than_colours_begin_again() -> None:
    found = colours([str(number) for number in range(len(BASELINES) + 1)])
    assert found[str(len(BASELINES))] == found["0"]
