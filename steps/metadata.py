"""What a reviewer sees beside an artifact on the dashboard; ZenML itself adds its bytes, as `storage_size`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zenml import log_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

# Tags of artifact versions, by which the client and the dashboard find them.
DATASET_TAG, REPORT_TAG, MODEL_TAG = "dataset", "report", "model"


def beside(metadata: Mapping[str, Any], *artifacts: str) -> None:
    """Show figures beside outputs of the running step, by the names of the outputs."""
    for name in artifacts:
        log_metadata(metadata=dict(metadata), artifact_name=name, infer_artifact=True)
