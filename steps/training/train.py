"""Train."""

from typing import Annotated, Any

from zenml import ArtifactConfig, step

from forecaster import model
from forecaster.dataset import Dataset
from forecaster.records import SearchResult
from forecaster.search import chosen
from forecaster.search_config import SearchConfig
from steps.caching import PURE
from steps.materializers import FORECASTER
from steps.metadata import MODEL_TAG


@step(cache_policy=PURE, output_materializers=FORECASTER)
def train(
    dataset: Dataset,
    search_result: dict[str, Any],
    config: SearchConfig,
    candidate: int | None,
    seed: int,
    refit: bool,
    seeds: int,
) -> Annotated[model.Forecaster, ArtifactConfig(name="forecaster", tags=[MODEL_TAG])]:
    """Train the search's winner, or another candidate of it, for good.

    Args:
        dataset: the dataset the search used.
        search_result: its outcome.
        config: its settings.
        candidate: number of the candidate; the winner if not given.
        seed: of the training.
        refit: learn from training and validation part together.
        seeds: trainings, of which the median one is kept.

    Returns:
        The trained forecaster.
    """
    result = SearchResult.from_dict(search_result)
    picked, best_update = chosen(result, config, dataset, candidate)
    return model.train(dataset, picked, best_update, seed, refit=refit, seeds=seeds)
