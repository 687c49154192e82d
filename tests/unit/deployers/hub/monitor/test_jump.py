"""One change larger than any for weeks: a sensor that was moved is told at once, a room's own life never."""

from __future__ import annotations

import numpy as np
import pytest

from deployers.hub.monitor.jump import FACTOR, LEAST, Jump
from deployers.hub.monitor.usual import FOLLOWS_DAYS
from deployers.hub.monitor.watch import STATE, Model, Watch
from tests.monitoring import CADENCE_MS, RULES, START_MS, STEPS_A_DAY, Site, watched

AT = 20 * STEPS_A_DAY + 40


def seen(celsius: np.ndarray, test: Jump | None = None, masked: range = range(0), every: int = 1) -> list[tuple]:
    """Give it readings; at which it changed its state, and to what."""
    test, changes, level = test or Jump(), [], "ok"
    for at, value in enumerate(celsius.tolist()):
        test.reading(START_MS + at * every * CADENCE_MS, value, CADENCE_MS, is_masked=at in masked)
        if test.level != level:
            level = test.level
            changes.append((at, level))
    return changes


def jumped(by: float, days: int = 25, at: int = AT) -> np.ndarray:
    celsius = Site(days=days).celsius()
    return celsius + by * (np.arange(len(celsius)) >= at)


@pytest.mark.parametrize("seed", range(6))
def test_the_life_of_a_room_is_no_jump(seed: int) -> None:
    assert seen(Site(days=90, seed=seed).celsius()) == []


@pytest.mark.parametrize(("by", "how"), [(2.0, "rose by 2."), (-2.0, "fell by 2.")])
def test_a_jump_warns_at_once_and_for_a_day(by: float, how: str) -> None:
    test = Jump()
    assert seen(jumped(by)[: AT + 1], test) == [(AT, "warning")]
    assert test.finding().reason.startswith(how)
    assert "from one reading to the next: the most in 20 days before was 0." in test.finding().reason
    assert (test.finding().part, test.finding().numbers["change"]) == ("data", pytest.approx(by, abs=0.2))
    seen(jumped(by)[: AT + STEPS_A_DAY], later := Jump())
    assert later.finding().reason == test.finding().reason, "a night later it says the same"
    assert seen(jumped(by)) == [(AT, "warning"), (AT + STEPS_A_DAY, "ok")]


def test_a_jump_back_on_the_same_day_is_no_other_one() -> None:
    celsius, test = jumped(2.0), Jump()
    celsius[AT + 20 :] -= 2.0
    assert seen(celsius[: AT + 40], test) == [(AT, "warning")]
    assert test.change == pytest.approx(2.0, abs=0.2)
    assert test.jumped_ms == START_MS + AT * CADENCE_MS


def test_what_a_still_sensor_does_is_measured_by_the_least_that_counts() -> None:
    still = np.zeros(STEPS_A_DAY * 25)
    for size, expected in ((0.99 * FACTOR * LEAST, 0), (1.01 * FACTOR * LEAST, 2)):
        assert len(seen(still + size * (np.arange(len(still)) >= AT))) == expected


def test_a_sensor_that_jumps_each_day_does_so_and_forgets_what_it_did_long_ago() -> None:
    celsius = Site(days=20 + 2 * FOLLOWS_DAYS).celsius()
    daily = celsius + 2.0 * (np.arange(len(celsius)) // STEPS_A_DAY % 2)
    assert seen(daily) == []
    once = jumped(2.0, days=30 + 2 * FOLLOWS_DAYS)
    again = once + 2.0 * (np.arange(len(once)) >= AT + 5 * STEPS_A_DAY)
    assert [at for at, level in seen(again) if level == "warning"] == [AT], "it is known by then"
    later = AT + (FOLLOWS_DAYS + 2) * STEPS_A_DAY
    again = once + 2.0 * (np.arange(len(once)) >= later)
    assert [at for at, level in seen(again) if level == "warning"] == [AT, later]


def test_nothing_is_said_early_over_a_gap_or_of_a_faulty_sensor() -> None:
    early = 5 * STEPS_A_DAY
    test = Jump()
    assert seen(jumped(2.0, days=6, at=early), test) == []
    assert test.finding().reason == "learns how far this sensor jumps, 5 of 14 days so far"
    assert seen(jumped(2.0), masked=range(AT, AT + 1)) == []
    sparse = Jump()
    seen(jumped(2.0), sparse, every=3)
    assert sparse.days == []


def test_a_watch_tells_it_and_keeps_it_over_a_restart() -> None:
    watch = Watch(RULES, lambda _: Model(CADENCE_MS))
    celsius = jumped(3.0, days=21)
    watched(watch, Site(days=21).events(celsius))
    finding = next(each for each in watch.findings(0) if each.test == "jump")
    assert finding.level == "warning"
    again = Watch(RULES, lambda _: Model(CADENCE_MS), watch.dump())
    assert next(each for each in again.findings(0) if each.test == "jump") == finding
    assert STATE.validate_json(watch.dump()).jump == watch.state.jump
