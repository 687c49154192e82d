"""Sequences, targets, folds and the stored dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from forecaster.dataset import PARTS, Dataset, SequenceConfig, build_dataset, minimum_steps
from forecaster.errors import ReadingError
from forecaster.features import features, fit_program
from forecaster.sequences import MISSING
from tests.synthetic import CADENCE, FEW, SMALL, dataset, grid


def test_sequences_are_three_dimensional_for_each_part() -> None:
    data = dataset()
    for part in PARTS:
        sequences, steps, width = data.sequences[part].shape
        assert (steps, width) == (SMALL.steps, len(data.program.names))
        assert sequences > 1


def test_every_window_of_half_the_length_lies_in_one_sequence() -> None:
    data = dataset()
    rows = np.flatnonzero(data.grid["part"] == "train")
    table = features(data.grid, data.program).astype(np.float32)
    half = SMALL.steps // 2
    stored = {s[i : i + half].tobytes() for s in data.sequences["train"] for i in range(SMALL.steps - half + 1)}
    for start in range(0, len(rows) - half + 1, 7):
        assert table[rows[start : start + half]].tobytes() in stored


def test_short_segments_are_padded_and_their_padding_has_no_target() -> None:
    frame = grid(400, breaks=(30,))
    data = build_dataset(frame, fit_program(frame, FEW, CADENCE, 3), SMALL, {})
    training = data.training_sequences()
    assert not data.sequences["train"][0, 30:].any()
    assert (training.targets[0, 30:] >= MISSING).all()
    assert (training.targets[0, :27] < MISSING).all()


def test_training_targets_never_use_a_validation_reading() -> None:
    data = dataset()
    altered = data.grid.copy()
    altered.loc[altered["part"] != "train", "value"] += 9
    other = Dataset(altered, data.program, data.sequences, data.config, {})
    assert np.array_equal(data.training_sequences().targets, other.training_sequences().targets)


def test_targets_are_scaled_residuals() -> None:
    data = dataset()
    targets = data.training_sequences().targets
    value = data.grid["value"].to_numpy()
    assert targets[0, 10, 1] == pytest.approx((value[12] - value[10]) / data.program.target_scale, rel=1e-5)


def test_both_parts_together_give_more_sequences() -> None:
    data = dataset()
    both = data.training_sequences(("train", "validation"))
    assert len(both.features) == len(data.sequences["train"]) + len(data.sequences["validation"])
    assert both.features.shape[:2] == both.targets.shape[:2]


def test_validation_streams_count_each_reading_once_behind_the_warm_up() -> None:
    data = dataset()
    training = data.training_sequences()
    assert (training.validation_targets[: SMALL.warm_up] >= MISSING).all()
    known = int((training.validation_targets[:, 0] < MISSING).sum())
    assert known == int((data.grid["part"] == "validation").sum()) - 1


def test_the_warm_up_is_the_rows_just_before() -> None:
    data = dataset()
    first = np.flatnonzero(data.grid["part"] == "validation")[0]
    table = features(data.grid, data.program).astype(np.float32)
    warm = data.training_sequences().validation_features[: SMALL.warm_up, :, 0]
    assert np.array_equal(warm, table[first - SMALL.warm_up : first])


def test_the_warm_up_does_not_cross_a_segment_border() -> None:
    frame = grid(1200, breaks=(835,))
    data = build_dataset(frame, fit_program(frame, FEW, CADENCE, 3), SMALL, {})
    table = features(data.grid, data.program).astype(np.float32)
    training = data.training_sequences()
    stream, targets = training.validation_features[:, :, 0], training.validation_targets[:, 0, 0]
    assert np.array_equal(stream[:10], table[835:845])
    assert (targets[:5] >= MISSING).all()
    assert targets[5] < MISSING


def test_a_stream_ends_with_its_segment() -> None:
    frame = grid(1200, breaks=(850,))
    data = build_dataset(frame, fit_program(frame, FEW, CADENCE, 3), SMALL, {})
    training = data.training_sequences()
    assert training.validation_features.shape[2] > SMALL.streams
    counted = (training.validation_targets[:, 0] < MISSING).sum(axis=0)
    assert counted[0] == 9, "ten rows, the last has no successor"
    assert not training.validation_features[SMALL.warm_up + 10 :, :, 0].any()


def test_the_earlier_fold_lies_inside_the_training_part() -> None:
    data = dataset()
    earlier = data.earlier()
    training = data.grid[data.grid["part"] == "train"]
    assert len(earlier.grid) == len(training)
    assert set(earlier.grid["part"]) == {"train", "validation"}
    assert earlier.program == data.program


def test_no_target_at_all_is_an_error() -> None:
    data = dataset()
    held = data.grid.assign(filled=True)
    with pytest.raises(ReadingError, match="no reading of the train part can be forecast"):
        Dataset(held, data.program, data.sequences, data.config, {}).training_sequences()


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    data = dataset()
    data.save(tmp_path)
    loaded = Dataset.load(tmp_path)
    assert loaded.digest == data.digest
    assert loaded.grid.equals(data.grid)
    assert all(np.array_equal(loaded.sequences[p], data.sequences[p]) for p in PARTS)
    assert loaded.summary() == data.summary()


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    data = dataset()
    data.save(tmp_path)
    fields = json.loads((tmp_path / "dataset.json").read_text())
    fields["program"]["target_scale"] *= 2
    (tmp_path / "dataset.json").write_text(json.dumps(fields))
    with pytest.raises(ReadingError, match="run the data pipeline again"):
        Dataset.load(tmp_path)


@pytest.mark.parametrize("column", ["value", "filled", "part", "segment"])
def test_the_digest_covers_every_column(column: str) -> None:
    data = dataset()
    changed = data.grid.copy()
    changed[column] = {"value": 1.0, "filled": True, "part": "test", "segment": 5}[column]
    assert Dataset(changed, data.program, data.sequences, data.config, {}).digest != data.digest


def test_minimum_covers_the_horizon() -> None:
    assert minimum_steps(SequenceConfig(horizon=40)) == 41
    assert minimum_steps(SMALL) == 32
