"""The validation of a dataset: all conditions at once, as a value that can be stored before the gate is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forecaster.errors import ReadingError
from forecaster.gate import Condition, failures
from forecaster.validation.conditions import series_conditions
from forecaster.validation.integrity import deepchecks_conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from forecaster.validation.config import ValidationConfig

REPORT_KEYS = frozenset(
    {
        "rows_in",
        "out_of_order",
        "exact_duplicates",
        "conflicting",
        "missing",
        "held",
        "gaps_long",
        "longest_gap_steps",
        "rows_dropped_with_segments",
        "cadence_seconds",
    }
)


@dataclass(frozen=True)
class ValidationReport:
    """What was measured and whether it is good enough.

    Attributes:
        conditions: every condition, met or not, in a fixed order.
        summary: plain values for a reviewer: rows, first, last, segments, cadence_seconds, minimum, median, mean,
            maximum, standard_deviation (°C), part_rows (a dict), level_drift (Kolmogorov-Smirnov distance of the raw
            level, train to test; seasons move it, so it has no limit) and deepchecks (its version). Values that could
            not be measured are None.
    """

    conditions: tuple[Condition, ...]
    summary: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every condition is met."""
        return not failures(self.conditions)

    def headline(self) -> dict[str, Any]:
        """The verdict in a few values: passed, conditions (their number), failed (their names)."""
        failed = [condition.name for condition in failures(self.conditions)]
        return {"passed": self.passed, "conditions": len(self.conditions), "failed": failed}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the verdict."""
        return {
            "passed": self.passed,
            "conditions": [condition.as_dict() for condition in self.conditions],
            "summary": self.summary,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ValidationReport:
        """The inverse of `as_dict`; the verdict is worked out again, not believed."""
        return cls(tuple(map(Condition.from_dict, fields["conditions"])), dict(fields["summary"]))


def validate(
    readings: pd.DataFrame, grid: pd.DataFrame, report: Mapping[str, Any], parts: pd.Series, config: ValidationConfig
) -> ValidationReport:
    """Measure every condition of a cleaned dataset; a failed one never raises here.

    Args:
        readings: raw readings (time, value), in file order, shape (rows_in, 2).
        grid: the cleaned grid (time, value, segment, filled), shape (rows, 4 or more).
        report: the cleaning report as a dict of counts, with at least `REPORT_KEYS`.
        parts: "train", "validation" or "test" for each grid row, shape (rows,).
        config: the limits.

    Raises:
        ReadingError: `parts` does not label each grid row, or `report` lacks a count.
    """
    if len(parts) != len(grid):
        message = f"{len(parts)!r} part labels for {len(grid)!r} grid rows: give one label a row"
        raise ReadingError(message)
    if lacking := sorted(REPORT_KEYS - report.keys()):
        message = f"the cleaning report lacks {lacking!r}: pass the whole report as a dict"
        raise ReadingError(message)
    # Values that are not finite make NaN, which fails the conditions; a warning besides would say nothing more.
    with np.errstate(invalid="ignore"):
        checked, measured = deepchecks_conditions(grid, parts, config)
        conditions = (*series_conditions(readings, grid, report, config), *checked)
        return ValidationReport(conditions, {**_summary(grid, report, parts), **measured})


def _summary(grid: pd.DataFrame, report: Mapping[str, Any], parts: pd.Series) -> dict[str, Any]:
    values, times = grid["value"].to_numpy(), grid["time"]
    statistics: dict[str, Callable[..., Any]] = {
        "minimum": np.min,
        "median": np.median,
        "mean": np.mean,
        "maximum": np.max,
        "standard_deviation": np.std,
    }
    labels, counts = np.unique(parts.to_numpy(dtype=str), return_counts=True)
    return {
        "rows": len(grid),
        "first": str(times.iloc[0]) if len(grid) else None,
        "last": str(times.iloc[-1]) if len(grid) else None,
        "segments": int(grid["segment"].nunique()),
        "cadence_seconds": int(report["cadence_seconds"]),
        **{name: _finite(measure(values)) if len(grid) else None for name, measure in statistics.items()},
        "part_rows": {str(label): int(count) for label, count in zip(labels, counts, strict=True)},
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
