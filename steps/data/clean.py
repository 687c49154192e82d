"""Clean."""

from typing import Annotated, Any

import pandas as pd
from zenml import step

from forecaster import cleaning
from steps.caching import PURE
from steps.metadata import beside


@step(cache_policy=PURE)
def clean(
    readings: pd.DataFrame, config: cleaning.CleaningConfig
) -> tuple[Annotated[pd.DataFrame, "grid"], Annotated[dict[str, Any], "cleaning_report"]]:
    """Put the readings on a regular grid; every row dropped or held is counted.

    Args:
        readings: readings frame.
        config: cadence, tolerance and rules.

    Returns:
        Grid frame and the counts.
    """
    grid, report = cleaning.clean(readings, config)
    beside(report.as_dict(), "grid", "cleaning_report")
    return grid, report.as_dict()
