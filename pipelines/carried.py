"""Readings of this machine for steps that run elsewhere: they pass through the artifact store."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.io import fileio

from forecaster.sources import Selection, is_on_disk, read_readings

if TYPE_CHECKING:
    from pipelines.config import DataConfig

IN_THIS_PROCESS = "local"  # ZenML's flavor of the orchestrator whose steps see this machine's files
FOLDER = "carried"


def carried(data: DataConfig, fingerprint: str) -> str | None:
    """Put the selected readings of a file into the active stack's artifact store, under the file's content.

    Args:
        data: names the source.
        fingerprint: of its selected readings; what lies there under it is not written again.

    Returns:
        URI of a Parquet file; None where the steps read the source themselves.

    Raises:
        SourceError, ReadingError: as `read_readings` does.
    """
    stack = Client().active_stack_model
    flavor = stack.components[StackComponentType.ORCHESTRATOR][0].flavor_name
    if flavor == IN_THIS_PROCESS or not is_on_disk(data.source):
        return None
    folder = f"{Client().active_stack.artifact_store.path}/{FOLDER}"
    uri = f"{folder}/{fingerprint}.parquet"
    if not fileio.exists(uri):
        readings = read_readings(data.source, Selection(user=data.user, tag=data.tag))
        fileio.makedirs(folder)
        part = f"{folder}/{fingerprint}-{uuid.uuid4().hex}.part"  # nobody finds half a file under the name
        with fileio.open(part, "wb") as file:
            file.write(readings.to_parquet(index=False))
        fileio.rename(part, uri, overwrite=True)
    return uri
