"""The training step: what the search chose reaches the final training."""

from __future__ import annotations

import pytest

from forecaster import model
from forecaster.genome import SpaceConfig
from forecaster.search import chosen, search
from forecaster.search_config import SearchConfig
from steps.training.train import train
from tests.synthetic import dataset

SPACE = SpaceConfig(units=(4, 6), steps=(32,), burn_in=(4, 8), batch=(4, 8))
QUICK = SearchConfig(population=3, generations=1, max_evaluations=3, updates=10, elite=1, finalists=1, space=SPACE)


@pytest.mark.parametrize("candidate", [None, 2])
def test_what_the_search_chose_is_trained_for_as_long_as_was_best(candidate: int | None) -> None:
    data = dataset()
    found = search(data, QUICK, seed=1)
    picked, best_update = chosen(found, QUICK, data, candidate)
    expected = model.train(data, picked, best_update, 1, refit=True)
    made = train.entrypoint(data, found.as_dict(), QUICK, candidate, 1, True, 1)
    assert made.digest == expected.digest
