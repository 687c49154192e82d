"""What people are told: trouble first, and a faulty sensor before what it spoils."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pytest

from deployers.hub.monitor import told
from deployers.hub.monitor.levels import Finding, Level, Part
from deployers.hub.monitor.skill import Expected
from deployers.hub.monitor.watch import Model, Watch
from deployers.hub.store import StoredReading
from tests.monitoring import CADENCE_MS, RULES, STEPS_A_DAY, Site, watched


def finding(test: str, part: Part, level: Level) -> Finding:
    return Finding(test, part, level, 5, f"{test} is {level}")


@pytest.mark.parametrize(
    ("findings", "level", "named"),
    [
        ([finding("stuck", "sensor", "ok"), finding("skill", "skill", "ok")], "ok", None),
        ([finding("stuck", "sensor", "ok"), finding("skill", "skill", "alarm")], "alarm", "skill"),
        ([finding("stuck", "sensor", "warning"), finding("skill", "skill", "alarm")], "warning", "stuck"),
        ([finding("skill", "skill", "warning"), finding("agreement", "model", "warning")], "warning", "agreement"),
        ([finding("gaps", "sensor", "warning"), finding("agreement", "model", "alarm")], "alarm", "agreement"),
        ([finding("gaps", "sensor", "warning"), finding("drift", "data", "warning")], "warning", "gaps"),
    ],
)
def test_a_series_is_as_bad_as_its_worst_test_but_for_what_a_sensor_spoils(
    findings: list[Finding], level: str, named: str | None
) -> None:
    found, cause = told.standing(findings)
    assert found == level
    assert (cause.test if cause is not None else None) == named


def test_a_fault_of_the_sensor_masks_a_decay_and_its_days_are_not_judged() -> None:
    site = Site(days=40, worse=1.2, worse_from=25)
    celsius = site.celsius()
    watch = Watch(RULES, lambda _: Model(CADENCE_MS))
    events = list(site.events(celsius))
    half = 32 * STEPS_A_DAY * 2
    watched(watch, iter(events[:half]))
    now = watch.state.last_ms or 0
    before = watch.state.decay.judged
    assert told.row("a", watch, now)["test"] == "skill"
    wire_off = (
        replace(each, microcelsius=-127_000_000) if isinstance(each, StoredReading) else each
        for each in events[half : half + 4 * STEPS_A_DAY]
    )
    watched(watch, wire_off)
    row = told.row("a", watch, watch.state.last_ms or 0)
    assert (row["state"], row["test"], row["part"]) == ("alarm", "range", "sensor")
    assert row["reason"] == "-127.0 °C, expected -40 to 85 °C"
    assert watch.state.decay.level == "alarm", "it is kept, for when the sensor measures again"
    assert watch.state.decay.judged == before + 1, "of the day that had ended well"
    shown = told.detail("a", watch, watch.take_changed(), 0, None)
    assert {each["test"]: each["is_masked"] for each in shown["findings"]} == {
        "range": False, "stuck": False, "gaps": False, "clock": False, "agreement": False, "saturation": False,
        "state": False, "silence": False,
        "skill": True, "slump": True, "drift": True, "jitter": True, "jump": True,
    }  # fmt: skip
    assert [day["is_masked"] for day in shown["days"]][-2:] == [True, True]


def test_rows_are_told_with_trouble_first() -> None:
    rows = [{"state": "ok", "series": "a"}, {"state": "warning", "series": "c"}, {"state": "alarm", "series": "z"}]
    rows.append({"state": "warning", "series": "b"})
    assert [row["series"] for row in sorted(rows, key=told.order)] == ["z", "b", "c", "a"]


def test_of_a_series_without_forecasts_nothing_is_claimed() -> None:
    watch = Watch(RULES, lambda _: None)
    watched(watch, (each for each in Site(days=2).events() if isinstance(each, StoredReading)))
    row = told.row("a", watch, (watch.state.last_ms or 0) + 10**9)
    assert (row["state"], row["skill"], row["version"], row["skill_expected"]) == ("ok", None, None, None)
    shown = told.detail("a", watch, [], 0, None)
    assert shown["steps"] == {"board": [], "hub": [], "shadow": []}
    assert next(each for each in shown["findings"] if each["test"] == "skill")["reason"] == (
        "no complete day with forecasts yet"
    )


def test_who_follows_every_test_is_not_shown_what_a_faulty_sensor_spoils() -> None:
    site = Site(days=40, worse=1.2, worse_from=20)
    watch = watched(Watch(RULES, lambda _: Model(CADENCE_MS)), site.events())
    now = (watch.state.last_ms or 0) + 1000
    found = told.seen("board-1", watch, now)
    assert (found.series, found.row) == ("board-1", told.row("board-1", watch, now))
    assert {each.test: each.level for each in found.findings}["skill"] == "alarm"
    assert found.heard_ms == watch.state.last_ms
    assert found.celsius == pytest.approx(site.celsius()[-1], abs=1e-6)
    later = [now - 1000 + step * CADENCE_MS for step in range(1, 300)]
    watched(watch, iter([StoredReading(0, "board-1", time_ms, 20_000_000, time_ms + 1000) for time_ms in later]))
    tests = {each.test: each.level for each in told.seen("board-1", watch, later[-1] + 2000).findings}
    assert tests["stuck"] != "ok"
    assert "skill" not in tests


def test_a_series_without_readings_has_none() -> None:
    found = told.seen("board-1", Watch(RULES, lambda _: None), 1)
    assert (found.heard_ms, found.celsius, found.row["state"]) == (None, None, "ok")


def later(site: Site, days: int) -> chain[object]:
    """Its events, some days later."""
    apart = days * STEPS_A_DAY * CADENCE_MS
    return chain(
        replace(each, time_ms=each.time_ms + apart, received_ms=each.received_ms + apart) for each in site.events()
    )


def test_what_is_told_of_a_version_is_of_that_version_alone() -> None:
    release = Expected(0.06, 0.1, 0.0, 0.2, 30, "release")
    models = {1: Model(CADENCE_MS), 2: Model(CADENCE_MS, release)}
    watch = watched(Watch(RULES, models.get), Site(days=20, share=1.5).events())
    row = told.row("a", watch, watch.state.last_ms or 0)
    assert (row["version"], row["reference"], row["pairs"]) == (1, "own", 3 * 8 * STEPS_A_DAY - 3)
    watched(watch, later(Site(days=1, version=2, share=0.5), 20))
    row = told.row("a", watch, watch.state.last_ms or 0)
    assert (row["version"], row["reference"], row["skill_expected"]) == (2, "release", 0.4)
    assert row["pairs"] == 3 * STEPS_A_DAY - 9
    assert row["skill"] > 0.3, "not that of the version before"


def test_of_another_version_without_a_reference_nothing_is_expected_yet() -> None:
    watch = watched(Watch(RULES, lambda _: Model(CADENCE_MS)), Site(days=20).events())
    watched(watch, later(Site(days=1, version=2), 20))
    assert told.row("a", watch, watch.state.last_ms or 0)["skill_expected"] is None


def test_faults_of_a_model_end_with_its_version() -> None:
    limits = (-0.001, 0.001)
    models = {1: Model(CADENCE_MS, limits=limits), 2: Model(CADENCE_MS, limits=(-9, 9))}
    watch = watched(Watch(RULES, models.get), Site(days=3).events())
    assert told.row("a", watch, watch.state.last_ms or 0)["test"] == "saturation"
    watched(watch, chain.from_iterable([list(later(Site(days=1, version=2), 3))[:6]]))
    assert told.row("a", watch, watch.state.last_ms or 0)["state"] == "ok"
