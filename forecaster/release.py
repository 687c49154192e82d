"""The release folder: everything a later hand-over needs of one model, written whole or not at all.

model.keras, model.h5    the sequence model, standard Keras layers
model.onnx               the same with a real GRU operator, checked in ONNX Runtime
features.json            feature program, scaler, cadence, horizon, architecture
calibration.npz          scaled features of training sequences, `(sequences, steps, inputs)`
test.npz                 grid of the test part: time (int64 µs since 1970), value (°C), segment, filled
golden.json              readings in, forecasts out, tolerances
metrics.json             test metrics with baselines and intervals
provenance.json          dataset, seed, recipe, code revision, pipeline run
requirements.lock        the dependencies it was trained with
manifest.json            size and SHA-256 of each of these
"""

from __future__ import annotations

import atexit
import errno
import json
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deployers.protocol.manifest import verify_manifest, write_manifest
from forecaster.errors import ForecasterError, ServiceUnavailable
from forecaster.genome import columns
from forecaster.golden import TOLERANCE_FLOAT32, golden_vectors, largest_difference
from forecaster.gru.keras_model import keras_model
from forecaster.gru.network import stream_network
from forecaster.gru.onnx_model import onnx_model
from forecaster.preprocessing import Preprocessing
from forecaster.serving import onnx_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from forecaster.arrays import Floats
    from forecaster.dataset import Dataset
    from forecaster.model import Forecaster

LOCK = Path(__file__).resolve().parents[1] / "locks" / "pipelines.txt"
CALIBRATION_SEQUENCES = 16
CALIBRATION_STEPS = 288


class Release:
    """A release folder on this machine.

    Args:
        path: the folder, named `release`.

    Attributes:
        manifest: its verified manifest.

    Raises:
        ManifestError: the folder is not what its manifest says.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.manifest = path, verify_manifest(path)

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the model comes from."""
        return dict(json.loads((self.path / "provenance.json").read_text(encoding="utf-8")))

    @classmethod
    def write(
        cls, forecaster: Forecaster, dataset: Dataset, metrics: dict[str, Any], provenance: dict[str, Any]
    ) -> Release:
        """Write a release into a temporary folder that lives as long as this process (see `write_release`)."""
        path = _scratch()
        write_release(path, forecaster, dataset, metrics, provenance)
        return cls(path)

    def save(self, folder: Path) -> None:
        """Copy the files into an existing folder."""
        shutil.copytree(self.path, folder, dirs_exist_ok=True)

    @classmethod
    def load(cls, folder: Path) -> Release:
        """Copy a folder that `save` wrote to a temporary one, and verify it."""
        path = _scratch()
        shutil.copytree(folder, path)
        return cls(path)


def _scratch() -> Path:
    """A path for a release that is removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "release"


def write_release(
    target: Path, forecaster: Forecaster, dataset: Dataset, metrics: dict[str, Any], provenance: dict[str, Any]
) -> dict[str, Any]:
    """Write the release folder and prove that its runtimes agree.

    Args:
        target: folder to create; it appears only when complete.
        forecaster: the trained model.
        dataset: source of calibration sequences and golden readings.
        metrics: the evaluation, as plain values.
        provenance: where this model comes from, as plain values.

    Returns:
        The manifest.

    Raises:
        ServiceUnavailable: the disk is full or cannot be written.
        ForecasterError: ONNX Runtime or our own streaming engine differs from Keras by more than the tolerance.
    """
    with _whole_folder(target) as folder:
        preprocessing = Preprocessing.as_trained(forecaster.program, dataset.description["cleaning"])
        checks = _write_models(folder, forecaster, dataset, preprocessing)
        _write_json(folder / "features.json", _features(forecaster, preprocessing))
        _write_json(folder / "metrics.json", metrics)
        _write_json(folder / "provenance.json", {**provenance, "training": forecaster.training})
        _write_calibration(folder / "calibration.npz", forecaster, dataset)
        _write_test_part(folder / "test.npz", dataset)
        shutil.copyfile(LOCK, folder / "requirements.lock")
        facts = {
            "digest": forecaster.digest,
            "dataset_digest": dataset.digest,
            "parameters": forecaster.architecture.parameters,
            "macs_per_forecast": forecaster.architecture.macs_per_forecast,
            "largest_difference_celsius": checks,
        }
        return write_manifest(folder, facts)


@contextmanager
def _whole_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its name when everything in it is written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise _disk(error, target) from error
    try:
        yield folder
        folder.replace(target)
    except OSError as error:
        raise _disk(error, target) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _disk(error: OSError, target: Path) -> ServiceUnavailable:
    advice = "free some space" if error.errno == errno.ENOSPC else "check the folder's permissions"
    return ServiceUnavailable(
        f"release {str(target)!r} cannot be written ({error.strerror or error}): {advice} and run again; "
        "the trained model is kept"
    )


def _write_models(
    folder: Path, forecaster: Forecaster, dataset: Dataset, preprocessing: Preprocessing
) -> dict[str, float]:
    architecture = forecaster.architecture
    model = keras_model(architecture, forecaster.weights, forecaster.training["recipe"]["dropout"])
    model.save(folder / "model.keras")
    _save_h5(model, folder / "model.h5")
    (folder / "model.onnx").write_bytes(onnx_model(architecture, forecaster.weights).SerializeToString())
    vectors = golden_vectors(_test_part(dataset), preprocessing, lambda x: np.asarray(model(x, training=False)))
    _write_json(folder / "golden.json", vectors)
    runtimes: dict[str, Callable[[Floats], Floats]] = {
        "onnxruntime": onnx_network(folder / "model.onnx"),
        "streaming": stream_network(architecture, forecaster.weights),
    }
    differences = {name: largest_difference(vectors, preprocessing, network) for name, network in runtimes.items()}
    for name, difference in differences.items():
        if not difference <= TOLERANCE_FLOAT32:
            allowed = f"allowed are {TOLERANCE_FLOAT32:g} °C"
            msg = f"{name} differs from Keras by {difference:.3g} °C on the golden vectors, {allowed}: train again"
            raise ForecasterError(msg)
    return differences


def _features(forecaster: Forecaster, preprocessing: Preprocessing) -> dict[str, Any]:
    return {
        **preprocessing.as_dict(),
        "history_steps": forecaster.program.history_steps,
        "architecture": forecaster.architecture.as_dict(),
    }


def _write_calibration(path: Path, forecaster: Forecaster, dataset: Dataset) -> None:
    """Evenly spread training sequences, only the features the network reads."""
    stored = dataset.sequences["train"]
    chosen = np.unique(np.linspace(0, len(stored) - 1, CALIBRATION_SEQUENCES).round().astype(int))
    selected = columns(dataset.program.names, forecaster.program.names)
    np.savez_compressed(path, features=stored[chosen][:, :CALIBRATION_STEPS, selected])


def _test_part(dataset: Dataset) -> pd.DataFrame:
    return dataset.grid[dataset.grid["part"] == "test"].reset_index(drop=True)


def _write_test_part(path: Path, dataset: Dataset) -> None:
    """The grid steps that a converted model is measured on, without pandas and without the dataset."""
    test = _test_part(dataset)
    np.savez_compressed(
        path,
        time=test["time"].astype("datetime64[us]").astype(np.int64),
        value=test["value"].to_numpy(np.float64),
        segment=test["segment"].to_numpy(np.int64),
        filled=test["filled"].to_numpy(bool),
    )


def _write_json(path: Path, fields: dict[str, Any]) -> None:
    path.write_text(json.dumps(fields, indent=1, sort_keys=True), encoding="utf-8")


def _save_h5(model: Any, path: Path) -> None:
    """Keras warns that HDF5 is a legacy format; the hand-over still asks for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
