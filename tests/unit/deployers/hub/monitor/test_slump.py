"""Skill of hours beside what it usually is."""

from __future__ import annotations

import numpy as np
import pytest

from deployers.hub.monitor.pairing import Pair
from deployers.hub.monitor.skill import DAY_MS
from deployers.hub.monitor.slump import BLOCK_MS, BLOCKS, PARTS, WARNING, Slump
from deployers.hub.monitor.watch import Model, Watch
from tests.monitoring import CADENCE_MS, RULES, START_MS, STEPS_A_DAY, Site, watched


def new(state: str = "") -> Watch:
    return Watch(RULES, lambda _: Model(CADENCE_MS), state)


def raised(site: Site) -> tuple[Watch, list[float]]:
    """Days at which it began to warn."""
    watch, found, level = new(), [], "ok"
    for each in site.events():
        watched(watch, iter([each]))
        if watch.state.slump.level != level:
            level = watch.state.slump.level
            found += [(each.time_ms - START_MS) / DAY_MS] if level != "ok" else []
    return watch, found


def test_a_forecaster_that_stays_as_it_was_warns_no_more_than_every_two_months() -> None:
    assert sum(len(raised(Site(days=45, seed=seed))[1]) for seed in range(4)) <= 3


@pytest.mark.parametrize("seed", range(3))
def test_a_forecaster_that_loses_its_skill_is_found_within_a_day_and_never_alarms(seed: int) -> None:
    watch, found = raised(Site(days=33, seed=seed, worse=1.2, worse_from=30))
    assert 30 < found[-1] <= 31
    finding = next(each for each in watch.findings(0) if each.test == "slump")
    assert (finding.part, finding.level) == ("skill", "warning")
    assert f"{WARNING} warn" in finding.reason
    assert finding.numbers["z"] == pytest.approx(watch.state.slump.z, abs=1e-3)


def pairs(test: Slump, blocks: range, model: float = 0.6, persistence: float = 1.0) -> None:
    for block in blocks:
        for at in range(BLOCK_MS // CADENCE_MS):
            time_ms = block * BLOCK_MS + at * CADENCE_MS
            test.pair(Pair("hub", 1, 1, time_ms, model * (1 + 0.1 * (block % 3)), persistence), CADENCE_MS)


def settled() -> Slump:
    test = Slump(version=1, source="hub")
    pairs(test, range(200))
    assert test.z is not None
    return test


def test_it_learns_first() -> None:
    test = Slump()
    pairs(test, range(80))
    assert test.finding().reason == "learns what is usual, 6 of 14 workdays so far"
    assert (test.z, test.level) == (None, "ok")


def test_workdays_are_not_judged_before_two_weeks_of_them() -> None:
    for workdays, is_judged in ((13, False), (15, True)):
        test = Slump()
        weeks, days = divmod(workdays, 5)
        pairs(test, range(4 * PARTS, (4 + 7 * weeks + days) * PARTS))
        assert (test.z is not None) == is_judged


def test_a_room_in_which_nothing_moves_is_not_judged() -> None:
    test = Slump()
    pairs(test, range(200), model=0.0, persistence=0.0)
    assert (test.learned, test.z, test.level) == (199, None, "ok")


def test_errors_of_months_ago_are_no_measure() -> None:
    test = Slump()
    pairs(test, range(100 * PARTS), persistence=1.0)
    pairs(test, range(100 * PARTS, 128 * PARTS), persistence=2.0)
    assert test.usual_persistence == pytest.approx(2 - 1 / np.e, abs=0.02)


def test_a_warning_ends_at_half_of_what_brought_it() -> None:
    test, levels = settled(), []
    for block in range(200, 240):
        pairs(test, range(block, block + 1), model=3.0 if block < 206 else 0.6)
        levels.append((test.level, (test.z or 0) < WARNING / 2))
    assert [level for level, _ in levels].count("warning") > 0
    assert all(level == "ok" for level, is_low in levels if is_low)
    assert test.level == "ok"


def test_a_block_with_a_faulty_sensor_or_half_empty_says_nothing_and_parts_the_others() -> None:
    for spoil in (True, False):
        test = settled()
        if spoil:
            pairs(test, range(200, 201), model=50.0)
            test.is_masked = True
        else:
            test.pair(Pair("hub", 1, 1, 200 * BLOCK_MS, 50.0, 1.0), CADENCE_MS)
        before = test.z
        pairs(test, range(201, 202))
        assert (test.last, test.level) == ([], "ok")
        pairs(test, range(202, 201 + BLOCKS))
        assert test.z != before or len(test.last) < BLOCKS
        assert test.level == "ok"


def weeks(weekend: float) -> Slump:
    """After seven weeks with one error on workdays and another on weekends."""
    test = Slump(version=1, source="hub")
    for day in range(4 - 7, 4 + 7 * 7):  # the day 4 is the first Monday of 1970
        is_weekend = (day - 4) % 7 >= 5
        if day >= 4:
            pairs(test, range(day * PARTS, (day + 1) * PARTS), model=weekend if is_weekend else 0.6)
    return test


def test_weekends_are_compared_with_weekends() -> None:
    test, monday = weeks(1.5), 4 + 7 * 7
    assert test.level == "ok"
    assert abs(test.z or 9) < 2, "a weekend as they are"
    assert test.weekends.means[0] > test.workdays.means[0] + 0.5
    pairs(test, range(monday * PARTS, (monday + 2) * PARTS), model=1.5)
    assert test.level == "warning", "a workday like a weekend"


def test_a_gap_parts_blocks() -> None:
    test = settled()
    pairs(test, range(203, 204))
    assert test.last == []


def test_what_comes_late_for_a_block_is_left_out() -> None:
    test = settled()
    count = test.count
    test.pair(Pair("hub", 1, 1, 0, 9.0, 1.0), CADENCE_MS)
    assert test.count == count


def test_another_version_or_source_begins_anew() -> None:
    watch = watched(new(), Site(days=3).events())
    assert (watch.state.slump.version, watch.state.slump.source) == (1, "hub")
    learned, last = watch.state.slump.learned, watch.state.last_ms or 0
    watched(watch, (each for each in Site(days=4, version=2).events() if each.time_ms > last))
    assert learned > 20
    assert (watch.state.slump.version, watch.state.slump.learned) == (2, 7)


def test_a_state_from_before_there_were_these_tests_is_read_and_begins_them() -> None:
    import json

    events = list(Site(days=20).events())
    half = 15 * 2 * STEPS_A_DAY
    state = json.loads(watched(new(), iter(events[:half])).dump())
    for name in ("slump", "jitter", "jump"):
        del state[name]
    watch = new(json.dumps(state))
    assert watch.state.last_ms is not None
    assert len(watch.state.recent["hub"]) == 7
    watched(watch, iter(events[half:]))
    assert (watch.state.slump.learned, watch.state.slump.level) == (4 * 8 + 7, "ok")
    assert watch.state.jitter.counted == 5 * STEPS_A_DAY - 2
