"""What is written to MLflow about one training run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from steps.caching import code_digest
from steps.promotion.lineage import data_report
from steps.promotion.registry import TrackedRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecaster.release import Release


def tracked_run(
    release: Release, evaluation: dict[str, Any], search_result: dict[str, Any], pages: Mapping[str, str]
) -> TrackedRun:
    """Collect parameters, metrics, tags and reports of a training run.

    Args:
        release: its provenance and facts.
        evaluation: metrics of model and baselines.
        search_result: records of the search.
        pages: HTML reports by name.
    """
    origin, facts = release.provenance, release.manifest["facts"]
    found = data_report(origin["dataset_version"])
    reports = {**pages, **({"data-quality": found} if found is not None else {})}
    names = ("dataset_version", "code_revision", "zenml_run")
    return TrackedRun(
        name=origin["zenml_run"],
        params={
            **origin["training"]["candidate"],
            "seed": origin["training"]["seed"],
            "updates": origin["training"]["updates"],
        },
        metrics={
            **evaluation["headline"],
            "parameters": facts["parameters"],
            "macs_per_forecast": facts["macs_per_forecast"],
        },
        tags={name: str(origin[name]) for name in names},
        evaluations=search_result["records"],
        pages={f"{name}.html": str(page) for name, page in reports.items()},
    )


def identity(release: Release) -> str:
    """What makes a registered version another one: the model, the dataset it is measured on, the code beside it."""
    facts = release.manifest["facts"]
    return hashlib.sha256(f"{facts['digest']} {facts['dataset_digest']} {code_digest()}".encode()).hexdigest()
