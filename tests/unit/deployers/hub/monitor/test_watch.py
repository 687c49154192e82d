"""One series, day after day."""

from __future__ import annotations

import pytest

from deployers.hub.monitor.decay import Decay
from deployers.hub.monitor.skill import Expected
from deployers.hub.monitor.watch import WINDOW_DAYS, Model, Watch
from deployers.hub.store.watching import DaySums
from tests.monitoring import CADENCE_MS, HORIZON, RULES, STEPS_A_DAY, Site, watched


def new(state: str = "", expected: Expected | None = None) -> Watch:
    return Watch(RULES, lambda _: Model(CADENCE_MS, expected), state)


def skill_of(watch: Watch) -> object:
    return next(each for each in watch.findings(0) if each.part == "skill")


def test_errors_are_summed_by_day_and_step() -> None:
    watch = watched(new(), Site(days=3).events())
    first, second = watch.state.recent["hub"]
    assert first.counts == [STEPS_A_DAY - step for step in (1, 2, 3)]
    assert second.counts == [STEPS_A_DAY] * HORIZON
    assert second.model[0] < second.persistence[0] < second.persistence[2]
    assert [day.day for day in watch.take_changed()] == [first.day, second.day, second.day + 1]
    assert watch.take_changed() == []


def test_a_forecaster_that_stays_as_it_was_is_well() -> None:
    for seed in range(4):
        watch = watched(new(), Site(days=60, seed=seed).events())
        decay = watch.state.decay
        assert (decay.level, decay.judged) == ("ok", 59 - 14)
        assert decay.expected is not None
        assert decay.expected.skill == pytest.approx(1 - 0.6 * 1.046, abs=0.02)
        assert skill_of(watch).numbers["reference"] == "own"


def test_a_forecaster_that_decays_warns_and_then_alarms() -> None:
    levels = []
    site = Site(days=40, worse=1.1, worse_from=20)
    watch = new()
    for each in site.events():
        watched(watch, iter([each]))
        levels.append(watch.state.decay.level)
    changes = [level for at, level in enumerate(levels) if not at or level != levels[at - 1]]
    assert changes == ["ok", "warning", "alarm"]
    found = skill_of(watch)
    assert found.level == "alarm"
    assert "skill -0." in found.reason
    assert "threshold 4.07" in found.reason
    assert found.numbers["cusum"] >= 4


def test_a_forecaster_that_recovers_is_well_again_later() -> None:
    watch, site = new(), Site(days=60, worse=1.1, worse_from=20)
    levels = []
    for at, each in enumerate(site.events()):
        if at // 2 == 25 * STEPS_A_DAY:
            site.worse = 0.6
        watched(watch, iter([each]))
        levels.append(watch.state.decay.level)
    changes = [level for at, level in enumerate(levels) if not at or level != levels[at - 1]]
    assert changes == ["ok", "warning", "alarm", "warning", "ok"]


def test_a_restart_forgets_nothing() -> None:
    events = list(Site(days=20, worse=1.1, worse_from=16).events())
    whole = watched(new(), iter(events))
    half = len(events) // 2 + 1
    first = watched(new(), iter(events[:half]))
    second = new(first.dump())
    assert not second.is_recalled
    seen = events[:half]
    readings = [each for each in seen if not hasattr(each, "source")]
    forecasts = [each for each in seen if hasattr(each, "source")]
    second.recall(readings[-48:], forecasts[-80:])
    watched(second, iter(events[half:]))
    assert second.dump() == whole.dump()


def test_the_window_ends() -> None:
    watch = watched(new(), Site(days=20).events())
    assert len(watch.state.recent["hub"]) == WINDOW_DAYS
    window = watch.window("hub")
    assert window is not None
    assert sum(window.counts) <= (WINDOW_DAYS + 1) * STEPS_A_DAY * HORIZON
    assert watch.window("board") is None


def test_another_version_begins_a_test_of_its_own() -> None:
    watch = watched(new(), Site(days=20, worse=1.1, worse_from=14).events())
    assert watch.state.decay.version == 1
    before, last = watch.state.decay.total, watch.state.last_ms or 0
    after = Site(days=24, version=2).events()
    watched(watch, (each for each in after if each.time_ms > last))
    assert before > 0
    assert (watch.state.decay.version, watch.state.decay.total) == (2, 0.0)
    window = watch.window("hub")
    assert window is not None
    assert window.version == 2


def test_the_release_s_reference_is_used_from_the_first_day() -> None:
    watch = watched(new(expected=Expected(0.06, 0.1, -0.5, 0.1, 20, "release")), Site(days=6).events())
    assert watch.state.decay.judged == 5
    assert skill_of(watch).numbers["reference"] == "release"


def test_a_state_that_cannot_be_read_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    assert new('{"decay": 7}').state.last_ms is None
    assert "begins anew" in caplog.text


def test_boards_forecasts_are_judged_where_there_are_some() -> None:
    watch = watched(new(), Site(days=5).events())
    assert watch.judged == "hub"
    last = watch.state.last_ms or 0
    watched(watch, (each for each in Site(days=7, source="board").events() if each.time_ms > last))
    assert watch.judged == "board"


def test_a_day_of_which_too_little_was_seen_is_not_judged() -> None:
    decay, rest = Decay(1, "hub"), (CADENCE_MS, Expected(0.06, 0.1, -0.5, 0.1, 20, "release"), RULES.thresholds)
    bad = [50.0, 50.0]
    decay.close(DaySums(1, "hub", 1, [71.0, 71.0], bad, [10.0, 10.0]), *rest)
    assert (decay.judged, decay.total) == (0, 0.0)
    decay.close(DaySums(2, "hub", 1, [72.0, 72.0], bad, [10.0, 10.0]), *rest)
    assert (decay.judged, decay.level) == (1, "warning")


def test_a_warning_stays_until_half_of_what_brought_it() -> None:
    decay, rest = Decay(1, "hub"), (CADENCE_MS, Expected(0.06, 0.1, -0.5, 0.1, 20, "release"), RULES.thresholds)
    levels = []
    for day, error in enumerate((50.0, 8.7, 8.7, 8.7, 8.7, 8.7, 8.7)):
        decay.close(DaySums(day, "hub", 1, [144.0], [error], [14.4]), *rest)
        levels.append((decay.level, decay.total < RULES.thresholds.warning))
    assert ("warning", True) in levels
    assert levels[-1] == ("ok", True)
