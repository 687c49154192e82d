"""The page of a promotion, from the releases as the registry has them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecaster.dataset import Dataset
    from steps.promotion.registry import Registry


def explain(
    registry: Registry, model: str, dataset: Dataset, outcome: Mapping[str, Any], cause: Mapping[str, str]
) -> str:
    """Why it ran and what changed, as one HTML document.

    Args:
        registry: has the releases.
        model: registered model's name.
        dataset: on whose test part both were compared.
        outcome: as `contest` gives it.
        cause: series, reason and request of a retraining that a hub asked for; empty otherwise.
    """
    from forecaster.reports.promotion import Contender, promotion_page  # noqa: PLC0415 - no command waits for charts

    versions = [version for version in (outcome["opponent"], outcome["version"]) if version is not None]
    with tempfile.TemporaryDirectory(prefix="edgeloop-") as folder:
        contenders = [
            Contender(version, registry.fetch_release(registry.version(model, version), Path(folder) / version))
            for version in versions
        ]
        return promotion_page(model, contenders, dataset, outcome, cause)
