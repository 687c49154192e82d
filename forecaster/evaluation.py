"""A model's forecasts beside those of the baselines, and what it must beat."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from forecaster.baselines.history import steps_per_day
from forecaster.errors import InputError
from forecaster.gate import Condition
from forecaster.metrics import (
    ForecastMetrics,
    Interval,
    difference_interval,
    forecast_errors,
    naive_scale,
    score,
    truth,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from forecaster.arrays import Doubles
    from forecaster.dataset import Dataset
    from forecaster.model import Forecaster

MODEL, PERSISTENCE, RIDGE = "model", "persistence", "ridge"
SAMPLES = 1000  # of the bootstrap: the ends of a 95 % interval then have 25 samples outside them
# A part of a few days gets blocks shorter than a day: fewer than four blocks say nothing about their spread.
LEAST_BLOCKS = 4


class GateConfig(BaseModel):
    """What a model must beat on the test part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    persistence_margin: float = Field(
        0.0, gt=-1, lt=1, description="share by which RMSE must be below persistence's; negative tolerates a loss"
    )
    ridge_margin: float = Field(
        0.0, gt=-1, lt=1, description="share by which RMSE must be below the ridge's; negative tolerates a loss"
    )
    largest_rmse: float | None = Field(None, gt=0, description="largest RMSE allowed, °C; none if not given")


@dataclass(frozen=True)
class Evaluation:
    """Errors of a model and its baselines on the same readings.

    Attributes:
        part: the part whose rows are the origins.
        first, last: times of the first and the last origin, ISO 8601.
        origins: rows of the part.
        cadence_seconds: time between rows.
        fitted_parts: parts the baselines, and by its own account the model, have learned from.
        model: the model's figures.
        baselines: each baseline's figures.
        best_baseline: the baseline with the lowest RMSE.
        differences: for persistence, ridge and the best baseline the model's RMSE and MAE minus theirs.
        by_hour: MAE in °C of model and baselines by the hour in which the forecast was made, 24 each; NaN for an
            hour without forecasts.
    """

    part: str
    first: str
    last: str
    origins: int
    cadence_seconds: int
    fitted_parts: tuple[str, ...]
    model: ForecastMetrics
    baselines: dict[str, ForecastMetrics]
    best_baseline: str
    differences: dict[str, dict[str, Interval]]
    by_hour: dict[str, tuple[float, ...]]

    @property
    def horizon(self) -> int:
        """Steps forecast at each origin."""
        return len(self.model.by_horizon)

    def headline(self) -> dict[str, float]:
        """The figures a tracker lists: the model's, and each baseline's RMSE."""
        own = {f"{self.part}_{name}": getattr(self.model.overall, name) for name in ("mae", "rmse", "mape", "mase")}
        rivals = {f"{name.replace(' ', '_')}_rmse": figures.overall.rmse for name, figures in self.baselines.items()}
        return {name: value for name, value in {**own, **rivals}.items() if math.isfinite(value)}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None for NaN."""
        return {
            **{name: getattr(self, name) for name in ("part", "first", "last", "origins", "cadence_seconds")},
            "fitted_parts": list(self.fitted_parts),
            "model": self.model.as_dict(),
            "baselines": {name: figures.as_dict() for name, figures in self.baselines.items()},
            "best_baseline": self.best_baseline,
            "differences": {
                name: {metric: asdict(interval) for metric, interval in pair.items()}
                for name, pair in self.differences.items()
            },
            "by_hour": {
                name: [None if math.isnan(value) else value for value in hours] for name, hours in self.by_hour.items()
            },
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Evaluation:
        """The inverse of `as_dict`."""
        read = {
            "fitted_parts": tuple(fields["fitted_parts"]),
            "model": ForecastMetrics.from_dict(fields["model"]),
            "baselines": {name: ForecastMetrics.from_dict(figures) for name, figures in fields["baselines"].items()},
            "differences": {
                name: {metric: Interval(**interval) for metric, interval in pair.items()}
                for name, pair in fields["differences"].items()
            },
            "by_hour": {
                name: tuple(math.nan if value is None else value for value in hours)
                for name, hours in fields["by_hour"].items()
            },
        }
        return cls(**{**fields, **read})


def assess(dataset: Dataset, forecaster: Forecaster, gate: GateConfig, seed: int) -> tuple[dict[str, Any], str]:
    """Evaluate a trained forecaster on the test part and write the report.

    The baselines learn from the same parts as the model did.

    Args:
        dataset: its test part is forecast.
        forecaster: the trained model.
        gate: conditions shown in the report.
        seed: of the bootstrap.

    Returns:
        `evaluation` and `conditions` as plain values with the `headline`, and the page.
    """
    # The configuration's schema imports this module, and no command should wait for matplotlib.
    from forecaster.baselines import baseline_forecasts  # noqa: PLC0415
    from forecaster.reports.evaluation import evaluation_page  # noqa: PLC0415

    grid, program = dataset.grid, dataset.program
    learned = tuple(forecaster.training["parts"])
    forecasts = forecaster.forecasts(grid)
    baselines = baseline_forecasts(grid, program.horizon, program.cadence_seconds, learned)
    found = evaluate(
        grid, forecasts, baselines, cadence_seconds=program.cadence_seconds, seed=seed, fitted_parts=learned
    )
    conditions = gate_conditions(found, gate)
    page = evaluation_page(
        grid, forecasts, baselines, found, conditions, forecaster.training["curves"], "Model evaluation"
    )
    plain = {"evaluation": found.as_dict(), "conditions": [condition.as_dict() for condition in conditions]}
    return {"headline": found.headline(), **plain}, page


def evaluate(  # noqa: PLR0913 - settings by keyword
    grid: pd.DataFrame,
    forecasts: Doubles,
    baselines: Mapping[str, Doubles],
    *,
    part: str = "test",
    cadence_seconds: int,
    seed: int,
    fitted_parts: Sequence[str] = ("train",),
) -> Evaluation:
    """Score forecasts and baselines on the rows of one part.

    Args:
        grid: split grid frame.
        forecasts: made at every row, `(rows, horizon)`, °C.
        baselines: the same by name.
        part: the part whose rows are the origins.
        cadence_seconds: time between rows.
        seed: of the bootstrap.
        fitted_parts: what the baselines have learned from.

    Raises:
        InputError: no such part, no baseline, arrays of different shapes, or no reading to compare with.
        ForecasterError: a forecast is not finite where the reading is known.
        ReadingError: the training part never changes.
    """
    origins = _origins(grid, part)
    if not baselines:
        msg = "the baselines are {}, expected at least one: pass baseline_forecasts of the grid"
        raise InputError(msg)
    made = {MODEL: forecasts, **baselines}
    _require_rows(grid, made, forecasts.shape[-1])
    readings, scale = truth(grid, forecasts.shape[-1])[origins], naive_scale(grid)
    figures = {name: score(array[origins], readings, scale) for name, array in made.items()}
    best = min(baselines, key=lambda name: figures[name].overall.rmse)
    errors = {name: forecast_errors(array[origins], readings) for name, array in made.items()}
    time = grid["time"].iloc[origins]
    return Evaluation(
        part=part,
        first=time.iloc[0].isoformat(),
        last=time.iloc[-1].isoformat(),
        origins=len(origins),
        cadence_seconds=cadence_seconds,
        fitted_parts=tuple(fitted_parts),
        model=figures.pop(MODEL),
        baselines=figures,
        best_baseline=best,
        differences=_differences(errors, (PERSISTENCE, RIDGE, best), cadence_seconds, seed),
        by_hour={name: _by_hour(array, time.dt.hour.to_numpy()) for name, array in errors.items()},
    )


def _origins(grid: pd.DataFrame, part: str) -> NDArray[np.int64]:
    rows = np.flatnonzero((grid["part"] == part).to_numpy())
    if len(rows) == 0:
        known = ", ".join(map(repr, dict.fromkeys(grid["part"])))
        msg = f"part {part!r} has no rows, choose from {known or 'the parts of a grid that has rows'}"
        raise InputError(msg)
    return rows


def _require_rows(grid: pd.DataFrame, made: Mapping[str, Doubles], horizon: int) -> None:
    for name, array in made.items():
        if array.shape != (len(grid), horizon):
            wanted = (len(grid), horizon)
            msg = f"forecasts of {name!r} have shape {array.shape!r}, expected {wanted!r}: forecast every row"
            raise InputError(msg)


def _differences(
    errors: Mapping[str, Doubles], rivals: Sequence[str], cadence_seconds: int, seed: int
) -> dict[str, dict[str, Interval]]:
    own = errors[MODEL]
    block = max(1, min(steps_per_day(cadence_seconds), len(own) // LEAST_BLOCKS))
    return {
        name: {
            "rmse": difference_interval(own, errors[name], block=block, samples=SAMPLES, seed=seed, metric="rmse"),
            "mae": difference_interval(own, errors[name], block=block, samples=SAMPLES, seed=seed, metric="mae"),
        }
        for name in dict.fromkeys(rivals)
        if name in errors
    }


def _by_hour(errors: Doubles, hours: NDArray[np.int32]) -> tuple[float, ...]:
    """MAE of each hour of day, 24 values; NaN for an hour without errors."""
    count = np.bincount(hours, np.isfinite(errors).sum(axis=1), 24)
    total = np.bincount(hours, np.nansum(np.abs(errors), axis=1), 24)
    return tuple((total / np.where(count > 0, count, np.nan)).tolist())


def gate_conditions(evaluation: Evaluation, config: GateConfig) -> tuple[Condition, ...]:
    """What the model must meet: its RMSE relative to persistence's and to the ridge's, and the largest allowed.

    Raises:
        InputError: the evaluation lacks one of the two baselines.
    """
    conditions = [
        _relative(evaluation, PERSISTENCE, config.persistence_margin),
        _relative(evaluation, RIDGE, config.ridge_margin),
    ]
    if config.largest_rmse is not None:
        conditions.append(Condition("RMSE", evaluation.model.overall.rmse, "at most", config.largest_rmse, "°C"))
    return tuple(conditions)


def _relative(evaluation: Evaluation, baseline: str, margin: float) -> Condition:
    if baseline not in evaluation.baselines:
        msg = f"baseline {baseline!r} was not evaluated, only {', '.join(evaluation.baselines)}: evaluate it as well"
        raise InputError(msg)
    own, other = evaluation.model.overall.rmse, evaluation.baselines[baseline].overall.rmse
    ratio = own / other if other > 0 else (1.0 if own == 0 else math.inf)
    verdict = f"{'better' if own < other else 'worse'} by {abs(own - other):.4f} °C"
    detail = f"{own:.4f} against {other:.4f} °C, {verdict if own != other else 'no difference'}"
    return Condition(f"RMSE relative to {baseline}", ratio, "at most", 1.0 - margin, detail=detail)
