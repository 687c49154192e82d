"""Collect."""

from typing import Annotated

import pandas as pd
from zenml import step

from forecaster.sources import Selection, read_readings
from steps.caching import PURE
from steps.metadata import beside


@step(cache_policy=PURE)
def collect(source: str, user: str | None, tag: str | None, fingerprint: str) -> Annotated[pd.DataFrame, "readings"]:
    """Read the selected readings from their source.

    Args:
        source: path, SQLAlchemy URL, hub:// or simulated://.
        user: only this user's readings.
        tag: only readings with this tag.
        fingerprint: of the source's content: the result is taken from the cache only while it stays.

    Returns:
        Readings frame: time, value.
    """
    readings = read_readings(source, Selection(user=user, tag=tag))
    beside({"source": source, "rows": len(readings), "fingerprint": fingerprint}, "readings")
    return readings
