"""Shares of variance that genes explain: known effects, chance, and what cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.importance import importance

RNG = np.random.default_rng(1)
COUNT = 60
UNITS = [8, 12, 16] * (COUNT // 3)
FORM = RNG.choice(["gru", "gru_gru"], COUNT).tolist()
NOISE = RNG.normal(0, 0.01, COUNT)


def test_the_gene_that_matters_comes_first_and_the_other_is_not_clear() -> None:
    fitness = np.exp(0.1 * np.array(UNITS) / 8 + NOISE)
    first, second = importance({"form": FORM, "units": UNITS}, fitness)
    assert (first.gene, first.is_clear, second.is_clear) == ("units", True, False)
    assert first.share > 0.9
    assert second.share < 0.1


def test_two_effects_share_the_variance_by_their_sizes() -> None:
    left, right = np.tile([0, 1], COUNT // 2), np.repeat([0, 1], COUNT // 2)
    genes = {"a": left.tolist(), "b": right.tolist()}
    rows = {row.gene: row.share for row in importance(genes, np.exp(2 * left + right))}
    assert rows["a"] == pytest.approx(4 / 5, abs=0.01)
    assert rows["b"] == pytest.approx(1 / 5, abs=0.02)


def test_noise_is_clear_in_few_cases_only() -> None:
    genes = {str(number): RNG.integers(0, 3, COUNT).tolist() for number in range(200)}
    clear = sum(row.is_clear for row in importance(genes, np.exp(RNG.normal(size=COUNT))))
    assert clear < 25


def test_the_same_again_is_the_same() -> None:
    assert importance({"units": UNITS}, np.exp(NOISE)) == importance({"units": UNITS}, np.exp(NOISE))


def test_candidates_that_diverged_are_left_out() -> None:
    fitness = np.exp(0.1 * np.array(UNITS) / 8 + NOISE)
    spoilt = fitness.copy()
    spoilt[:3] = np.inf, np.nan, 0
    (row,) = importance({"units": UNITS}, spoilt)
    (expected,) = importance({"units": UNITS[3:]}, fitness[3:])
    assert row == expected


@pytest.mark.parametrize("values", [[1, 1, 1], [1, 2, 3], []])
def test_where_nothing_can_be_judged_nothing_is_explained(values: list[int]) -> None:
    fitness = [0.5, 0.6, 0.7][: len(values)]
    (row,) = importance({"units": values}, fitness)
    assert (row.share, row.is_clear) == (0.0, False)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.01, 10)), min_size=1, max_size=30))
def test_a_share_is_a_share(pairs: list[tuple[int, float]]) -> None:
    (row,) = importance({"gene": [gene for gene, _ in pairs]}, [fitness for _, fitness in pairs])
    assert 0 <= row.share <= 1
    assert 0 <= row.chance <= 1
