"""Train, validation and test part of a grid, in time order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from forecaster.errors import ReadingError

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd

PARTS = ("train", "validation", "test")


class SplitConfig(BaseModel):
    """Shares of the parts; the test part is the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: float = Field(0.70, gt=0, lt=1, description="share of the rows, the earliest")
    validation: float = Field(0.15, gt=0, lt=1, description="share of the rows, those after the training part")

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> Self:
        if self.train + self.validation >= 1:
            message = f"train {self.train!r} and validation {self.validation!r} leave no test part: make their sum < 1"
            raise ValueError(message)
        return self


def split(grid: pd.DataFrame, config: SplitConfig, minimum_steps: int = 1) -> pd.DataFrame:
    """The grid with a column `part`, cut in time order by row count.

    Args:
        grid: grid frame, shape (rows, columns).
        config: shares of the parts.
        minimum_steps: rows that each part needs at least.

    Returns:
        A copy, shape (rows, columns + 1); `part` is "train", "validation" or "test".

    Raises:
        ReadingError: a part has too few rows.
    """
    rows = len(grid)
    ends = (round(rows * config.train), round(rows * (config.train + config.validation)), rows)
    counts = np.diff(ends, prepend=0)
    lacking = [f"{part} has {count}" for part, count in zip(PARTS, counts, strict=True) if count < minimum_steps]
    if lacking:
        message = (
            f"{rows} rows are too few: each part needs at least {minimum_steps}, {', '.join(lacking)}; "
            f"give more readings or other shares (train {config.train!r}, validation {config.validation!r})"
        )
        raise ReadingError(message)
    return grid.assign(part=np.repeat(np.array(PARTS, dtype=object), counts))
