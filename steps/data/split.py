"""Split."""

from typing import Annotated

import pandas as pd
from zenml import step

from forecaster import splitting
from forecaster.dataset import SequenceConfig, minimum_steps
from steps.caching import PURE
from steps.metadata import beside


@step(cache_policy=PURE)
def split(
    grid: pd.DataFrame, config: splitting.SplitConfig, sequences: SequenceConfig
) -> Annotated[pd.DataFrame, "parts"]:
    """Divide the grid in time order into training, validation and test part.

    Args:
        grid: grid frame.
        config: shares of the parts.
        sequences: how long a part must be to be of use.

    Returns:
        Grid frame with `part`.
    """
    parts = splitting.split(grid, config, minimum_steps=minimum_steps(sequences))
    beside({f"rows_{part}": int(rows) for part, rows in parts["part"].value_counts().items()}, "parts")
    return parts
