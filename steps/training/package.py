"""Package."""

from typing import Annotated, Any

from zenml import ArtifactConfig, get_step_context, step

from forecaster.dataset import Dataset
from forecaster.model import Forecaster
from forecaster.release import Release
from steps.caching import PURE
from steps.materializers import RELEASE
from steps.metadata import MODEL_TAG


@step(cache_policy=PURE, output_materializers=RELEASE)
def package(
    dataset: Dataset,
    forecaster: Forecaster,
    evaluation: dict[str, Any],
    search_result: dict[str, Any],
    provenance: dict[str, Any],
) -> Annotated[Release, ArtifactConfig(name="release", tags=[MODEL_TAG])]:
    """Write the release folder and prove that Keras, ONNX Runtime and our engine agree.

    Args:
        dataset: source of calibration sequences and golden readings.
        forecaster: the trained model.
        evaluation: its metrics.
        search_result: its search.
        provenance: code revision, and the dataset version if it was known before the run.

    Returns:
        The release folder.
    """
    search = {key: search_result[key] for key in ("winner", "finals", "stopped", "cpu_seconds")}
    context = get_step_context()
    used = context.inputs["dataset"][0]
    known = {"dataset_version": f"{used.name}:{used.version}", **provenance}
    origin = {**known, "zenml_run": context.pipeline_run.name, "search": search}
    return Release.write(forecaster, dataset, evaluation["evaluation"], origin)
