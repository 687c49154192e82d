"""What days add up to: a verdict when there are enough, and once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deployers.hub.settings import ShadowSection
from deployers.hub.shadow import told
from deployers.hub.shadow.challenge import DAYS_MOST, Challenge
from tests.shadowing import days

if TYPE_CHECKING:
    from deployers.hub.shadow.comparing import Compared

NEW = Challenge(2, 1, 1000)


def judged(apart: list[float], **rules: Any) -> Challenge:
    over: dict[int, Compared | None] = {each.day: each for each in days(apart)}
    return NEW.judged(over, ShadowSection(**rules))


def test_seven_better_days_are_a_verdict_and_six_are_none() -> None:
    assert judged([0.01] * 6).state == "running"
    found = judged([0.01] * 7)
    assert (found.state, found.is_open) == ("better", True)
    assert found.reason == "better than version 1 on 7 of 7 days, e-value 31.9"


def test_worse_is_its_mirror_image() -> None:
    found = judged([-0.01] * 7)
    assert (found.state, found.reason) == ("worse", "worse than version 1 on 7 of 7 days, e-value 31.9")
    assert found.e_values(0.0) == tuple(reversed(judged([0.01] * 7).e_values(0.0)))


def test_no_verdict_before_the_least_days() -> None:
    assert judged([0.01] * 7, least_days=8).state == "running"
    assert judged([-0.01] * 7, least_days=8).state == "running"
    assert judged([0.01] * 8, least_days=8).state == "better"


def test_after_the_most_days_it_is_undecided() -> None:
    apart = [0.01, -0.01] * 14
    assert judged(apart[:-1]).state == "running"
    found = judged(apart)
    assert found.state == "undecided"
    assert "neither better nor worse than version 1 after 28 days" in found.reason


def test_ties_count_for_neither() -> None:
    assert judged([0.0] * 10).e_values(0.0) == (1.0, 1.0)


def test_days_within_the_margin_are_neither_better_nor_worse() -> None:
    found = judged([0.01] * 10, margin=0.02)
    assert (found.counts(0.02), found.counts_worse(0.02)) == ((0, 10), (0, 10))
    assert judged([0.03] * 7, margin=0.02).state == "better"
    assert judged([-0.03] * 7, margin=0.02).state == "worse"


def test_a_verdict_stays_whatever_comes_later() -> None:
    found = judged([0.01] * 7 + [-0.01] * 60)
    assert (found.state, len(found.days)) == ("better", 67)


def test_one_that_waits_for_years_is_compared_no_more() -> None:
    found = judged([0.01] * 2000)
    assert (found.state, len(found.days)) == ("better", DAYS_MOST)
    assert 1e100 < found.e_values(0.0)[0] < float("inf")


def test_a_day_counts_once_and_one_that_counted_for_nothing_is_not_looked_at_again() -> None:
    over: dict[int, Compared | None] = {each.day: each for each in days([0.01] * 3)}
    once = NEW.judged({**over, 5: None}, ShadowSection())
    assert (len(once.days), once.passed) == (3, {5})
    assert once.judged({**over, 5: days([0.01])[0]}, ShadowSection()) == once


def test_what_is_kept_is_what_was() -> None:
    found = judged([0.01, -0.02, 0.03])
    assert told.challenge_of(told.stored(found, 0.0)) == found


@pytest.mark.parametrize(
    ("apart", "rules", "words"),
    [
        ([0.01] * 2, {}, "complete days: 2 of at least 5, at most 28"),
        ([0.01] * 6, {}, "an e-value of 20, at most 22 days more"),
        ([0.01] * 7, {}, "may be promoted: deploy or activate version 2"),
        ([0.01] * 7, {"promote": "automatic"}, "its promotion, job to begin"),
    ],
)
def test_what_it_waits_for_is_told(apart: list[float], rules: dict[str, Any], words: str) -> None:
    row = told.row(judged(apart, **rules), None, ShadowSection(**rules), {}, "")
    assert row["waits_for"] == words
