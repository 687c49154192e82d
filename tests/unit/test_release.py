"""The release folder: complete, proven, whole or absent, and enough to serve from."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deployers.protocol.manifest import ManifestError, verify_manifest
from forecaster import release as module
from forecaster.dataset import Dataset
from forecaster.errors import ForecasterError, InputError, ServiceUnavailable
from forecaster.genome import Candidate
from forecaster.golden import READINGS, golden_vectors, largest_difference, readings_of
from forecaster.gru.architecture import Recipe
from forecaster.gru.network import stream_network
from forecaster.model import Forecaster, train
from forecaster.preprocessing import Preprocessing
from forecaster.promotion import PromotionConfig, decide, release_rmse
from forecaster.release import Release, write_release
from forecaster.serving import ServedForecaster, onnx_network
from tests.synthetic import CADENCE, SMALL, dataset, readings

FILES = {
    "model.keras", "model.h5", "model.onnx", "features.json", "calibration.npz", "golden.json", "metrics.json",
    "provenance.json", "requirements.lock", "test.npz",
}  # fmt: skip
CANDIDATE = Candidate(
    ("difference:1", "hour:1:sin", "hour:1:cos"), "conv_gru", 6, Recipe(updates=40, batch=8, steps=32, burn_in=4)
)


@pytest.fixture(scope="module")
def data():
    return dataset(2400)


@pytest.fixture(scope="module")
def trained(data) -> Forecaster:
    return train(data, CANDIDATE, 40, 1, refit=True)


@pytest.fixture(scope="module")
def folder(data, trained, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("releases") / "release"
    write_release(target, trained, data, {"model": {"rmse": 1.0}}, {"dataset_version": "t:1"})
    return target


def plain(trained: Forecaster) -> Preprocessing:
    return Preprocessing.as_trained(trained.program, {})


def test_it_holds_every_file_and_verifies(folder: Path, trained: Forecaster) -> None:
    manifest = verify_manifest(folder)
    assert set(manifest["files"]) == FILES
    assert manifest["facts"]["digest"] == trained.digest
    assert manifest["facts"]["parameters"] == trained.architecture.parameters


def test_the_runtimes_agree(folder: Path) -> None:
    differences = verify_manifest(folder)["facts"]["largest_difference_celsius"]
    assert set(differences) == {"onnxruntime", "streaming"}
    assert max(differences.values()) < 1e-4


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_both_keras_files_answer_as_the_golden_vectors(folder: Path, trained: Forecaster, name: str) -> None:
    import keras

    model = keras.models.load_model(folder / name, compile=False)
    vectors = json.loads((folder / "golden.json").read_text())
    assert largest_difference(vectors, plain(trained), lambda x: np.asarray(model(x, training=False))) < 1e-5


def test_golden_vectors_cover_gaps_and_jitter(folder: Path) -> None:
    vectors = {v["name"]: v for v in json.loads((folder / "golden.json").read_text())["vectors"]}
    assert set(vectors) == {"calm", "agitated", "two readings missing", "jitter"}
    assert len(vectors["two readings missing"]["readings"]) == READINGS - 2
    assert len(vectors["two readings missing"]["forecasts"]) == READINGS
    seconds = {time[14:19] for time, _ in vectors["jitter"]["readings"]}
    assert len(seconds) > 10


def test_a_runtime_that_differs_is_noticed(folder: Path, trained: Forecaster) -> None:
    vectors = json.loads((folder / "golden.json").read_text())
    exact = stream_network(trained.architecture, trained.weights)
    off = 0.01 / trained.program.target_scale
    assert largest_difference(vectors, plain(trained), lambda x: exact(x) + np.float32(off)) == pytest.approx(
        0.01, rel=0.01
    )


def test_a_release_whose_runtimes_differ_is_not_written(
    data, trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "stream_network", lambda *_: lambda x: np.ones((1, x.shape[1], 3), np.float32))
    with pytest.raises(ForecasterError, match=r"streaming differs from Keras by .* allowed are 0\.001"):
        write_release(tmp_path / "release", trained, data, {}, {})
    assert list(tmp_path.iterdir()) == []


def test_calibration_sequences_are_training_sequences(folder: Path, trained: Forecaster, data) -> None:
    with np.load(folder / "calibration.npz") as stored:
        sequences = stored["features"]
    assert sequences.ndim == 3
    assert sequences.shape[2] == trained.architecture.inputs
    assert np.array_equal(sequences[0, :, 0], data.sequences["train"][0, : sequences.shape[1], 0])


def test_the_test_part_is_there_for_those_who_have_neither_pandas_nor_the_dataset(folder: Path, data) -> None:
    expected = data.grid[data.grid["part"] == "test"]
    with np.load(folder / "test.npz") as stored:
        assert {name: stored[name].dtype for name in stored} == {
            "time": np.int64, "value": np.float64, "segment": np.int64, "filled": np.bool_
        }  # fmt: skip
        assert np.array_equal(stored["time"].astype("datetime64[us]"), expected["time"])
        assert np.array_equal(stored["value"], expected["value"])
        assert np.array_equal(stored["segment"], expected["segment"])
        assert not stored["filled"].any()


def test_the_lock_is_the_one_of_the_project(folder: Path) -> None:
    assert (folder / "requirements.lock").read_bytes() == module.LOCK.read_bytes()


def test_an_unwritable_place_is_an_error_of_ours(data, trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceUnavailable, match="cannot be written"):
        write_release(tmp_path / "file" / "release", trained, data, {}, {})


def test_a_failing_write_leaves_nothing(data, trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "write_manifest", full)
    with pytest.raises(ServiceUnavailable, match=r"No space left on device.*free some space.*model is kept"):
        write_release(tmp_path / "release", trained, data, {}, {})
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import sys
from pathlib import Path
from forecaster.errors import ServiceUnavailable
from forecaster.model import Forecaster
from forecaster.release import write_release
from tests.synthetic import dataset
disk = Path(sys.argv[1])
trained = Forecaster.load(Path(sys.argv[2]))
try:
    write_release(disk / "release", trained, dataset(2400), {}, {})
except ServiceUnavailable as error:
    print("refused:", error, "left:", sorted(p.name for p in disk.iterdir()))
"""


def test_a_disk_that_is_really_full(trained, tmp_path: Path) -> None:
    """A file system of 64 kB in a mount namespace of its own: the release does not fit."""
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    kept.mkdir()
    trained.save(kept)
    mount = f'mount -t tmpfs -o size=64k edgeloop {disk} && exec "$PYTHON" -c "$SCRIPT" {disk} {kept}'
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", mount],
        env={**os.environ, "SCRIPT": FULL_DISK, "PYTHON": sys.executable},
        cwd=module.LOCK.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "refused: release" in done.stdout, done.stderr
    assert "No space left on device" in done.stdout
    assert "left: []" in done.stdout


def test_release_survives_saving_and_loading(folder: Path, tmp_path: Path) -> None:
    release = Release(folder)
    (tmp_path / "kept").mkdir()
    release.save(tmp_path / "kept")
    again = Release.load(tmp_path / "kept")
    assert again.manifest == release.manifest
    assert again.path.name == "release"
    assert again.provenance["dataset_version"] == "t:1"


def test_loading_a_damaged_release_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    Release(folder).save(tmp_path / "kept")
    (tmp_path / "kept" / "model.onnx").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"model\.onnx differs"):
        Release.load(tmp_path / "kept")


# Serving


def raw(rows: int = 200) -> pd.DataFrame:
    table = readings(rows)
    return pd.DataFrame({"time_point": table["time"].map(lambda t: t.isoformat()), "value": table["value"]})


def test_served_forecasts_follow_the_last_reading(folder: Path, trained: Forecaster) -> None:
    out = ServedForecaster(folder).predict(raw())
    assert out["step"].tolist() == [1, 2, 3]
    assert out["made_at"].unique().tolist() == ["2024-03-02T09:10:00"]
    assert out["time"].tolist() == ["2024-03-02T09:20:00", "2024-03-02T09:30:00", "2024-03-02T09:40:00"]
    _, expected = plain(trained).forecasts(readings(200), stream_network(trained.architecture, trained.weights))
    assert out["forecast"].to_numpy() == pytest.approx(expected[-1], abs=1e-4)


def test_served_golden_vectors(folder: Path) -> None:
    served = ServedForecaster(folder)
    for vector in json.loads((folder / "golden.json").read_text())["vectors"]:
        table = readings_of(vector)
        data = pd.DataFrame({"time_point": table["time"], "value": table["value"]})
        out = served.predict(data, {"every_reading": True})
        expected = np.ravel(vector["forecasts"])
        assert out["forecast"].to_numpy() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: d.drop(columns="value"), "column 'value' is missing"),
        (lambda d: d.assign(time_point="yesterday"), "'yesterday'"),
        (lambda d: d.assign(value="warm"), "'warm'"),
        (lambda d: d.iloc[:0], "reading"),
    ],
)
def test_serving_refuses_what_it_cannot_read(folder: Path, change, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        ServedForecaster(folder).predict(change(raw()))


def test_serving_needs_neither_zenml_nor_tensorflow_nor_numba(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from forecaster.serving import ServedForecaster; "
        f"ServedForecaster(Path({str(folder)!r})); "
        "print([m for m in ('zenml', 'tensorflow', 'keras', 'numba', 'mlflow', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=module.LOCK.parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# Training and promotion


def test_the_same_seed_trains_the_same_forecaster(data, trained: Forecaster) -> None:
    assert train(data, CANDIDATE, 40, 1, refit=True).digest == trained.digest
    assert train(data, CANDIDATE, 40, 2, refit=True).digest != trained.digest


def test_refit_learns_from_both_parts_and_stops_where_told(data) -> None:
    refit = train(data, CANDIDATE, 20, 1, refit=True)
    plain = train(data, CANDIDATE, 20, 1, refit=False)
    assert (refit.training["parts"], refit.training["updates"]) == (["train", "validation"], 20)
    assert plain.training["parts"] == ["train"]
    assert refit.digest != plain.digest
    assert refit.training["cpu_seconds"] > 0


@pytest.mark.parametrize("refit", [True, False])
def test_of_several_trainings_the_median_one_is_kept(data, refit: bool) -> None:
    single = {str(seed): train(data, CANDIDATE, 20, seed, refit=refit) for seed in (1, 1001, 2001)}
    kept = train(data, CANDIDATE, 20, 1, refit=refit, seeds=3)
    errors = kept.training["validation_rmse_by_seed"]
    assert errors == {seed: made.training["validation_rmse_by_seed"][seed] for seed, made in single.items()}
    median = sorted(errors, key=lambda seed: errors[seed])[1]
    assert kept.training["kept_seed"] == int(median)
    assert kept.digest == single[median].digest


def test_a_diverging_training_is_an_error(data) -> None:
    wild = Candidate(CANDIDATE.features, "gru", 6, Recipe(updates=20, batch=4, steps=32, learning_rate=1e30, clip=1e30))
    with pytest.raises(ForecasterError, match="training diverged with learning rate 1e\\+30"):
        train(data, wild, 20, 1, refit=False)


def test_a_forecaster_survives_saving_and_loading(trained: Forecaster, tmp_path: Path) -> None:
    trained.save(tmp_path)
    again = Forecaster.load(tmp_path)
    assert again.digest == trained.digest
    assert again.summary() == trained.summary()
    np.save(tmp_path / "weights.npy", trained.weights * 2)
    with pytest.raises(ForecasterError, match="train again"):
        Forecaster.load(tmp_path)


def test_the_first_release_is_promoted(folder: Path, data) -> None:
    decision = decide(folder, None, data, PromotionConfig())
    assert decision.promoted
    assert "no champion yet" in decision.reason


def test_a_release_does_not_beat_itself(folder: Path, data) -> None:
    decision = decide(folder, folder, data, PromotionConfig())
    assert not decision.promoted
    assert decision.challenger_rmse == decision.champion_rmse
    assert "does not beat" in decision.reason


def test_a_better_release_wins_unless_the_margin_is_larger(folder: Path, data, tmp_path: Path) -> None:
    worse = train(
        data,
        Candidate(CANDIDATE.features, "gru", 4, Recipe(updates=1, batch=2, steps=32, burn_in=4)),
        1,
        1,
        refit=False,
    )
    write_release(tmp_path / "worse", worse, data, {}, {})
    better, worst = release_rmse(folder, data), release_rmse(tmp_path / "worse", data)
    assert better < worst
    gain = 1 - better / worst
    assert decide(folder, tmp_path / "worse", data, PromotionConfig(margin=gain * 0.9)).promoted
    assert not decide(folder, tmp_path / "worse", data, PromotionConfig(margin=min(0.99, gain * 1.1))).promoted
    assert not decide(tmp_path / "worse", folder, data, PromotionConfig()).promoted


def test_releases_of_another_horizon_are_not_compared(folder: Path, tmp_path: Path) -> None:
    other = dataset(config=SMALL.model_copy(update={"horizon": 2}))
    with pytest.raises(InputError, match=f"forecasts 3 steps of {CADENCE} s, the dataset has 2"):
        release_rmse(folder, other)
    short = train(other, CANDIDATE, 5, 1, refit=False)
    write_release(tmp_path / "release", short, other, {}, {})
    decision = decide(tmp_path / "release", folder, other, PromotionConfig())
    assert not decision.promoted
    assert "the champion cannot be compared" in decision.reason
    assert "--force" in decision.reason


@pytest.mark.parametrize("lengths", [[60], [90] * 28, [40] * 3, [36], [1, 5, 3]])
def test_golden_vectors_of_short_and_broken_series(lengths: list[int]) -> None:
    segment = np.repeat(np.arange(len(lengths)), lengths)
    table = readings(sum(lengths)).assign(segment=segment, filled=False)
    preprocessing = Preprocessing.as_trained(dataset().program, {})
    vectors = golden_vectors(table, preprocessing, lambda x: np.zeros((1, x.shape[1], 3), np.float32))["vectors"]
    assert all(len(v["forecasts"]) == len(v["grid_times"]) > 1 for v in vectors)
    assert ("two readings missing" in {v["name"] for v in vectors}) == (max(lengths) >= 6)


def test_the_cleaning_rules_of_the_training_are_served(data, trained, tmp_path: Path) -> None:
    strict = Dataset(data.grid, data.program, data.sequences, data.config, {"cleaning": {"max_hold_steps": 1}})
    write_release(tmp_path / "release", trained, strict, {}, {})
    table = raw().drop(index=[100, 101, 102])
    out = ServedForecaster(tmp_path / "release").predict(table, {"every_reading": True})
    assert len(out) == 3 * 197, "a gap of three is not held"


def test_the_onnx_file_is_float_and_single_threaded(folder: Path) -> None:
    network = onnx_network(folder / "model.onnx")
    assert network(np.zeros((1, 5, 3), np.float32)).dtype == np.float32
