"""Challenger against champion, with their releases fetched from the registry."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecaster.promotion import Decision, PromotionConfig, decide
from steps.promotion.registry import CHALLENGER, CHAMPION

if TYPE_CHECKING:
    from forecaster.dataset import Dataset
    from steps.promotion.registry import Registry


def contest(
    registry: Registry, registration: dict[str, Any], dataset: Dataset, config: PromotionConfig, *, force: bool
) -> dict[str, Any]:
    """Compare a version with the present champion and move the alias if it wins.

    Args:
        registry: holds both releases.
        registration: model and version of the challenger.
        dataset: both forecast its test part.
        config: the margin to win by.
        force: promote whatever the comparison says.

    Returns:
        The decision with `version`, its `alias` afterwards (None if it has none), `champion_version`, and
        `opponent`: the champion before, if it was another one.
    """
    model, version = registration["model"], str(registration["version"])
    champion = registry.alias(model, CHAMPION)
    if champion is not None and champion.version == version:
        registry.promote(model, version)  # completes a promotion that was cut short
        decision = Decision(promoted=False, reason="it is the champion already")
        same = {"alias": CHAMPION, "version": version, "champion_version": version, "opponent": None}
        return {**decision.as_dict(), **same}
    decision = (
        Decision(promoted=True, reason="promoted by force")
        if force
        else _decide(registry, model, version, dataset, config)
    )
    if decision.promoted:
        registry.promote(model, version)
    holder = version if decision.promoted else (champion.version if champion else None)
    alias = CHAMPION if decision.promoted else _alias(registry, model, version)
    opponent = champion.version if champion else None
    named = {"alias": alias, "version": version, "champion_version": holder, "opponent": opponent}
    return {**decision.as_dict(), **named}


def _decide(registry: Registry, model: str, version: str, dataset: Dataset, config: PromotionConfig) -> Decision:
    champion = registry.alias(model, CHAMPION)
    with tempfile.TemporaryDirectory(prefix="edgeloop-") as folder:
        challenger = registry.fetch_release(registry.version(model, version), Path(folder) / "challenger")
        present = registry.fetch_release(champion, Path(folder) / "champion") if champion else None
        return decide(challenger, present, dataset, config)


def _alias(registry: Registry, model: str, version: str) -> str | None:
    challenger = registry.alias(model, CHALLENGER)
    return CHALLENGER if challenger is not None and challenger.version == version else None
