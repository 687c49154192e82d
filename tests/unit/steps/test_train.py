"""The training step: what the search left reaches the final training."""

from __future__ import annotations

import dataclasses

from forecaster import model
from forecaster.genome import SpaceConfig
from forecaster.records import unpacked
from forecaster.search import chosen, search
from forecaster.search_config import SearchConfig
from steps.training.train import train
from tests.synthetic import dataset

SPACE = SpaceConfig(units=(4, 6), steps=(32,), burn_in=(4, 8), batch=(4, 8))
QUICK = SearchConfig(population=3, generations=1, max_evaluations=3, updates=10, elite=1, finalists=1, space=SPACE)


def test_the_final_training_goes_on_from_the_network_of_a_search_that_was_best_at_its_end() -> None:
    data = dataset()
    found = search(data, QUICK, seed=1)
    late = dataclasses.replace(found, finals=tuple({**final, "best_update": 10} for final in found.finals))
    picked = chosen(late, QUICK, data).candidate
    expected = model.train(data, picked, 10, 1, refit=True, initial=unpacked(found.weights))
    made = train.entrypoint(data, late.as_dict(), QUICK, None, 1, True, 1)
    assert made.digest == expected.digest
    assert made.training["goes_on_from_search"] is True
