"""Package."""

from typing import Annotated, Any

from zenml import get_step_context, step

from forecaster.dataset import Dataset
from forecaster.model import Forecaster
from forecaster.release import Release
from steps.caching import PURE
from steps.materializers import RELEASE


@step(cache_policy=PURE, output_materializers=RELEASE)
def package(
    dataset: Dataset,
    forecaster: Forecaster,
    evaluation: dict[str, Any],
    search_result: dict[str, Any],
    provenance: dict[str, Any],
) -> Annotated[Release, "release"]:
    """Write the release folder and prove that Keras, ONNX Runtime and our engine agree.

    Args:
        dataset: source of calibration sequences and golden readings.
        forecaster: the trained model.
        evaluation: its metrics.
        search_result: its search.
        provenance: dataset version and code revision.

    Returns:
        The release folder.
    """
    search = {key: search_result[key] for key in ("winner", "finals", "stopped", "cpu_seconds")}
    origin = {**provenance, "zenml_run": get_step_context().pipeline_run.name, "search": search}
    return Release.write(forecaster, dataset, evaluation["evaluation"], origin)
