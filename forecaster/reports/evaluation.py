"""The evaluation report: whether the model beats its rivals, where it errs, and what its errors look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.charts import ACCENT, MODEL, MUTED, READINGS, colours, dated, legend_above, new_axes, new_row
from deployers.conversion.page import Page
from forecaster.baselines.history import steps_per_day
from forecaster.gate import failures, number
from forecaster.metrics import forecast_errors, truth
from forecaster.reports.data_quality import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from forecaster.arrays import Doubles
    from forecaster.evaluation import Evaluation
    from forecaster.gate import Condition

MOST_DOTS = 6000  # of a scatter plot; more only make it darker
FIGURES = ("MAE, °C", "RMSE, °C", "MAPE, %", "MASE", "forecasts")


def evaluation_page(  # noqa: PLR0913, PLR0917 - all that the page shows, and nothing else
    grid: pd.DataFrame,
    forecasts: Doubles,
    baselines: Mapping[str, Doubles],
    evaluation: Evaluation,
    conditions: Sequence[Condition],
    training_curves: Mapping[str, Sequence[float]],
    title: str,
) -> str:
    """The report as one HTML document without outside references.

    Args:
        grid: split grid frame.
        forecasts: of the model, made at every row, `(rows, horizon)`, °C.
        baselines: the same by name; those the evaluation compared with.
        evaluation: the figures.
        conditions: of the gate.
        training_curves: `update`, `train_rmse` and `validation_rmse` in °C, of one length; empty without any.
        title: of the page.
    """
    page = Page(title, _lead(evaluation))
    page.verdict(_verdict(conditions), passed=not failures(conditions))
    page.section("Conditions")
    page.conditions(sorted(conditions, key=lambda condition: condition.passed))
    page.section("Errors", f"Over all horizons together, origins in the {evaluation.part} part.")
    page.table(("Forecast", *FIGURES), _metric_rows(evaluation))
    page.paragraph(
        "MASE is relative to the one-step naive error within the training part, so forecasts of several steps lie "
        "above it. MAPE leaves out readings of exactly 0 °C."
    )
    page.section("Model against baselines", _interval_words(evaluation))
    page.table(("Model minus", "Error", "Difference, °C", "from", "to", "Verdict"), _difference_rows(evaluation))
    shown = JudgedPart(grid, forecasts, evaluation)
    page.section("Forecasts and readings")
    rival = baselines[evaluation.best_baseline][shown.rows]
    for figure, caption in (excerpt_figure(shown), worst_day_figure(shown, rival, evaluation.best_baseline)):
        page.figure(figure, caption)
    page.section("Where it errs")
    for figure, caption in _error_figures(shown, evaluation):
        page.figure(figure, caption)
    if len(training_curves.get("update", ())):
        page.section("Training")
        page.figure(training_figure(training_curves), _training_caption(evaluation))
    return page.render()


class JudgedPart:
    """What the figures draw: the origins of one part, their forecasts, readings and errors.

    Attributes:
        rows: origins, `(origins,)`.
        made, readings, errors: `(origins, horizon)`, °C; NaN where the reading is unknown.
    """

    def __init__(self, grid: pd.DataFrame, forecasts: Doubles, evaluation: Evaluation) -> None:
        self.horizon, self.cadence = evaluation.horizon, evaluation.cadence_seconds
        self.rows = np.flatnonzero((grid["part"] == evaluation.part).to_numpy())
        self.time = grid["time"].to_numpy()[self.rows]
        self.value = grid["value"].to_numpy(np.float64)[self.rows]
        self.segment = grid["segment"].to_numpy()[self.rows]
        self.made = forecasts[self.rows]
        self.readings = truth(grid, self.horizon)[self.rows]
        self.errors = forecast_errors(self.made, self.readings)

    def after(self, steps: int) -> NDArray[np.datetime64]:
        """Times `steps` after each origin."""
        return np.asarray(self.time + np.timedelta64(steps * self.cadence, "s"))

    def ahead(self, steps: int) -> str:
        """How far `steps` reach, in words."""
        return duration(steps * self.cadence)


def _lead(evaluation: Evaluation) -> str:
    reach = duration(evaluation.horizon * evaluation.cadence_seconds)
    return (
        f"{number(evaluation.origins)} origins of the {evaluation.part} part, {evaluation.first} to {evaluation.last}; "
        f"at each, {evaluation.horizon} steps of {duration(evaluation.cadence_seconds)} ahead ({reach})"
    )


def _verdict(conditions: Sequence[Condition]) -> str:
    failed = failures(conditions)
    if not failed:
        return f"all {len(conditions)} conditions are met."
    return "; ".join(condition.sentence() for condition in failed) + "."


def _metric_rows(evaluation: Evaluation) -> list[tuple[Any, ...]]:
    rows = {"this model": evaluation.model, **evaluation.baselines}
    ordered = sorted(rows.items(), key=lambda row: row[1].overall.rmse)
    return [(name, o.mae, o.rmse, o.mape, o.mase, o.count) for name, o in ((n, m.overall) for n, m in ordered)]


def _interval_words(evaluation: Evaluation) -> str:
    learned = " and ".join(evaluation.fitted_parts)
    return (
        f"The baselines learned from the {learned} part. Below zero the model is better; the interval is a 95 % paired "
        f"moving-block bootstrap. Of the baselines {evaluation.best_baseline} has the lowest RMSE."
    )


def _difference_rows(evaluation: Evaluation) -> Iterator[tuple[Any, ...]]:
    for name, pair in evaluation.differences.items():
        for metric, interval in pair.items():
            better = "the model is better" if interval.estimate < 0 else "the model is not better"
            certain = better if interval.excludes_zero else "not certain: the interval holds 0"
            yield name, metric.upper(), interval.estimate, interval.low, interval.high, certain


def excerpt_figure(part: JudgedPart) -> tuple[Figure, str]:
    """Readings and last-horizon forecasts over the week whose RMSE is the median of all weeks."""
    spans = _spans(len(part.rows), 7 * steps_per_day(part.cadence))
    ranked = sorted(spans, key=lambda rows: _rmse(part.errors[rows]))
    rows = ranked[(len(ranked) - 1) // 2]
    figure, axes = new_axes(3.4, "", "°C")
    axes.plot(*_broken(part.time[rows], part.value[rows], part.segment[rows]), color=READINGS, lw=1.1, label="reading")
    made = part.made[rows, -1]
    label = f"forecast {part.ahead(part.horizon)} before"
    axes.plot(*_broken(part.after(part.horizon)[rows], made, part.segment[rows]), color=MODEL, lw=1, label=label)
    dated(axes)
    legend_above(axes)
    worst = f"RMSE {_rmse(part.errors[rows]):.3f} °C over all horizons, the median of {len(spans)} week(s)"
    return figure, f"An ordinary week of the part: {worst}. Each forecast is drawn at the time it is about."


def worst_day_figure(part: JudgedPart, rival: Doubles, name: str) -> tuple[Figure, str]:
    """Forecast paths over the day with the largest RMSE, each beginning where the one before ends.

    Args:
        part: what to draw.
        rival: forecasts of a baseline at the same origins, `(origins, horizon)`, °C.
        name: of that baseline.
    """
    spans = _spans(len(part.rows), steps_per_day(part.cadence))
    rows = max(spans, key=lambda span: _rmse(part.errors[span]))
    figure, axes = new_axes(3.4, "", "°C")
    axes.plot(*_broken(part.time[rows], part.value[rows], part.segment[rows]), color=READINGS, lw=1.4, label="reading")
    steps = np.arange(part.horizon + 1) * np.timedelta64(part.cadence, "s")
    stride = max(part.horizon, -(-len(rows) // 48))  # more than two paths an hour of a day run into each other
    for at in rows[::stride]:
        for made, colour, style, label in ((rival, ACCENT, "--", name), (part.made, MODEL, "-", "model")):
            path = np.concatenate([part.value[at : at + 1], made[at]])
            shown = f"path of {label}" if at == rows[0] else ""
            axes.plot(part.time[at] + steps, path, color=colour, ls=style, lw=1.2, label=shown)
        axes.plot(part.time[at], part.value[at], "o", color=READINGS, ms=3)
    dated(axes)
    legend_above(axes)
    return figure, (
        f"The hardest day of the part (RMSE {_rmse(part.errors[rows]):.3f} °C): paths of {part.horizon} steps, each "
        f"from the reading at its dot, beside those of the best baseline ({name})."
    )


def _spans(origins: int, length: int) -> list[NDArray[np.int64]]:
    """Whole stretches of `length` origins; one shorter stretch where there is no whole one."""
    count = max(1, origins // length)
    return [np.arange(origins)[at * length : (at + 1) * length] for at in range(count)]


def _rmse(errors: Doubles) -> float:
    """RMSE, −1 where nothing is known, so that such a stretch is never the hardest."""
    known = errors[np.isfinite(errors)]
    return float(np.sqrt(np.square(known).mean())) if len(known) else -1.0


def _broken(
    time: NDArray[np.datetime64], value: Doubles, segment: NDArray[np.int64]
) -> tuple[NDArray[np.datetime64], Doubles]:
    """A line that breaks between segments."""
    cuts = np.flatnonzero(segment[1:] != segment[:-1]) + 1
    return np.insert(time, cuts, time[cuts]), np.insert(value, cuts, np.nan)


def _error_figures(part: JudgedPart, evaluation: Evaluation) -> Iterator[tuple[Figure, str]]:
    yield (
        horizon_figure(evaluation),
        "Error by horizon on a logarithmic scale: the model in red, baselines beside it.",
    )
    yield (
        hour_figure(evaluation),
        "MAE by the hour of day in which the forecast was made, over all horizons; logarithmic scale.",
    )
    yield residual_figure(part)
    yield scatter_figure(part)


def horizon_figure(evaluation: Evaluation) -> Figure:
    """RMSE and MAE over the horizon, for the model and every baseline."""
    figure, pair = new_row(3.4, 2)
    ahead = np.arange(1, evaluation.horizon + 1) * evaluation.cadence_seconds / 60
    lines = {"model": evaluation.model, **evaluation.baselines}
    for axes, metric in zip(pair, ("rmse", "mae"), strict=True):
        for name, figures in lines.items():
            axes.plot(ahead, [getattr(f, metric) for f in figures.by_horizon], **_line(name, evaluation))
        axes.set(xlabel="minutes ahead", ylabel=f"{metric.upper()}, °C")
        _log_scale(axes)
    figure.legend(*pair[0].get_legend_handles_labels(), loc="outside upper left", ncols=6, frameon=False)
    return figure


def hour_figure(evaluation: Evaluation) -> Figure:
    """MAE of the model and every baseline by hour of day."""
    figure, axes = new_axes(3.2, "hour of day", "MAE, °C")
    for name, hours in evaluation.by_hour.items():
        axes.plot(range(24), hours, **_line(name, evaluation))
    axes.set_xticks(range(0, 24, 3))
    _log_scale(axes)
    legend_above(axes, 6)
    return figure


def _line(name: str, evaluation: Evaluation) -> dict[str, Any]:
    if name == "model":
        return {"label": name, "color": MODEL, "linewidth": 2.2, "marker": "o", "markersize": 3.5, "zorder": 3}
    colour = colours(list(evaluation.baselines))[name]
    return {"label": name, "color": colour, "linewidth": 1.3, "marker": "o", "markersize": 2.5}


def _log_scale(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers: one poor baseline must not flatten all the others."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def residual_figure(part: JudgedPart) -> tuple[Figure, str]:
    """Distribution of the first and last horizon's errors, and their autocorrelation up to a day."""
    figure, (spread, memory) = new_row(3.2, 2)
    reach = max(float(np.nanquantile(np.abs(part.errors), 0.995)), 1e-6)
    edges = np.linspace(-reach, reach, 62)
    lags = np.arange(1, min(steps_per_day(part.cadence), len(part.rows) - 1) + 1)
    for k, colour in dict(zip((0, part.horizon - 1), (ACCENT, MODEL), strict=True)).items():
        errors = part.errors[:, k]
        known = errors[np.isfinite(errors)]
        label = f"{part.ahead(k + 1)} ahead"
        share = np.histogram(known.clip(-reach, reach), edges)[0] / max(len(known), 1)
        spread.stairs(share, edges, color=colour, lw=1.4, label=label)
        hours = lags * part.cadence / 3600
        memory.plot(hours, [autocorrelation(errors, part.segment, int(lag)) for lag in lags], color=colour, lw=1.4)
    spread.axvline(0, color=MUTED, lw=0.8)
    spread.set(xlabel="forecast − reading, °C", ylabel="share of the forecasts", yscale="log")
    memory.axhline(0, color=MUTED, lw=0.8)
    memory.set(xlabel="lag, h", ylabel="autocorrelation of the errors", ylim=(-0.5, 1.02))
    legend_above(spread)
    bias = np.nanmean(part.errors)
    return figure, (
        f"Errors of the first and the last horizon (mean over all: {bias:+.3f} °C; the outermost bars hold all "
        "beyond). "
        f"Forecasts {part.ahead(part.horizon)} ahead overlap, so their errors are alike up to that lag even when the "
        "model misses nothing."
    )


def autocorrelation(errors: Doubles, segment: NDArray[np.int64], lag: int) -> float:
    """Correlation of errors `lag` rows apart in the same segment, around their mean; NaN without a pair."""
    around = errors - np.nanmean(errors) if np.isfinite(errors).any() else errors
    product = np.where(segment[lag:] == segment[:-lag], around[lag:] * around[:-lag], np.nan)
    known = np.isfinite(product)
    variance = float(np.mean(np.square(around[np.isfinite(around)]))) if known.any() else 0.0
    return float(product[known].mean() / variance) if variance > 0 else float("nan")


def scatter_figure(part: JudgedPart) -> tuple[Figure, str]:
    """Predicted against true change from the last reading, at the last horizon."""
    figure, axes = new_axes(3.8, "true change, °C", "predicted change, °C")
    true, predicted = part.readings[:, -1] - part.value, part.made[:, -1] - part.value
    known = np.flatnonzero(np.isfinite(true))
    known = known[:: -(-len(known) // MOST_DOTS) or 1]
    true, predicted = true[known], predicted[known]
    axes.plot(true, predicted, "o", color=MODEL, alpha=0.35, ms=3, mew=0, label="model")
    ends = np.array([true.min(initial=-0.01), true.max(initial=0.01)])
    axes.plot(ends, ends, color=READINGS, lw=1, label="perfect forecast")
    axes.plot(ends, 0 * ends, color=ACCENT, lw=1.2, ls="--", label="persistence")
    legend_above(axes)
    return figure, f"Change over {part.ahead(part.horizon)}: predicted against true, {number(len(known))} forecasts."


def training_figure(curves: Mapping[str, Sequence[float]]) -> Figure:
    """RMSE on training windows and on the validation part over the updates."""
    figure, axes = new_axes(3.0, "update", "RMSE, °C")
    lines = (("train_rmse", ACCENT, "training windows, with dropout"), ("validation_rmse", MODEL, "validation part"))
    for key, colour, label in lines:
        axes.plot(curves["update"], curves[key], color=colour, marker="o", ms=3, label=label)
    axes.set_ylim(bottom=0)
    legend_above(axes)
    return figure


def _training_caption(evaluation: Evaluation) -> str:
    if "validation" in evaluation.fitted_parts:
        return "RMSE during training. The validation part was learned from as well, so its curve is no judgement."
    return "RMSE during training; the checkpoint with the lowest validation error was kept."
