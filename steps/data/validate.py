"""Validate."""

from typing import Annotated, Any

import pandas as pd
from zenml import ArtifactConfig, step
from zenml.types import HTMLString

from forecaster.reports.data_quality import data_quality_page
from forecaster.splitting import SplitConfig, split
from forecaster.validation import ValidationConfig
from forecaster.validation import validate as check
from steps.caching import PURE
from steps.metadata import REPORT_TAG, beside


@step(cache_policy=PURE)
def validate(
    readings: pd.DataFrame,
    grid: pd.DataFrame,
    cleaning_report: dict[str, Any],
    split_config: SplitConfig,
    config: ValidationConfig,
    source: str,
) -> tuple[
    Annotated[dict[str, Any], "validation"],
    Annotated[HTMLString, ArtifactConfig(name="data_quality_report", tags=[REPORT_TAG])],
]:
    """Measure every condition a dataset must meet, with Deepchecks and with checks for time series.

    Args:
        readings: readings frame.
        grid: grid frame.
        cleaning_report: counts of the cleaning.
        split_config: shares of the parts, for drift between them.
        config: thresholds.
        source: where the readings came from, for the report.

    Returns:
        The conditions with their values, and the report as a page; the gate comes after.
    """
    parts = split(grid, split_config)
    result = check(readings, grid, cleaning_report, parts["part"], config)
    beside(result.headline(), "validation", "data_quality_report")
    return result.as_dict(), HTMLString(data_quality_page(readings, parts, cleaning_report, result, source))
