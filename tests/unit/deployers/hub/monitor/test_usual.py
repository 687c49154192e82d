"""What is usual at a part of the day, and how far numbers stray from that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.hub.monitor.usual import FOLLOWS_DAYS, LEARNED_DAYS, Usual

PARTS = 4


def learned(values: np.ndarray) -> tuple[Usual, list[float | None]]:
    usual, found = Usual(), []
    for at, value in enumerate(values.tolist()):
        found.append(usual.z(at % PARTS, value))
        usual.learn(at % PARTS, value, PARTS)
    return usual, found


def cycle(days: int, seed: int = 1, spread: float = 0.2) -> np.ndarray:
    random, at = np.random.default_rng(seed), np.arange(days * PARTS)
    return 5.0 * (at % PARTS) + random.normal(0, spread, len(at))


@pytest.mark.parametrize("seed", range(3))
def test_deviations_are_those_of_a_part_of_the_day_once_it_is_known(seed: int) -> None:
    usual, found = learned(cycle(200, seed))
    assert found[: LEARNED_DAYS * PARTS] == [None] * LEARNED_DAYS * PARTS
    judged = np.array(found[LEARNED_DAYS * PARTS :], float)
    assert judged.std() == pytest.approx(1, abs=0.1)
    assert judged.mean() == pytest.approx(0, abs=0.1)
    assert usual.means == pytest.approx([0, 5, 10, 15], abs=0.2)
    assert (usual.days(), usual.seen) == (LEARNED_DAYS, [FOLLOWS_DAYS] * PARTS)


def test_what_changes_with_a_season_is_usual_and_a_jump_becomes_so() -> None:
    days = np.arange(150).repeat(PARTS)
    _, slowly = learned(cycle(150) + 0.005 * days)
    assert np.array(slowly[LEARNED_DAYS * PARTS :], float).mean() < 1
    _, jump = learned(cycle(150) + 1.0 * (days >= 60))
    assert np.array(jump[60 * PARTS : 63 * PARTS], float).min() > 2
    assert abs(np.array(jump[-10 * PARTS :], float).mean()) < 0.5


def test_one_odd_value_is_not_taken_for_usual() -> None:
    values = cycle(60)
    odd = values.copy()
    odd[40 * PARTS] += 1000
    (well, _), (found, _) = learned(values), learned(odd)
    assert found.means == pytest.approx(well.means, abs=0.2)
    assert found.variance < 1.2 * well.variance


@given(st.lists(st.floats(-1e6, 1e6), max_size=300))
def test_numbers_of_any_kind_are_survived(values: list[float]) -> None:
    usual, found = learned(np.array(values))
    assert all(each is None or np.isfinite(each) for each in found)
    assert usual.variance >= 0
    assert usual.days() <= LEARNED_DAYS


def test_nothing_is_said_of_what_never_strays() -> None:
    _, found = learned(np.zeros(40 * PARTS))
    assert set(found) == {None}
