"""What goes into an artifact store comes out again."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployers.protocol.manifest import ManifestError
from forecaster.errors import ForecasterError
from forecaster.genome import Candidate
from forecaster.gru.architecture import Recipe
from forecaster.model import Forecaster, train
from forecaster.release import Release
from steps import materializers
from steps.materializers import DatasetMaterializer, ForecasterMaterializer, ReleaseMaterializer
from tests.synthetic import dataset

CANDIDATE = Candidate(("difference:1", "hour:1:sin"), "gru", 4, Recipe(updates=10, batch=8, steps=32, burn_in=4))


@pytest.fixture(scope="module")
def data() -> Any:
    return dataset(2400)


@pytest.fixture(scope="module")
def trained(data) -> Forecaster:
    return train(data, CANDIDATE, 10, 1, refit=True)


@pytest.fixture(scope="module")
def release(data, trained) -> Release:
    return Release.write(trained, data, {"model": {"rmse": 1.0}}, {"dataset_version": "t:1"})


@pytest.fixture
def uri(tmp_path: Path) -> str:
    folder = tmp_path / "artifact"
    folder.mkdir()
    return str(folder)


def test_a_dataset_comes_back(data, uri: str) -> None:
    DatasetMaterializer(uri).save(data)
    loaded = DatasetMaterializer(uri).load(type(data))
    assert loaded.digest == data.digest
    pd.testing.assert_frame_equal(loaded.grid, data.grid)
    assert loaded.summary() == data.summary()
    assert all(np.array_equal(loaded.sequences[part], data.sequences[part]) for part in data.sequences)
    assert loaded.description == data.description


def test_a_forecaster_comes_back(data, trained, uri: str) -> None:
    ForecasterMaterializer(uri).save(trained)
    loaded = ForecasterMaterializer(uri).load(Forecaster)
    assert loaded.digest == trained.digest
    assert loaded.training == trained.training
    assert np.array_equal(loaded.forecasts(data.grid), trained.forecasts(data.grid), equal_nan=True)


def test_a_forecaster_changed_in_the_store_is_refused(trained, uri: str) -> None:
    ForecasterMaterializer(uri).save(trained)
    np.save(Path(uri) / "weights.npy", trained.weights + np.float32(1))
    with pytest.raises(ForecasterError, match="train again"):
        ForecasterMaterializer(uri).load(Forecaster)


def test_a_release_comes_back_and_outlives_the_copy(release: Release, uri: str) -> None:
    ReleaseMaterializer(uri).save(release)
    loaded = ReleaseMaterializer(uri).load(Release)
    assert loaded.manifest == release.manifest
    assert loaded.provenance == release.provenance
    assert loaded.path not in (release.path, Path(uri))
    assert (loaded.path / "model.onnx").read_bytes() == (release.path / "model.onnx").read_bytes()


def test_a_release_changed_in_the_store_is_refused(release: Release, uri: str) -> None:
    ReleaseMaterializer(uri).save(release)
    (Path(uri) / "metrics.json").write_text("{}")
    with pytest.raises(ManifestError):
        ReleaseMaterializer(uri).load(Release)


def test_a_reviewer_sees_figures_beside_each_artifact(data, trained, release, uri: str) -> None:
    of_data = DatasetMaterializer(uri).extract_metadata(data)
    assert (of_data["digest"], of_data["rows"]) == (data.digest, 2400)
    of_model = ForecasterMaterializer(uri).extract_metadata(trained)
    assert (of_model["digest"], of_model["parameters"]) == (trained.digest, trained.architecture.parameters)
    of_release = ReleaseMaterializer(uri).extract_metadata(release)
    assert (of_release["files"], of_release["digest"]) == (10, trained.digest)
    assert of_release["dataset_digest"] == data.digest
    assert json.loads(json.dumps([of_data, of_model, of_release])) == [of_data, of_model, of_release]


@pytest.mark.parametrize("name", ["DATASET", "FORECASTER", "RELEASE"])
def test_the_names_given_to_zenml_lead_to_the_classes(name: str) -> None:
    module, _, kind = getattr(materializers, name).rpartition(".")
    found = getattr(importlib.import_module(module), kind)
    assert [each.__name__.upper() for each in found.ASSOCIATED_TYPES] == [name]
