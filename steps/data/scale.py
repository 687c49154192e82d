"""Scale."""

from typing import Annotated, Any

import pandas as pd
from zenml import step

from forecaster.features import FeatureConfig, fit_program
from steps.caching import PURE
from steps.metadata import beside


@step(cache_policy=PURE)
def scale(
    parts: pd.DataFrame, config: FeatureConfig, cleaning_report: dict[str, Any], horizon: int
) -> Annotated[dict[str, Any], "feature_program"]:
    """Fit the scale of every candidate feature on the training part alone.

    Args:
        parts: grid frame with `part`.
        config: candidate features.
        cleaning_report: holds the cadence.
        horizon: steps forecast.

    Returns:
        The feature program with its scales.
    """
    program = fit_program(parts, config, cleaning_report["cadence_seconds"], horizon)
    beside({"features": list(program.names), "horizon": horizon}, "feature_program")
    return program.as_dict()
