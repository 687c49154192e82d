"""The plots of the comparison: a panel a sensor, a line a method, small files that repeat."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_hex

from benchmarks import search_figure
from benchmarks.search_figure import COLOURS, LABELS, curves_figure, draw, errors_figure
from benchmarks.search_jobs import METHODS
from deployers.conversion.charts import BASELINES, MODEL

USERS = ("attic", "cellar", "hall")


def curve(user: str, method: str, budget: float = 40.0, *, seeds: int = 5) -> dict[str, Any]:
    seconds = [1.0, 4.0, 40.0]
    bounds = ([0.2, 0.1, 0.1], [0.6, 0.5, 0.4]) if seeds > 1 else ([None] * 3, [None] * 3)
    return {
        "user": user, "method": method, "budget": budget, "cpu_seconds": seconds,
        "median": [0.5, 0.4, 0.3], "low": bounds[0], "high": bounds[1],
    }  # fmt: skip


def line(user: str, method: str, budget: float = 40.0, **rmse: float | None) -> dict[str, Any]:
    estimate = {"mean": 0.3, "low": 0.28, "high": 0.35, **rmse}
    return {"user": user, "method": method, "budget": budget, "cpu_seconds": budget or 800.0, "rmse": estimate}


SUMMARY = {
    "curves": [curve(user, method, 0.0 if method == "plain" else 40.0) for user in USERS for method in METHODS],
    "table": [line(user, method, 0.0 if method == "plain" else 40.0) for user in USERS for method in METHODS],
}


def test_every_method_has_a_name_and_a_colour_of_its_own() -> None:
    assert set(LABELS) == set(COLOURS) == set(METHODS)
    assert len(set(COLOURS.values())) == len(METHODS)
    assert COLOURS["ours"] == MODEL
    assert LABELS["scratch"] == "this search, no weights inherited"


def test_the_rivals_have_the_colours_of_the_other_figures() -> None:
    assert [COLOURS[method] for method in METHODS[2:]] == list(BASELINES[: len(METHODS) - 2])
    assert COLOURS["scratch"] not in BASELINES


def test_each_sensor_has_a_panel_with_all_methods() -> None:
    figure = curves_figure(SUMMARY["curves"])
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == list(USERS)
    for axes in panels:
        assert [text.get_label() for text in axes.get_lines()] == [LABELS[method] for method in METHODS]
        assert axes.get_xscale() == "log"
        assert len(axes.collections) == len(METHODS)
    assert len(figure.legends[0].get_texts()) == len(METHODS)


def test_seconds_are_written_as_plain_numbers() -> None:
    for figure in (curves_figure(SUMMARY["curves"]), errors_figure(SUMMARY["table"])):
        axis = figure.axes[0].xaxis
        assert [axis.get_major_formatter()(value) for value in (2.0, 50.0, 800.0)] == ["2", "50", "800"]
        assert axis.get_minor_formatter()(3.0) == ""


def test_a_curve_is_drawn_as_steps_through_its_medians() -> None:
    (drawn,) = curves_figure([curve("attic", "ours")]).axes[0].get_lines()
    assert list(drawn.get_xdata()) == [1.0, 4.0, 40.0]
    assert list(drawn.get_ydata()) == [0.5, 0.4, 0.3]
    assert drawn.get_drawstyle() == "steps-post"
    assert to_hex(drawn.get_color()) == MODEL


def test_ours_lies_over_the_others() -> None:
    drawn = {mark.get_label(): mark.get_zorder() for mark in curves_figure(SUMMARY["curves"]).axes[0].get_lines()}
    assert all(drawn["this search"] > drawn[LABELS[method]] for method in METHODS[1:])


def test_one_seed_has_no_band() -> None:
    assert len(curves_figure([curve("attic", "ours", seeds=1)]).axes[0].collections) == 0


def test_test_errors_stand_over_the_seconds_of_each_budget() -> None:
    table = [line("attic", "ours", 10.0, mean=0.4, low=0.3, high=0.6), line("attic", "ours")]
    (axes,) = errors_figure([*table, line("attic", "plain", 0.0)]).axes
    ours, plain = axes.containers
    assert list(ours.lines[0].get_xdata()) == [10.0, 40.0]
    assert list(ours.lines[0].get_ydata()) == [0.4, 0.3]
    assert list(plain.lines[0].get_xdata()) == [800.0]
    low, high = (end.get_ydata()[0] for end in ours.lines[1])
    assert (low, high) == pytest.approx((0.3, 0.6))


def test_rivals_of_one_budget_do_not_cover_each_other() -> None:
    (axes,) = errors_figure([line("attic", method) for method in METHODS[:-1]]).axes
    places = [drawn.lines[0].get_xdata()[0] for drawn in axes.containers]
    assert places[0] == 40.0
    assert all(1.1 * left < right < 1.2 * left for left, right in pairwise(places))
    assert "moved apart" in axes.get_xlabel()


def test_a_mean_without_an_interval_has_no_bars() -> None:
    (axes,) = errors_figure([line("attic", "ours", low=None, high=None)]).axes
    low, high = (end.get_ydata()[0] for end in axes.containers[0].lines[1])
    assert low == high == 0.3


def test_only_the_common_budget_and_plain_are_drawn_as_curves(monkeypatch, tmp_path: Path) -> None:
    drawn: list[tuple[str, float]] = []
    original = curves_figure

    def noted(lines: list[dict[str, Any]]) -> Any:
        drawn.extend((each["method"], each["budget"]) for each in lines)
        return original(lines)

    monkeypatch.setattr(search_figure, "curves_figure", noted)
    given = [curve("attic", "ours"), curve("attic", "ours", 400.0), curve("attic", "plain", 0.0)]
    draw({"curves": given, "table": []}, 40.0, tmp_path)
    assert drawn == [("ours", 40.0), ("plain", 0.0)]


def test_the_files_are_small_and_the_same_again(tmp_path: Path) -> None:
    written = draw(SUMMARY, 40.0, tmp_path / "one")
    again = draw(SUMMARY, 40.0, tmp_path / "two")
    assert [path.name for path in written] == ["curves.svg", "test.svg"]
    for first, second in zip(written, again, strict=True):
        assert first.read_bytes() == second.read_bytes()
        assert 1_000 < first.stat().st_size < 200_000
        assert "cellar" in first.read_text()


def test_nothing_to_draw_is_no_error(tmp_path: Path) -> None:
    for path in draw({"curves": [], "table": []}, 40.0, tmp_path):
        assert path.read_text().startswith("<?xml")
