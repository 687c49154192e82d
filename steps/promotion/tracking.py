"""What is written to MLflow about one training run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from forecaster.conversion import headline
from steps.caching import code_digest
from steps.promotion.lineage import data_report, run_tags
from steps.promotion.registry import TrackedRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forecaster.release import Release


def tracked_run(
    release: Release,
    evaluation: dict[str, Any],
    search_result: dict[str, Any],
    fidelity: dict[str, Any],
    pages: Mapping[str, str],
) -> TrackedRun:
    """Collect parameters, metrics, tags and reports of a training run.

    Args:
        release: its provenance and facts.
        evaluation: metrics of model and baselines.
        search_result: records of the search.
        fidelity: figures of the conversion.
        pages: HTML reports by name.
    """
    origin, facts = release.provenance, release.manifest["facts"]
    found = data_report(origin["dataset_version"])
    reports = {**pages, **({"data-quality": found} if found is not None else {})}
    names = ("dataset_version", "code_revision", "zenml_run")
    tags = {name: str(origin[name]) for name in names} | run_tags(origin["zenml_run"])
    return TrackedRun(
        name=origin["zenml_run"],
        params={
            **origin["training"]["candidate"],
            **{name: origin["training"][name] for name in ("seed", "kept_seed", "updates")},
        },
        metrics={
            **evaluation["headline"],
            "parameters": facts["parameters"],
            "macs_per_forecast": facts["macs_per_forecast"],
            **headline(fidelity),
        },
        tags={**tags, "deployed_type": str(fidelity["chosen"])},
        evaluations=search_result["records"],
        pages={f"{name}.html": str(page) for name, page in reports.items()},
        note=_note(tags, str(fidelity["chosen"])),
    )


def _note(tags: Mapping[str, str], chosen: str) -> str:
    """Where a version comes from, with a link to the run on ZenML's dashboard where the run is still there."""
    run, url = tags["zenml_run"], tags.get("zenml_run_url")
    made = f"[{run}]({url})" if url else run
    return f"Trained on dataset {tags['dataset_version']} by ZenML run {made}; deployed as {chosen}."


def identity(release: Release, fidelity: dict[str, Any]) -> str:
    """What makes a registered version another one.

    The model, the dataset it is measured on, the type it is deployed in, and the code beside it.
    """
    facts = release.manifest["facts"]
    parts = (facts["digest"], facts["dataset_digest"], fidelity["chosen"], code_digest())
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
