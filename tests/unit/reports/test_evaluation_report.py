"""The evaluation page tells the verdict first, then errors, intervals and pictures."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from forecaster.baselines import baseline_forecasts
from forecaster.evaluation import Evaluation, GateConfig, evaluate, gate_conditions
from forecaster.reports import evaluation as report
from forecaster.reports.evaluation import autocorrelation, evaluation_page
from tests import synthetic

if TYPE_CHECKING:
    import pandas as pd

CURVES = {"update": [20, 40], "train_rmse": [0.4, 0.3], "validation_rmse": [0.5, 0.35]}
HORIZON = 3


def judge(grid: pd.DataFrame, **settings: Any) -> tuple[np.ndarray, dict[str, np.ndarray], Evaluation]:
    rivals = baseline_forecasts(grid, HORIZON, 600)
    made = rivals["drift"] * 0.5 + rivals["persistence"] * 0.5
    return made, rivals, evaluate(grid, made, rivals, cadence_seconds=600, seed=0, **settings)


def page_of(grid: pd.DataFrame, curves=CURVES, gate: GateConfig | None = None, **settings: Any) -> str:
    made, rivals, found = judge(grid, **settings)
    return evaluation_page(
        grid, made, rivals, found, gate_conditions(found, gate or GateConfig()), curves, "Living <room>"
    )


def part_of(grid: pd.DataFrame) -> report.JudgedPart:
    made, _, found = judge(grid)
    return report.JudgedPart(grid, made, found)


@pytest.fixture(scope="module")
def grid() -> pd.DataFrame:
    return synthetic.grid(2400)


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures cost a second a page; tests of words do without their pixels."""
    monkeypatch.setattr(Figure, "savefig", lambda self, data, **settings: data.write(b"picture"))


@pytest.fixture(scope="module")
def html(grid: pd.DataFrame) -> str:
    return page_of(grid)


@pytest.mark.usefixtures("unrendered")
def test_title_lead_and_verdict_come_first(grid: pd.DataFrame) -> None:
    html = page_of(grid, gate=GateConfig(persistence_margin=-0.9, ridge_margin=-0.99))
    assert "<h1>Living &lt;room&gt;</h1>" in html
    assert "360 origins of the test part, 2024-03-15T" in html
    assert "at each, 3 steps of 10 min ahead (30 min)" in html
    assert html.index("Passed: all 2 conditions are met.") < html.index("<h2>")


@pytest.mark.usefixtures("unrendered")
def test_failed_conditions_are_told_with_their_figures(grid: pd.DataFrame) -> None:
    html = page_of(grid, gate=GateConfig(persistence_margin=-0.9, largest_rmse=0.0001))
    assert "Failed: " in html
    assert "RMSE is " in html
    assert "must be at most 0.0001 °C" in html
    assert html.index("<td>RMSE</td>") < html.index("<td>RMSE relative to persistence</td>")


def test_forecasts_are_listed_from_the_best_to_the_worst(grid: pd.DataFrame, html: str) -> None:
    _, _, found = judge(grid)
    rows = {"this model": found.model, **found.baselines}
    names = sorted(rows, key=lambda name: rows[name].overall.rmse)
    places = [html.index(f"<td>{name}</td>") for name in names]
    assert places == sorted(places)


def test_intervals_say_whether_the_difference_is_certain(grid: pd.DataFrame, html: str) -> None:
    _, _, found = judge(grid)
    assert f"Of the baselines {found.best_baseline} has the lowest RMSE" in html
    for pair in found.differences.values():
        for interval in pair.values():
            words = "the model is better" if interval.estimate < 0 else "the model is not better"
            assert (words if interval.excludes_zero else "not certain") in html


def test_seven_pictures_with_captions_and_nothing_from_outside(html: str) -> None:
    assert html.count("data:image/png;base64,") == html.count("<figcaption>") == 7
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert "<script" not in html


@pytest.mark.usefixtures("unrendered")
def test_without_curves_there_is_no_training_section(grid: pd.DataFrame) -> None:
    html = page_of(grid, curves={})
    assert "<h2>Training</h2>" not in html
    assert html.count("<figcaption>") == 6


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize(
    ("parts", "words"), [(("train",), "lowest validation error was kept"), (("train", "validation"), "is no judgement")]
)
def test_the_training_caption_tells_whether_validation_judged(
    grid: pd.DataFrame, parts: tuple[str, ...], words: str
) -> None:
    assert words in page_of(grid, fitted_parts=parts)


@pytest.mark.parametrize("rows", [120, 400])
def test_a_short_part_with_breaks_and_held_values_is_drawn(rows: int) -> None:
    table = synthetic.grid(rows, breaks=(rows - 9, rows - 5, rows - 1))
    table.loc[rows - 7, "filled"] = True
    assert page_of(table).count("<figcaption>") == 7


def test_a_horizon_of_one_step_is_drawn(grid: pd.DataFrame) -> None:
    rivals = baseline_forecasts(grid, 1, 600)
    found = evaluate(grid, rivals["ridge"], rivals, cadence_seconds=600, seed=0)
    html = evaluation_page(grid, rivals["ridge"], rivals, found, gate_conditions(found, GateConfig()), CURVES, "One")
    assert html.count("<figcaption>") == 7


def test_the_week_drawn_has_the_median_error() -> None:
    rows = 3 * 1008 + 10
    part = part_of(synthetic.grid(rows).assign(part=np.where(np.arange(rows) < 10, "train", "test")))
    part.errors = np.repeat(np.repeat([3.0, 1.0, 2.0], 1008)[:, None], HORIZON, axis=1)
    figure, caption = report.excerpt_figure(part)
    assert "RMSE 2.000 °C over all horizons, the median of 3 week(s)" in caption
    assert figure.axes[0].lines[0].get_xdata()[0] == part.time[2 * 1008]


def test_the_day_drawn_has_the_largest_error(grid: pd.DataFrame) -> None:
    part = part_of(grid)
    part.errors = np.where(np.arange(len(part.rows))[:, None] // 144 == 1, 0.9, np.full((1, HORIZON), 0.1))
    figure, caption = report.worst_day_figure(part, part.made, "ridge")
    assert "RMSE 0.900 °C" in caption
    assert figure.axes[0].lines[0].get_xdata()[0] == part.time[144]


def test_forecasts_are_drawn_at_the_time_they_are_about(grid: pd.DataFrame) -> None:
    part = part_of(grid)
    figure, _ = report.excerpt_figure(part)
    readings, made = figure.axes[0].lines
    assert made.get_xdata()[0] - readings.get_xdata()[0] == np.timedelta64(HORIZON * 600, "s")
    assert made.get_ydata()[0] == part.made[0, -1]


def test_lines_break_between_segments() -> None:
    table = synthetic.grid(2400, breaks=(2300,))
    figure, _ = report.excerpt_figure(part_of(table))
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).sum() == 1


def test_every_axis_has_a_label_or_dates(grid: pd.DataFrame) -> None:
    part, (_, _, found) = part_of(grid), judge(grid)
    figures = [report.horizon_figure(found), report.hour_figure(found), report.training_figure(CURVES)]
    figures += [report.residual_figure(part)[0], report.scatter_figure(part)[0]]
    for figure in figures:
        for axes in figure.axes:
            assert axes.get_xlabel()
            assert axes.get_ylabel()


def test_the_histogram_holds_every_error(grid: pd.DataFrame) -> None:
    part = part_of(grid)
    part.errors[0, 0] = 1e6
    spread = report.residual_figure(part)[0].axes[0]
    assert [patch.get_data()[0].sum() for patch in spread.patches] == pytest.approx([1, 1])


def test_errors_that_alternate_are_correlated_by_minus_one() -> None:
    errors, segment = np.array([1.0, -1.0] * 10), np.zeros(20, int)
    assert autocorrelation(errors, segment, 1) == pytest.approx(-1)
    assert autocorrelation(errors, segment, 2) == pytest.approx(1)


def test_correlation_takes_pairs_of_the_same_segment_that_are_known() -> None:
    errors, segment = np.array([1.0, -1.0, -1.0, 1.0, 7.0, np.nan]), np.array([0, 0, 1, 1, 2, 2])
    known = errors[:5] - errors[:5].mean()
    expected = (known[0] * known[1] + known[2] * known[3]) / 2 / (known**2).mean()
    assert autocorrelation(errors, segment, 1) == pytest.approx(expected)


@pytest.mark.parametrize("errors", [np.full(5, np.nan), np.zeros(5), np.array([1.0, np.nan, 2.0, np.nan, 1.0])])
def test_correlation_without_a_pair_or_a_spread_is_unknown(errors: np.ndarray) -> None:
    assert np.isnan(autocorrelation(errors, np.zeros(5, int), 1))


def test_drawing_starts_no_window_system() -> None:
    code = "import sys, forecaster.reports.evaluation, forecaster.reports.search as _; "
    code += "print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
