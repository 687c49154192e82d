"""Days that count are those on which both forecast at the same readings, of sensors that were well."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from deployers.hub.shadow.comparing import Compared, compared
from tests.shadowing import CADENCE_MS, both, sums

if TYPE_CHECKING:
    from deployers.hub.store.watching import DaySums

DAY = 20_000


def found(*rows: tuple[str, DaySums]) -> dict[int, Compared | None]:
    return compared(rows, 1, 2, CADENCE_MS)


def test_a_day_is_the_mean_over_series_of_both_skills() -> None:
    rows = [*both("a", DAY, 0.3, 0.4), *both("b", DAY, 0.1, 0.3), *both("a", DAY + 1), *both("b", DAY + 1)]
    assert found(*rows) == {DAY: Compared(DAY, pytest.approx(0.2), pytest.approx(0.35), 2)}


def test_a_day_under_way_is_not_over() -> None:
    assert found(*both("a", DAY)) == {}


def test_the_last_series_is_waited_for_until_another_one_is_through_with_the_next_day() -> None:
    rows = [*both("a", DAY, 0.3, 0.4), *both("a", DAY + 1), *both("late", DAY)]
    assert found(*rows) == {}
    one = found(*rows, *both("a", DAY + 2))[DAY]
    assert one is not None
    assert one.series == 1


def test_a_series_whose_clock_is_years_ahead_ends_no_day_of_others() -> None:
    ahead = [row for day in (DAY + 9000, DAY + 9001, DAY + 9002) for row in both("ahead", day)]
    assert DAY not in found(*both("a", DAY), *ahead)


@pytest.mark.parametrize(
    "change",
    [{"is_masked": True}, {"counts": [143.0, 143.0]}, {"persistence": [14.41, 14.4]}],
    ids=["fault", "one reading less", "another reading"],
)
@pytest.mark.parametrize("whose", [0, 1])
def test_a_day_that_is_not_the_same_for_both_counts_for_nothing(change: dict[str, Any], whose: int) -> None:
    rows, rest = both("a", DAY), both("a", DAY + 1)
    assert found(*rows, *rest)[DAY] is not None
    rows[whose] = ("a", replace(rows[whose][1], **change))
    assert found(*rows, *rest)[DAY] is None


@pytest.mark.parametrize("change", [{"counts": [60.0, 60.0]}, {"persistence": [0.0, 0.0]}], ids=["short", "eventless"])
def test_half_a_day_and_one_on_which_nothing_happens_count_for_nothing(change: dict[str, Any]) -> None:
    rows = [(name, replace(each, **change)) for name, each in both("a", DAY)]
    assert found(*rows, *both("a", DAY + 1))[DAY] is None


def test_other_versions_and_boards_are_not_compared() -> None:
    rest = both("a", DAY + 1)
    assert found(("a", sums(DAY, "hub", 3)), ("a", sums(DAY, "shadow", 2)), *rest) == {}
    assert found(("a", sums(DAY, "hub", 1)), ("a", sums(DAY, "shadow", 4)), *rest) == {}


def test_of_two_horizons_the_steps_that_both_have_are_compared() -> None:
    champion, (name, short) = both("a", DAY, 0.3, 0.4)
    short = replace(short, counts=short.counts[:1], model=short.model[:1], persistence=short.persistence[:1])
    assert found(champion, (name, short), *both("a", DAY + 1))[DAY] == Compared(
        DAY, pytest.approx(0.3), pytest.approx(0.4), 1
    )
