"""Convert."""

from typing import Annotated, Any

from zenml import ArtifactConfig, step
from zenml.types import HTMLString

from forecaster.conversion import ConversionConfig, dry_run, headline
from forecaster.release import Release
from steps.caching import PURE
from steps.metadata import REPORT_TAG, beside


@step(cache_policy=PURE)
def convert(
    release: Release, config: ConversionConfig
) -> tuple[
    Annotated[dict[str, Any], "fidelity"],
    Annotated[HTMLString, ArtifactConfig(name="fidelity_report", tags=[REPORT_TAG])],
]:
    """Convert the release for a microcontroller and measure each type against float Keras; a dry run.

    Args:
        release: release folder.
        config: types, and by how much the MAE may grow.

    Returns:
        Growth, cost and chosen type, and the report as a page; the gate comes after.
    """
    figures, page = dry_run(release.path, config)
    beside({"chosen": figures["chosen"] or "none", **headline(figures)}, "fidelity", "fidelity_report")
    return figures, HTMLString(page)
