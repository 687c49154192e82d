"""Folds and the comparison of candidates block by block."""

from __future__ import annotations

import math

import numpy as np
import pytest

from forecaster.dataset import Dataset
from forecaster.errors import ReadingError
from forecaster.genome import Space, SpaceConfig
from forecaster.trials import Trial, folds, margin, mean_ratio
from tests.synthetic import dataset


def trial(fold: int, blocks: list[float]) -> Trial:
    ratio = float(np.sqrt(np.nanmean(blocks)))
    return Trial(fold, ratio, ratio, np.asarray(blocks), 10)


def test_two_folds_judge_on_two_stretches() -> None:
    first, second = folds(dataset(), 2)
    assert (first.number, second.number) == (0, 1)
    assert len(second.sequences.features) < len(first.sequences.features)
    assert len(folds(dataset(), 1)) == 1


def test_persistence_is_the_unit() -> None:
    fold = folds(dataset(), 1)[0]
    space = Space(SpaceConfig(units=(4,), steps=(32,), burn_in=(4,), batch=(4,)), fold.names, 1, 32)
    result, _ = fold.trained(space.decode(space.usual()), seed=1)
    assert result.ratio == pytest.approx(result.rmse / fold.persistence)
    assert result.ratio == pytest.approx(1, abs=0.2), "one update from a small output layer is still near persistence"
    assert result.blocks.shape == (4,)
    assert math.sqrt(np.mean(result.blocks)) == pytest.approx(result.ratio, rel=0.02)


def test_mean_ratio_is_over_folds_and_seeds() -> None:
    assert mean_ratio([trial(0, [0.25, 0.25]), trial(1, [1.0, 1.0])]) == pytest.approx(0.75)
    uneven = [trial(0, [0.25, 0.25]), trial(1, [1.0, 1.0]), trial(1, [1.0, 1.0])]
    assert mean_ratio(uneven) == pytest.approx(0.75), "each fold counts the same"


def test_margin_is_paired_by_block() -> None:
    behind, error = margin([trial(0, [0.5, 0.9])], [trial(0, [0.4, 0.8])])
    assert behind == pytest.approx(0.1)
    assert error == pytest.approx(0, abs=1e-12)


def test_margin_has_a_standard_error() -> None:
    behind, error = margin([trial(0, [0.6, 0.8, 1.0])], [trial(0, [0.5, 0.5, 0.5])])
    assert behind == pytest.approx(0.3)
    assert error == pytest.approx(0.2 / math.sqrt(3))


def test_margin_averages_seeds_within_a_fold_and_joins_folds() -> None:
    candidate = [trial(0, [0.2, 0.4]), trial(0, [0.4, 0.6]), trial(1, [0.9])]
    leader = [trial(0, [0.1, 0.1]), trial(0, [0.1, 0.1]), trial(1, [0.1])]
    assert margin(candidate, leader)[0] == pytest.approx((0.2 + 0.4 + 0.8) / 3)


def test_blocks_without_targets_are_left_out() -> None:
    behind, _ = margin([trial(0, [0.5, math.nan])], [trial(0, [0.4, math.nan])])
    assert behind == pytest.approx(0.1)


def test_one_block_has_no_standard_error() -> None:
    assert margin([trial(0, [0.5])], [trial(0, [0.4])]) == (pytest.approx(0.1), 0.0)


def test_a_candidate_that_diverged_is_infinitely_behind() -> None:
    behind, _ = margin([trial(0, [math.inf, math.inf])], [trial(0, [0.4, 0.4])])
    assert behind == math.inf


@pytest.mark.parametrize(("rows", "stretch"), [(slice(840, 1020), "validation part"), (slice(588, 840), "last")])
def test_a_stretch_that_does_not_move_cannot_judge(rows: slice, stretch: str) -> None:
    data = dataset()
    still = data.grid.copy()
    still.loc[rows.start : rows.stop - 1, "value"] = 20.0
    with pytest.raises(ReadingError, match=f"the {stretch}.* does not change"):
        folds(Dataset(still, data.program, data.sequences, data.config, {}), 2)
