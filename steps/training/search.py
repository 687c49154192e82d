"""Search."""

from typing import Annotated, Any

from zenml import ArtifactConfig, get_step_context, step
from zenml.types import HTMLString

from forecaster import search as genetic
from forecaster.dataset import Dataset
from forecaster.reports.search import search_page
from forecaster.search_config import SearchConfig
from steps.caching import PURE
from steps.metadata import REPORT_TAG, beside
from steps.training.checkpoint import checkpoint
from steps.training.progress import SearchProgress

# The step's extra setting that says who trains, see `forecaster.workers.open_workers`.
WORKERS = "workers"


@step(cache_policy=PURE)
def search(
    dataset: Dataset, config: SearchConfig, seed: int
) -> tuple[
    Annotated[dict[str, Any], "search_result"],
    Annotated[HTMLString, ArtifactConfig(name="search_report", tags=[REPORT_TAG])],
]:
    """Search features, form, size and training genetically; a killed search goes on where it was.

    Args:
        dataset: its training part is fitted, its validation part judges.
        config: bounds, operators and choices.
        seed: of the search.

    Returns:
        Every evaluation with the winner, and the report as a page.
    """
    workers = get_step_context().step_run.config.extra[WORKERS]
    with SearchProgress(config.max_evaluations) as progress:
        result = genetic.search(dataset, config, seed, checkpoint(dataset.digest, seed), progress.show, workers)
    summary = result.summary()
    beside(summary, "search_result", "search_report")
    return result.as_dict(), HTMLString(search_page(result.as_dict()["records"], summary))
