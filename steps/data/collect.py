"""Collect."""

import io
from typing import Annotated

import pandas as pd
from zenml import step
from zenml.io import fileio

from forecaster.sources import Selection, read_readings
from steps.caching import PURE
from steps.metadata import beside


@step(cache_policy=PURE)
def collect(
    source: str, user: str | None, tag: str | None, fingerprint: str, carried: str | None = None
) -> Annotated[pd.DataFrame, "readings"]:
    """Read the selected readings from their source.

    Args:
        source: path, SQLAlchemy URL, hub:// or simulated://.
        user: only this user's readings.
        tag: only readings with this tag.
        fingerprint: of the source's content: the result is taken from the cache only while it stays.
        carried: where the readings of a file lie that is on another machine's disk; None: read the source.

    Returns:
        Readings frame: time, value.
    """
    readings = read_readings(source, Selection(user=user, tag=tag)) if carried is None else _taken(carried)
    beside({"source": source, "rows": len(readings), "fingerprint": fingerprint}, "readings")
    return readings


def _taken(uri: str) -> pd.DataFrame:
    with fileio.open(uri, "rb") as file:
        return pd.read_parquet(io.BytesIO(file.read()))
