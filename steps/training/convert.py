"""Convert."""

from typing import Annotated, Any

from zenml import log_metadata, step
from zenml.types import HTMLString

from forecaster.conversion import ConversionConfig, dry_run, headline
from forecaster.release import Release
from steps.caching import PURE


@step(cache_policy=PURE)
def convert(
    release: Release, config: ConversionConfig
) -> tuple[Annotated[dict[str, Any], "fidelity"], Annotated[HTMLString, "fidelity_report"]]:
    """Convert the release for a microcontroller and measure each type against float Keras; a dry run.

    Args:
        release: release folder.
        config: types, and by how much the MAE may grow.

    Returns:
        Growth, cost and chosen type, and the report as a page; the gate comes after.
    """
    figures, page = dry_run(release.path, config)
    shown = {"chosen": figures["chosen"] or "none", **headline(figures)}
    for name in ("fidelity", "fidelity_report"):
        log_metadata(metadata=shown, artifact_name=name, infer_artifact=True)
    return figures, HTMLString(page)
