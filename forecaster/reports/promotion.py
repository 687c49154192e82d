"""The page of a promotion: why the training ran, and what changed from the champion to its challenger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deployers.conversion.charts import MODEL, MUTED, READINGS, legend_above, new_axes
from deployers.conversion.page import Page
from forecaster.metrics import forecast_errors, truth
from forecaster.promotion import release_errors
from forecaster.reports.data_quality import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from forecaster.arrays import Doubles
    from forecaster.dataset import Dataset

CAUSES = {"series": "Series", "reason": "Reason", "request": "Request of the hub"}
BY_HAND = "By hand, by a schedule or by CI: no hub asked for it."


class Contender(NamedTuple):
    """A registered version and its release folder."""

    version: str
    release: Path


def promotion_page(
    model: str, contenders: Sequence[Contender], dataset: Dataset, outcome: Mapping[str, Any], cause: Mapping[str, str]
) -> str:
    """The page as one HTML document without outside references.

    Args:
        model: registered model's name.
        contenders: the champion before, if it was another version, and the challenger.
        dataset: on whose test part both were compared.
        outcome: the decision, with `version` and `promoted`.
        cause: series, reason and request of a retraining that a hub asked for; empty otherwise.
    """
    page = Page("Promotion", f"{model} version {outcome['version']}. {_lead(contenders)}")
    if outcome["promoted"]:
        page.verdict(f"it is champion; {outcome['reason']}", passed=True)
    else:
        page.mixed_verdict(f"Not promoted: {outcome['reason']}")
    page.section("Why it ran", "" if cause else BY_HAND)
    if cause:
        page.table(("What", "As the hub said"), [(CAUSES[name], value) for name, value in cause.items()])
    page.section("What changed")
    columns = [_facts(each.release) for each in contenders]
    heads = [f"version {each.version}" for each in contenders]
    page.table(("", *heads), [(name, *(column.get(name, "") for column in columns)) for name in columns[-1]])
    # A champion of another cadence or horizon cannot forecast these readings; one that was overruled was not compared.
    shown = contenders if outcome["champion_rmse"] is not None else contenders[-1:]
    page.section("On the same readings", "Errors by step ahead, on the test part of the new version's dataset.")
    page.figure(*_errors_figure(shown, dataset))
    return page.render()


def _lead(contenders: Sequence[Contender]) -> str:
    if len(contenders) == 1:
        return "There was no other champion to compare it with."
    return f"Beside version {contenders[0].version}, the champion until then."


def _facts(release: Path) -> dict[str, Any]:
    """What a release says of its data, its network and its errors."""
    fields, metrics, provenance = (
        json.loads((release / name).read_text(encoding="utf-8"))
        for name in ("features.json", "metrics.json", "provenance.json")
    )
    architecture, program = fields["architecture"], fields["program"]
    own, persistence = metrics["model"], metrics["baselines"]["persistence"]
    return {
        "dataset": provenance.get("dataset_version", ""),
        "test part": f"{metrics['first']} to {metrics['last']}",
        **_readings(release),
        "network": f"{architecture['form']}, {architecture['units']} units",
        "features": ", ".join(program["names"]),
        "RMSE on its own test part, °C": own["rmse"],
        "MAE on its own test part, °C": own["mae"],
        "persistence's MAE there, °C": persistence["mae"],
        "skill there": 1 - own["mae"] / persistence["mae"],
    }


def _readings(release: Path) -> dict[str, float]:
    """How the readings of its test part are."""
    with np.load(release / "test.npz") as stored:
        values = stored["value"][~stored["filled"]]
    return {
        "mean of its test part, °C": float(values.mean()),
        "spread (standard deviation), °C": float(values.std()),
        "mean change from reading to reading, °C": float(np.abs(np.diff(values)).mean()),
    }


def _errors_figure(contenders: Sequence[Contender], dataset: Dataset) -> tuple[Figure, str]:
    figure, axes = new_axes(3.4, f"steps of {duration(dataset.program.cadence_seconds)} ahead", "RMSE, °C")
    ahead = np.arange(1, dataset.program.horizon + 1)
    for each, colour in zip(contenders[::-1], (MODEL, READINGS), strict=False):
        errors = release_errors(each.release, dataset)
        axes.plot(ahead, _rmse(errors), "o-", color=colour, label=f"version {each.version}")
    axes.plot(ahead, _rmse(_persistence(dataset)), "--", color=MUTED, label="persistence")
    axes.set_ylim(0, None)
    legend_above(axes)
    return figure, "RMSE by step ahead, on the same readings."


def _rmse(errors: Doubles) -> Doubles:
    found: Doubles = np.sqrt(np.nanmean(np.square(errors), axis=0))
    return found


def _persistence(dataset: Dataset) -> Doubles:
    """Errors of repeating the last reading, `(origins, horizon)`."""
    grid, horizon = dataset.grid, dataset.program.horizon
    test = (grid["part"] == "test").to_numpy()
    repeated = np.repeat(grid["value"].to_numpy(np.float64)[test][:, None], horizon, axis=1)
    return forecast_errors(repeated, truth(grid, horizon)[test])
