"""Promote."""

from typing import Annotated, Any

from zenml import step

from forecaster.dataset import Dataset
from forecaster.promotion import PromotionConfig
from steps.promotion.active import active_registry
from steps.promotion.contest import contest
from steps.promotion.lineage import mark_champion, show_outcome


@step(enable_cache=False)
def promote(
    registration: dict[str, Any], dataset: Dataset, config: PromotionConfig, force: bool
) -> Annotated[dict[str, Any], "promotion"]:
    """Let the challenger take the champion's place if it beats it on the same test part.

    Args:
        registration: the version that wants to be champion.
        dataset: both forecast its test part.
        config: the margin to win by.
        force: promote whatever the comparison says.

    Returns:
        Whether it was promoted, its alias, and why.
    """
    outcome = contest(active_registry(), registration, dataset, config, force=force)
    if outcome["alias"] == "champion":
        mark_champion(registration["model"], registration["version"])
    show_outcome(outcome)
    return outcome
