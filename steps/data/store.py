"""Store."""

from typing import Annotated, Any

import pandas as pd
from zenml import ArtifactConfig, step

from forecaster.dataset import Dataset, SequenceConfig, build_dataset
from forecaster.features import FeatureProgram
from steps.caching import PURE
from steps.materializers import DATASET
from steps.metadata import DATASET_TAG


@step(cache_policy=PURE, output_materializers=DATASET)
def store(
    parts: pd.DataFrame, program: dict[str, Any], config: SequenceConfig, description: dict[str, Any]
) -> Annotated[Dataset, ArtifactConfig(name="{dataset}", tags=[DATASET_TAG])]:
    """Cut the sequences and keep the dataset as a new version of its artifact.

    Args:
        parts: grid frame with `part`.
        program: feature program with scales.
        config: length of the sequences and horizon.
        description: where the readings came from.

    Returns:
        The dataset with sequences of shape (sequences, steps, features).
    """
    return build_dataset(parts, FeatureProgram.from_dict(program), config, description)
