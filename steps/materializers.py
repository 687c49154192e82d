"""How our own artifacts are kept in any artifact store: as the folder they write themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.utils import io_utils

from forecaster.dataset import Dataset
from forecaster.model import Forecaster
from forecaster.release import Release


class _FolderMaterializer(BaseMaterializer):
    """Copies a local folder to the artifact's URI and back."""

    SKIP_REGISTRATION: ClassVar[bool] = True  # a base without types of its own

    def load(self, data_type: type[Any]) -> Any:
        """Read an artifact through a local copy."""
        with self.get_temporary_directory(delete_at_exit=True) as folder:
            io_utils.copy_dir(self.uri, folder)
            return data_type.load(Path(folder))

    def save(self, data: Any) -> None:
        """Write an artifact through a local folder."""
        with self.get_temporary_directory(delete_at_exit=True) as folder:
            data.save(Path(folder))
            io_utils.copy_dir(folder, self.uri, overwrite=True)


class DatasetMaterializer(_FolderMaterializer):
    """Keeps a dataset."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Dataset,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def extract_metadata(self, data: Dataset) -> dict[str, Any]:
        """What a reviewer sees beside the artifact."""
        return data.summary()


class ForecasterMaterializer(_FolderMaterializer):
    """Keeps a trained forecaster."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Forecaster,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def extract_metadata(self, data: Forecaster) -> dict[str, Any]:
        """What a reviewer sees beside the artifact."""
        return data.summary()


class ReleaseMaterializer(_FolderMaterializer):
    """Keeps a release folder; reading verifies its manifest."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Release,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def extract_metadata(self, data: Release) -> dict[str, Any]:
        """What a reviewer sees beside the artifact."""
        return {"files": len(data.manifest["files"]), **data.manifest["facts"]}


# By name: given the class, ZenML would look for code repositories in its database on import of the step.
DATASET, FORECASTER, RELEASE = (
    f"{kind.__module__}.{kind.__qualname__}"
    for kind in (DatasetMaterializer, ForecasterMaterializer, ReleaseMaterializer)
)
