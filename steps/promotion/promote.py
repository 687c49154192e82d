"""Promote."""

from typing import Annotated, Any

from zenml import ArtifactConfig, step
from zenml.types import HTMLString

from forecaster.dataset import Dataset
from forecaster.promotion import PromotionConfig
from steps.metadata import REPORT_TAG
from steps.promotion.active import active_registry
from steps.promotion.contest import contest
from steps.promotion.explain import explain
from steps.promotion.lineage import mark_champion, show_outcome


@step(enable_cache=False)
def promote(
    registration: dict[str, Any], dataset: Dataset, config: PromotionConfig, force: bool, cause: dict[str, str]
) -> tuple[
    Annotated[dict[str, Any], "promotion"],
    Annotated[HTMLString, ArtifactConfig(name="promotion_report", tags=[REPORT_TAG])],
]:
    """Let the challenger take the champion's place if it beats it on the same test part.

    Args:
        registration: the version that wants to be champion.
        dataset: both forecast its test part.
        config: the margin to win by.
        force: promote whatever the comparison says.
        cause: series, reason and request of a retraining that a hub asked for; empty otherwise.

    Returns:
        Whether it was promoted, its alias, and why; and a page with why it ran and what changed.
    """
    outcome = contest(active_registry(), registration, dataset, config, force=force)
    if outcome["alias"] == "champion":
        mark_champion(registration["model"], registration["version"])
    show_outcome(outcome)
    return outcome, HTMLString(explain(active_registry(), registration["model"], dataset, outcome, cause))
