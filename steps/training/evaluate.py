"""Evaluate."""

from typing import Annotated, Any

from zenml import ArtifactConfig, step
from zenml.types import HTMLString

from forecaster import evaluation
from forecaster.dataset import Dataset
from forecaster.model import Forecaster
from steps.caching import PURE
from steps.metadata import REPORT_TAG, beside


@step(cache_policy=PURE)
def evaluate(
    dataset: Dataset, forecaster: Forecaster, gate: evaluation.GateConfig, seed: int
) -> tuple[
    Annotated[dict[str, Any], "evaluation"],
    Annotated[HTMLString, ArtifactConfig(name="evaluation_report", tags=[REPORT_TAG])],
]:
    """Forecast the test part reading by reading, beside the baselines.

    Args:
        dataset: its test part is forecast.
        forecaster: the trained model.
        gate: what it must beat, for the report.
        seed: of the bootstrap.

    Returns:
        Metrics of model and baselines with intervals, and the report as a page; the gate comes after.
    """
    result, page = evaluation.assess(dataset, forecaster, gate, seed)
    beside(result["headline"], "evaluation", "evaluation_report")
    return result, HTMLString(page)
