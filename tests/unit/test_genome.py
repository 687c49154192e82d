"""What a genome means and how it changes."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from forecaster.features import FeatureConfig
from forecaster.genome import USUAL, Space, SpaceConfig, columns

NAMES = FeatureConfig().names()


def space(**changes: object) -> Space:
    return Space(SpaceConfig(**changes), NAMES, updates=300, longest=288)


def test_the_usual_genome_is_the_recipe_known_to_work() -> None:
    candidate = space().decode(space().usual())
    assert candidate.features == ("difference:1", "hour:1:sin", "hour:1:cos")
    assert (candidate.form, candidate.units) == ("gru_dense", 16)
    assert candidate.recipe == dataclasses.replace(USUAL, updates=300)


def test_the_usual_genome_takes_the_nearest_choice() -> None:
    candidate = space(units=(8, 20), form=("gru_gru",)).decode(space(units=(8, 20), form=("gru_gru",)).usual())
    assert (candidate.form, candidate.units) == ("gru_gru", 20)


@given(seed=st.integers(0, 1000))
def test_every_genome_reads_the_first_difference_and_whole_groups(seed: int) -> None:
    chosen = space()
    candidate = chosen.decode(chosen.drawn(random.Random(seed)))
    assert candidate.features[0] == "difference:1"
    sines = {name.removesuffix(":sin") for name in candidate.features if name.endswith(":sin")}
    cosines = {name.removesuffix(":cos") for name in candidate.features if name.endswith(":cos")}
    assert sines == cosines


@given(seed=st.integers(0, 1000), share=st.floats(0, 1))
def test_mutation_keeps_every_gene_in_its_choices(seed: int, share: float) -> None:
    chosen, rng = space(), random.Random(seed)
    genome = chosen.drawn(rng)
    child = chosen.mutate(genome, rng, share)
    assert all(0 <= gene < len(options) for gene, options in zip(child, chosen.choices.values(), strict=True))
    if share == 0:
        assert child == genome


def test_a_gene_with_one_choice_does_not_mutate() -> None:
    chosen = space(form=("gru",), units=(16,))
    index = list(chosen.choices).index("form")
    children = [chosen.mutate(chosen.usual(), random.Random(i), 1.0) for i in range(20)]
    assert {child[index] for child in children} == {0}


def test_unordered_genes_always_change_when_they_mutate() -> None:
    chosen = space()
    index = list(chosen.choices).index("form")
    children = [chosen.mutate(chosen.usual(), random.Random(i), 1.0)[index] for i in range(30)]
    assert chosen.usual()[index] not in children


def test_windows_longer_than_the_sequences_are_no_choice() -> None:
    chosen = Space(SpaceConfig(), NAMES, 300, longest=100)
    assert chosen.choices["steps"] == (48, 96)
    assert Space(SpaceConfig(), NAMES, 300, longest=10).choices["burn_in"] == (6,)
    assert Space(SpaceConfig(), NAMES, 300, longest=5).choices["burn_in"] == (0,)


def test_the_limit_of_parameters() -> None:
    chosen = space(max_parameters=500)
    candidate = chosen.decode(chosen.usual())
    assert not chosen.fits(candidate, 6)
    assert space().fits(candidate, 6)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"form": ("lstm",)}, "form 'lstm' is unknown"),
        ({"units": (0,)}, "0 is below 1"),
        ({"batch": (-1,)}, "-1 is below 1"),
        ({"dropout": (1.0,)}, "0 ≤ dropout < 1"),
        ({"sizes": (1,)}, "sizes"),
        ({"units": ()}, "at least 1 item"),
    ],
)
def test_bad_choices_are_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        SpaceConfig(**change)


def test_columns_are_positions() -> None:
    assert np.array_equal(columns(("a", "b", "c"), ("c", "a")), [2, 0])


@pytest.mark.parametrize(
    ("gene", "by", "near"),
    [("burn_in", 1, True), ("dropout", 1, True), ("dropout", 2, False), ("units", 1, False), ("form", 1, False)],
)
def test_genomes_are_near_but_for_one_step_of_a_gene_that_hardly_matters(gene: str, by: int, near: bool) -> None:
    space = Space(SpaceConfig(), ("difference:1", "hour:1:sin", "hour:1:cos"), 300, 288)
    genome = [0] * len(space.choices)
    other = list(genome)
    other[list(space.choices).index(gene)] += by
    assert space.is_near(genome, genome)
    assert (space.is_near(genome, other), space.is_near(other, genome)) == (near, near)
    other[0] = 1
    assert not space.is_near(genome, other)
