"""A small simulated room, as raw readings, grid, cleaning counts and part labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from forecaster.validation import ValidationConfig, ValidationReport, validate

COUNTS = (
    "rows_in",
    "out_of_order",
    "exact_duplicates",
    "conflicting",
    "surplus",
    "off_grid",
    "missing",
    "held",
    "gaps_long",
    "longest_gap_steps",
    "segments",
    "segments_dropped",
    "rows_dropped_with_segments",
    "rows_out",
    "cadence_seconds",
)


@dataclass(frozen=True)
class Case:
    """One dataset, with ways to spoil it."""

    grid: pd.DataFrame
    counts: dict[str, Any]
    parts: pd.Series
    readings: pd.DataFrame

    @classmethod
    def of(cls, values: npt.NDArray[np.float64], cadence: int = 600) -> Case:
        """A gapless dataset of these values, split 70/15/15."""
        rows = len(values)
        start = np.datetime64("2024-03-04T00:00:00", "us")
        grid = pd.DataFrame(
            {
                "time": start + np.arange(rows) * np.timedelta64(cadence, "s"),
                "value": np.asarray(values, float),
                "segment": np.zeros(rows, np.int64),
                "filled": np.zeros(rows, bool),
            }
        )
        counts = dict.fromkeys(COUNTS, 0) | {"rows_in": rows, "rows_out": rows, "segments": 1}
        share = np.arange(rows) / max(rows, 1)
        parts = pd.Series(np.select([share < 0.7, share < 0.85], ["train", "validation"], "test"))
        return cls(grid, counts | {"cadence_seconds": cadence}, parts, grid[["time", "value"]].copy())

    def counted(self, **counts: int) -> Case:
        """The same dataset with other cleaning counts."""
        return replace(self, counts=self.counts | counts)

    def labelled(self, parts: npt.NDArray[np.str_]) -> Case:
        """The same dataset with other part labels."""
        return replace(self, parts=pd.Series(parts))

    def without(self, rows: npt.NDArray[np.int64]) -> Case:
        """These grid rows become held values: the reading before, repeated."""
        grid = self.grid.copy()
        grid.loc[rows, "filled"] = True
        grid["value"] = grid["value"].mask(grid["filled"]).ffill()
        readings = grid.loc[~grid["filled"], ["time", "value"]].reset_index(drop=True)
        return replace(self, grid=grid, readings=readings).counted(missing=len(rows), held=len(rows))

    def gap(self, start: int, stop: int) -> Case:
        """Grid rows from `start` to before `stop` vanish in a long gap that divides two segments."""
        kept = self.grid.index.delete(slice(start, stop))
        grid = self.grid.loc[kept].reset_index(drop=True)
        grid.loc[start:, "segment"] += 1
        parts = self.parts.loc[kept].reset_index(drop=True)
        cut = replace(self, grid=grid, parts=parts, readings=grid[["time", "value"]].copy())
        return cut.counted(missing=stop - start, gaps_long=1, longest_gap_steps=stop - start)

    def validate(self, **limits: Any) -> ValidationReport:
        """The report under the default limits but these."""
        return validate(self.readings, self.grid, self.counts, self.parts, ValidationConfig(**limits))


def simulate(rows: int, cadence: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """°C of a heated room as a DS18B20 reads it: a day's wave, slow weather, flicker of the last bit."""
    hours = np.arange(rows) * cadence / 3600.0
    weather = np.interp(hours, np.arange(0, hours[-1] + 24, 12), 1.0 * rng.standard_normal(int(hours[-1] / 12) + 3))
    level = 21.0 + 1.2 * np.sin((hours - 9.0) * np.pi / 12.0) + np.clip(weather, -1.5, 1.5)
    values: npt.NDArray[np.float64] = np.round((level + 0.02 * rng.standard_normal(rows)) / 0.0625) * 0.0625
    return values


@pytest.fixture(scope="session")
def room() -> Case:
    """Thirty days every ten minutes, nothing wrong."""
    return Case.of(simulate(30 * 144, 600, np.random.default_rng(7)))


@pytest.fixture(scope="session")
def case_of() -> type[Case]:
    """`Case`, for tests that bring values of their own."""
    return Case


@pytest.fixture(scope="session")
def simulated() -> Any:
    """`simulate`, for tests that want another length, cadence or seed."""
    return simulate
