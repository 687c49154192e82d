"""Register."""

from typing import Annotated, Any

from zenml import step
from zenml.types import HTMLString

from forecaster.release import Release
from steps.promotion.active import active_registry
from steps.promotion.lineage import link_version
from steps.promotion.tracking import identity, tracked_run


@step(enable_cache=False)
def register(
    model: str,
    release: Release,
    evaluation: dict[str, Any],
    search_result: dict[str, Any],
    fidelity: dict[str, Any],
    search_report: HTMLString,
    evaluation_report: HTMLString,
    fidelity_report: HTMLString,
) -> Annotated[dict[str, Any], "registration"]:
    """Write the run to MLflow and register the release as a version with alias `challenger`.

    Args:
        model: registered model's name.
        release: release folder.
        evaluation: its metrics.
        search_result: every evaluation of the search becomes a nested run.
        fidelity: figures of the conversion.
        search_report: kept with the run.
        evaluation_report: kept with the run.
        fidelity_report: kept with the run.

    Returns:
        Model, version, run and URIs.
    """
    pages = {"search": search_report, "evaluation": evaluation_report, "fidelity": fidelity_report}
    run = tracked_run(release, evaluation, search_result, fidelity, pages)
    registry = active_registry()
    registration = registry.register(model, release.path, identity(release, fidelity), run)
    link_version(registry.uri, registration, run)
    return registration.as_dict()
