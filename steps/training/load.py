"""Load."""

from typing import Annotated, Any

from zenml import step

from forecaster.dataset import Dataset
from steps.caching import PURE
from steps.metadata import beside


@step(cache_policy=PURE)
def load(dataset: Dataset) -> Annotated[dict[str, Any], "dataset_summary"]:
    """Check that the dataset is whole and can be trained on.

    Args:
        dataset: a version of the dataset artifact; its digest is checked while it is read.

    Returns:
        Its figures: rows, parts, shapes.
    """
    dataset.training_sequences()
    beside(dataset.summary(), "dataset_summary")
    return dataset.summary()
