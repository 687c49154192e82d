"""The plots of the comparison, as SVG files that stay small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from benchmarks.search_jobs import METHODS, OURS, PLAIN
from deployers.conversion.charts import BASELINES, MODEL, READINGS, new_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "ours": "this search",
    "scratch": "this search, no weights inherited",
    "random": "random search",
    "tpe": "Optuna TPE, median pruner",
    "nsga2": "Optuna NSGA-II",
    "hyperband": "Keras Tuner Hyperband",
    "plain": "plain DEAP + Keras fit",
}
APART = 1.13  # in the plot of test errors the rivals, who all have one budget, stand each so many times further right
# The readings' black is free here, stays apart from every hue, and leaves the rivals theirs.
COLOURS = dict(zip(METHODS, (MODEL, READINGS, *BASELINES), strict=False))


def draw(summary: dict[str, Any], budget: float, folder: Path) -> list[Path]:
    """Write curves.svg and test.svg; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = _of_budget(summary["curves"], budget)
    figures = {"curves.svg": curves_figure(lines), "test.svg": errors_figure(summary["table"])}
    for name, figure in figures.items():
        # Text stays text, and nothing but the figures decides the bytes.
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": "edgeloop"}):
            figure.savefig(folder / name, metadata={"Date": None})
    return [folder / name for name in figures]


def curves_figure(lines: Sequence[dict[str, Any]]) -> Figure:
    """Lowest validation RMSE so far over CPU seconds, a panel a sensor: medians, and intervals over seeds."""
    users = list(dict.fromkeys(line["user"] for line in lines))
    figure, panels = _panels(len(users))
    for user, axes in zip(users, panels, strict=False):
        _over_seconds(axes, user, "validation RMSE, °C")
        for line in (each for each in lines if each["user"] == user):
            colour, front = COLOURS[line["method"]], 3 if line["method"] == OURS else 2
            axes.plot(
                line["cpu_seconds"], line["median"], color=colour, label=LABELS[line["method"]],
                drawstyle="steps-post", zorder=front,
            )  # fmt: skip
            if line["low"][0] is not None:
                bounds = (line["cpu_seconds"], line["low"], line["high"])
                axes.fill_between(*bounds, step="post", color=colour, alpha=0.15, linewidth=0)
    _legend(figure, panels)
    return figure


def errors_figure(table: Sequence[dict[str, Any]]) -> Figure:
    """Test RMSE of what each method picked over the CPU seconds of its search: means, and intervals over seeds.

    Rivals are moved apart, or their intervals would cover each other.
    """
    users = list(dict.fromkeys(line["user"] for line in table))
    moved = {method: APART**place for place, method in enumerate(METHODS) if method != PLAIN}  # ours, the first, stays
    figure, panels = _panels(len(users))
    for user, axes in zip(users, panels, strict=False):
        _over_seconds(axes, user, "test RMSE, °C")
        axes.set_xlabel("CPU seconds (rivals moved apart)")
        for method in METHODS:
            mine = [line for line in table if (line["user"], line["method"]) == (user, method)]
            if not mine:
                continue
            seconds = [line["cpu_seconds"] * moved.get(method, 1.0) for line in mine]
            means = [line["rmse"]["mean"] for line in mine]
            ends = [[_beyond(line["rmse"], side) for line in mine] for side in ("low", "high")]
            axes.errorbar(seconds, means, yerr=ends, fmt="o-", color=COLOURS[method], label=LABELS[method], capsize=3)
    _legend(figure, panels)
    return figure


def _of_budget(lines: Sequence[dict[str, Any]], budget: float) -> list[dict[str, Any]]:
    """Those of the common budget, and plain DEAP's, which has none."""
    return [line for line in lines if line["budget"] in (budget, 0)]


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    rows = max(1, -(-count // 2))
    return new_row(3.6 * rows, min(2, max(1, count)), rows)


def _over_seconds(axes: Axes, user: str, label: str) -> None:
    axes.set(title=user, xscale="log", xlabel="CPU seconds", ylabel=label)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _beyond(estimate: dict[str, float | None], side: str) -> float:
    """Distance from the mean to an end of its interval; 0 where there is none."""
    mean, end = estimate["mean"], estimate[side]
    return abs(end - mean) if mean is not None and end is not None else 0.0


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    entries = {label: mark for axes in panels for mark, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if entries:
        figure.legend(list(entries.values()), list(entries), loc="outside upper center", ncols=3, frameon=False)
