"""Weights taken over from a parent: the child answers as its parent does."""

from __future__ import annotations

import numpy as np
import pytest

from forecaster.genome import Candidate
from forecaster.gru.architecture import FORMS, Recipe
from forecaster.gru.network import Workspace, initial_weights
from forecaster.inheritance import inherited

STEPS, BATCH, HORIZON = 7, 3, 2


def network(features: str, form: str = "gru", units: int = 8) -> Candidate:
    """A candidate that reads features of one letter each."""
    return Candidate(tuple(features), form, units, Recipe())


def drawn(candidate: Candidate) -> np.ndarray:
    """Weights without a zero among them, biases included."""
    return initial_weights(candidate.architecture(HORIZON), np.random.default_rng(1)) + np.float32(0.05)


def space(candidate: Candidate) -> Workspace:
    return Workspace(candidate.architecture(HORIZON), STEPS, BATCH)


def answers(candidate: Candidate, weights: np.ndarray, silent: str = "") -> np.ndarray:
    """Forecasts where each feature has values of its own, whatever its place; those of the silent ones are zero."""
    columns = [np.random.default_rng(ord(name)).normal(size=(STEPS, BATCH)) for name in candidate.features]
    columns = [values * (name not in silent) for name, values in zip(candidate.features, columns, strict=True)]
    return space(candidate).forward(weights, np.stack(columns, axis=1).astype(np.float32)).copy()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("read", "reads", "dropped"),
    [("abc", "abc", ""), ("abc", "cab", ""), ("ab", "axb", ""), ("abc", "ac", "b"), ("abc", "xay", "bc")],
    ids=["the same", "another order", "one more", "one fewer", "some others"],
)
def test_the_child_answers_as_its_parent(form: str, read: str, reads: str, dropped: str) -> None:
    parent, child = network(read, form), network(reads, form)
    taken = inherited(parent, drawn(parent), child, HORIZON)
    assert taken is not None
    # The sums are made in another order.
    np.testing.assert_allclose(answers(child, taken), answers(parent, drawn(parent), dropped), atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_feature_that_the_parent_did_not_read_is_learnt(form: str) -> None:
    child = network("ax", form)
    weights = inherited(network("a", form), drawn(network("a", form)), child, HORIZON)
    assert weights is not None
    gradient, run = np.zeros_like(weights), space(child)
    run.forward(weights, np.random.default_rng(2).normal(size=(STEPS, 2, BATCH)).astype(np.float32))
    run.output_gradient[..., :BATCH] = 1.0
    run.backward(weights, gradient)
    assert (weights == 0).any()
    assert np.abs(gradient[weights == 0]).max() > 1e-4


@pytest.mark.parametrize("other", [network("ab", units=12), network("ab", "gru_dense")], ids=["units", "form"])
def test_another_network_takes_nothing_over(other: Candidate) -> None:
    assert inherited(network("ab"), drawn(network("ab")), other, HORIZON) is None


def test_the_parent_keeps_its_weights() -> None:
    weights = drawn(network("ab"))
    taken = inherited(network("ab"), weights, network("ab"), HORIZON)
    assert taken is not None
    taken += 1
    np.testing.assert_array_equal(weights, drawn(network("ab")))
