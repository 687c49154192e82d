"""Accept: the gate of the data pipeline."""

from typing import Any

from zenml import step

from forecaster.gate import require
from forecaster.validation import ValidationReport
from steps.caching import PURE


@step(cache_policy=PURE)
def accept(validation: dict[str, Any]) -> None:
    """Stop the run with every failed condition at once; the report is already stored.

    Args:
        validation: conditions with their values.

    Raises:
        GateFailed: a condition is not met.
    """
    require("data gate", ValidationReport.from_dict(validation).conditions)
