"""The fidelity report as a page: what each type costs, how far it is from float Keras, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.conversion.charts import BASELINES, MODEL, MUTED, READINGS, dated, legend_above, new_axes, new_row
from deployers.conversion.page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from deployers.conversion.conditions import Condition
    from deployers.conversion.fidelity import Fidelity, TestPart

    Doubles = NDArray[np.float64]

STRETCH = 72  # steps on both sides of the largest error


def fidelity_page(
    figures: Mapping[str, Any],
    conditions: Mapping[str, Condition],
    measured: Sequence[Fidelity],
    part: TestPart,
    reference: Doubles,
) -> str:
    """The page as HTML.

    Args:
        figures: the report as plain values (see `Proof.figures`).
        conditions: what each type had to meet.
        measured: each type's errors and drift.
        part: the test part.
        reference: changes in °C that float Keras forecasts, `(rows, horizon)`.
    """
    steps, chosen = figures["test_part"]["steps"], figures["chosen"]
    page = Page(
        "Fidelity of the converted model",
        f"Release {figures['digest'][:12]}, {steps:,} steps of the test part, streamed one reading at a time.",
    )
    _verdict(page, chosen, conditions)
    page.conditions(conditions.values())
    _costs(page, figures)
    _by_horizon(page, figures, measured)
    _largest(page, figures, measured, part, reference)
    _drift(page, figures, measured)
    _saturation(page, figures)
    return page.render()


def _verdict(page: Page, chosen: str | None, conditions: Mapping[str, Condition]) -> None:
    over = [kind for kind, condition in conditions.items() if not condition.passed]
    if chosen is None:
        page.verdict("no type is within budget.", passed=False)
    elif over:
        page.mixed_verdict(f"{chosen} is deployed, the cheapest type within budget; over budget: {', '.join(over)}.")
    else:
        page.verdict(f"{chosen} is deployed, the cheapest type; every type is within budget.", passed=True)


def _costs(page: Page, figures: Mapping[str, Any]) -> None:
    page.section(
        "Types", f"One forecast is {figures['macs']:,} multiply-accumulates. MAE and RMSE in °C, against the readings."
    )
    page.paragraph(
        "Instructions are an estimate for one forecast on a Cortex-M7, from the operators of the cell. Run by says"
        " which runtime made the forecasts of this page, and with which kernels: TFLM, whose integer kernels the"
        " firmware equals to the bit, or LiteRT where TFLM is not installed, which rounds otherwise in places."
    )
    header = ("Type", "MAE", "MAE growth %", "RMSE", "Instructions, about", "File bytes", "Arena bytes", "Run by")
    rows = [
        (
            kind, found["metrics"]["mae"], round(100 * found["mae_growth"], 4), found["metrics"]["rmse"],
            found["instructions"], found["file_bytes"], _or_unknown(found["arena_bytes"]), found["runtime"],
        )
        for kind, found in figures["types"].items()
    ]  # fmt: skip
    page.table(header, [("Keras", figures["keras"]["mae"], 0.0, figures["keras"]["rmse"], "", "", "", ""), *rows])


def _or_unknown(value: int | None) -> Any:
    return "engine not built" if value is None else value


def _by_horizon(page: Page, figures: Mapping[str, Any], measured: Sequence[Fidelity]) -> None:
    page.section("Difference from float Keras", "In °C, by steps ahead.")
    header = ("Type", "Steps ahead", "Mean", "99 % below", "Largest", "MAE of the type", "MAE of Keras")
    rows = []
    for kind, found in figures["types"].items():
        truths = zip(found["metrics"]["by_horizon"], figures["keras"]["by_horizon"], strict=True)
        for step, (error, (own, keras)) in enumerate(zip(found["error"]["by_horizon"], truths, strict=True), start=1):
            rows.append((kind, step, error["mean"], error["p99"], error["largest"], _mae(own), _mae(keras)))
    page.table(header, rows)
    figure, axes = new_axes(3.0, "steps ahead", "mean difference, °C")
    for colour, found in zip(BASELINES, measured, strict=False):
        mean = np.abs(found.error).mean(axis=0)
        axes.plot(np.arange(1, len(mean) + 1), mean, marker="o", color=colour, label=found.kind)
    legend_above(axes)
    page.figure(figure, "Mean difference from float Keras by steps ahead")


def _mae(errors: Mapping[str, Any]) -> Any:
    return "no readings" if errors["mae"] is None else errors["mae"]


def _largest(
    page: Page, figures: Mapping[str, Any], measured: Sequence[Fidelity], part: TestPart, reference: Doubles
) -> None:
    page.section("Where the difference is largest")
    largest = {kind: found["error"]["largest"] for kind, found in figures["types"].items()}
    header = ("Type", "Largest difference °C", "Forecast made at", "Steps ahead")
    page.table(header, [(kind, at["celsius"], at["time"], at["horizon"]) for kind, at in largest.items()])
    page.figure(_differences(measured, part), "Largest difference of each forecast over the test part")
    worst = max(measured, key=lambda found: float(np.abs(found.error).max()))
    caption = f"Readings and forecasts around the largest difference, which is of {worst.kind}"
    page.figure(_stretch(worst, part, reference), caption)


def _differences(measured: Sequence[Fidelity], part: TestPart) -> Figure:
    figure, rows = new_row(1.6 * len(measured), 1, len(measured))
    for axes, colour, found in zip(rows, BASELINES, measured, strict=False):
        axes.plot(part.time.astype("datetime64[us]"), np.abs(found.error).max(axis=1), color=colour, linewidth=0.8)
        axes.set(ylabel=f"{found.kind}, °C")
        dated(axes)
    return figure


def _stretch(found: Fidelity, part: TestPart, reference: Doubles) -> Figure:
    row, step = np.unravel_index(int(np.argmax(np.abs(found.error))), found.error.shape)
    rows = slice(max(0, int(row) - STRETCH), int(row) + STRETCH)
    time, ahead = part.time[rows], int(step) + 1
    target = (time + ahead * part.program.cadence_seconds * 1_000_000).astype("datetime64[us]")
    figure, axes = new_axes(3.2, "", "°C")
    axes.plot(time.astype("datetime64[us]"), part.value[rows], color=READINGS, linewidth=1, label="readings")
    keras = part.value[rows] + reference[rows, step]
    axes.plot(target, keras, color=MUTED, linewidth=2.5, label=f"float Keras, {ahead} steps ahead")
    axes.plot(target, keras + found.error[rows, step], color=MODEL, linewidth=1, label=f"{found.kind}")
    dated(axes)
    legend_above(axes)
    return figure


def _drift(page: Page, figures: Mapping[str, Any], measured: Sequence[Fidelity]) -> None:
    steps = max(found["drift"]["steps"] for found in figures["types"].values())
    page.section("Drift of the carried state", f"Over {steps:,} steps without a reset, against the float32 cell.")
    header = ("Type", "RMS in the first window", "RMS in the last window", "Largest")
    drifts = {kind: found["drift"] for kind, found in figures["types"].items()}
    page.table(header, [(kind, d["first_rms"], d["rms"], d["largest"]) for kind, d in drifts.items()])
    figure, axes = new_axes(2.6, "steps", "RMS error of the state")
    for colour, found in zip(BASELINES, measured, strict=False):
        axes.plot(*found.drift, color=colour, label=found.kind)
    legend_above(axes)
    page.figure(figure, "Error of the carried state over time")


def _saturation(page: Page, figures: Mapping[str, Any]) -> None:
    page.section("Saturation", "Values at the limits of their type over the test part, by what makes them.")
    rows = [
        (kind, name, counts["at_limit"], counts["values"], 100 * counts["at_limit"] / max(counts["values"], 1))
        for kind, found in figures["types"].items()
        for name, counts in found["saturation"].items()
    ]
    page.table(("Type", "Made by", "At a limit", "Values", "Share %"), rows)
