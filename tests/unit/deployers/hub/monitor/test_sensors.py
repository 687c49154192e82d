"""Each fault of a sensor is found and named, and a healthy one raises nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployers.hub.monitor.sensors import DAY_MS, HOUR_MS, MINUTE_MS, Limits, Sensor
from deployers.hub.store import StoredReading
from tests.monitoring import CADENCE_MS, START_MS, STEPS_A_DAY, Site

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMITS = Limits(-40, 85)


def readings(site: Site) -> list[StoredReading]:
    return [each for each in site.events() if isinstance(each, StoredReading)]


def given_to(sensor: Sensor, found: Iterable[StoredReading], seen: set[tuple[str, str]] | None = None) -> Sensor:
    """Give them to a sensor's tests, and note every state that was not ok."""
    for each in found:
        sensor.reading(each, CADENCE_MS, LIMITS)
        if seen is not None and sensor.is_at_fault:
            seen.update((f.test, f.level) for f in sensor.findings(LIMITS, CADENCE_MS, 0, 0) if f.level != "ok")
    return sensor


def levels(sensor: Sensor, now_ms: int = 0, begun_ms: int = 0) -> dict[str, str]:
    return {each.test: each.level for each in sensor.findings(LIMITS, CADENCE_MS, now_ms, begun_ms)}


WELL = {"stuck": "ok", "range": "ok", "gaps": "ok", "clock": "ok"}


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1_000, 62_500, 250_000]))
def test_a_healthy_sensor_raises_nothing_however_coarse_it_is(seed: int, resolution: int) -> None:
    seen: set[tuple[str, str]] = set()
    coarse = (
        replace(each, microcelsius=each.microcelsius // resolution * resolution)
        for each in readings(Site(days=20, seed=seed))
    )
    assert levels(given_to(Sensor(), coarse, seen)) == WELL
    assert seen == set()


def test_a_cold_snap_raises_nothing() -> None:
    site = Site(days=20)
    celsius = site.celsius()
    celsius[15 * STEPS_A_DAY :] -= np.minimum(12, np.arange(5 * STEPS_A_DAY) / 12)
    seen: set[tuple[str, str]] = set()
    given_to(Sensor(), (each for each in site.events(celsius) if isinstance(each, StoredReading)), seen)
    assert seen == set()


@pytest.mark.parametrize(("days", "hours"), [(5, 24), (20, 6)])
def test_a_stuck_sensor_is_named_sooner_once_it_is_known(days: int, hours: float) -> None:
    found = readings(Site(days=days + 3))
    at = days * STEPS_A_DAY
    sensor = given_to(Sensor(), found[:at])
    stuck = [replace(each, microcelsius=found[at].microcelsius) for each in found[at:]]
    steps = round(hours * 6)
    given_to(sensor, stuck[:steps])
    assert levels(sensor) == WELL
    given_to(sensor, stuck[steps : steps + 1])
    assert levels(sensor) == {**WELL, "stuck": "warning"}
    given_to(sensor, stuck[steps + 1 : 2 * steps + 1])
    finding = sensor.stuck.finding()
    assert finding.level == "alarm"
    assert finding.reason.startswith(f"stuck at {found[at].celsius:g} °C for {2 * steps + 1} readings")


def test_a_stuck_sensor_that_moves_again_is_well_after_some_readings() -> None:
    found = readings(Site(days=25))
    at = 20 * STEPS_A_DAY
    sensor = given_to(Sensor(), found[:at])
    given_to(sensor, (replace(each, microcelsius=20_000_000) for each in found[at : at + 80]))
    assert levels(sensor)["stuck"] == "alarm"
    given_to(sensor, found[at + 80 : at + 85])
    assert levels(sensor)["stuck"] == "alarm"
    given_to(sensor, found[at + 85 : at + 86])
    assert levels(sensor)["stuck"] == "ok"
    assert sensor.stuck.longest_ms < 2 * HOUR_MS, "a fault is nothing to learn from"


def test_one_value_out_of_range_warns_and_three_alarm() -> None:
    found = readings(Site(days=1))
    sensor = given_to(Sensor(), found[:10])
    bad = [replace(each, microcelsius=-127_000_000) for each in found[10:13]]
    given_to(sensor, bad[:1])
    (finding,) = [each for each in sensor.findings(LIMITS, CADENCE_MS, 0, 0) if each.level != "ok"]
    assert (finding.test, finding.level, finding.reason) == ("range", "warning", "-127.0 °C, expected -40 to 85 °C")
    assert finding.since_ms == bad[0].time_ms
    given_to(sensor, bad[1:])
    assert levels(sensor)["range"] == "alarm"
    given_to(sensor, found[13:18])
    assert levels(sensor)["range"] == "alarm"
    given_to(sensor, found[18:19])
    assert levels(sensor)["range"] == "ok"


@pytest.mark.parametrize(("share", "expected"), [(0.03, "ok"), (0.2, "warning"), (0.6, "alarm")])
def test_readings_that_lack_are_a_share_of_the_day(share: float, expected: str) -> None:
    random = np.random.default_rng(4)
    kept = [each for each in readings(Site(days=5)) if random.random() > share]
    sensor = given_to(Sensor(), kept)
    assert levels(sensor) == {**WELL, "gaps": expected}


def test_a_gap_of_hours_is_named_and_ends() -> None:
    found = readings(Site(days=6))
    sensor = given_to(Sensor(), found[:300])
    given_to(sensor, found[300 + 60 : 300 + 61])
    (finding,) = [each for each in sensor.findings(LIMITS, CADENCE_MS, 0, 0) if each.level != "ok"]
    assert (finding.test, finding.level, finding.reason) == ("gaps", "alarm", "42% of the last day's readings lack")
    given_to(sensor, found[361:])
    assert levels(sensor) == WELL


def test_silence_is_told_by_the_hubs_clock_and_not_from_before_it_looked() -> None:
    found = readings(Site(days=1))
    sensor = given_to(Sensor(), found)
    last = found[-1].received_ms
    assert levels(sensor, last + 29 * MINUTE_MS) == WELL
    assert levels(sensor, last + 40 * MINUTE_MS)["gaps"] == "warning"
    assert levels(sensor, last + DAY_MS)["gaps"] == "alarm"
    assert levels(sensor, last + DAY_MS, begun_ms=last + DAY_MS - MINUTE_MS) == WELL
    gaps = sensor.gaps.finding(0, last + DAY_MS, 0)
    assert gaps.level == "ok", "of a series without a cadence nothing is awaited"


def shifted(found: Iterable[StoredReading], by_ms: int) -> list[StoredReading]:
    return [replace(each, time_ms=each.time_ms + by_ms) for each in found]


@pytest.mark.parametrize(
    ("by_ms", "expected", "reason"),
    [
        (60 * MINUTE_MS, "alarm", "clock 60 minutes ahead of where it was"),
        (20 * MINUTE_MS, "warning", "clock 20 minutes ahead of where it was"),
        (-60 * MINUTE_MS, "warning", "time went back by 50 minutes"),
    ],
)
def test_a_clock_that_is_shifted_is_named_within_the_hour(by_ms: int, expected: str, reason: str) -> None:
    found = readings(Site(days=6))
    at = 4 * STEPS_A_DAY + 70
    sensor = given_to(Sensor(), found[:at])
    assert levels(sensor) == WELL
    given_to(sensor, shifted(found[at : at + 3], by_ms))
    finding = sensor.clock.finding()
    assert (finding.level, finding.reason) == (expected, reason)


def test_a_clock_that_was_set_back_is_off_the_next_days_too() -> None:
    found = readings(Site(days=8))
    at = 4 * STEPS_A_DAY + 70
    sensor = given_to(Sensor(), [*found[:at], *shifted(found[at : at + 2 * STEPS_A_DAY], -60 * MINUTE_MS)])
    assert sensor.clock.finding().reason == "clock 48 minutes behind of where it was", "the usual delay follows slowly"


def test_a_clock_that_runs_away_is_named() -> None:
    found = readings(Site(days=8))
    fast = [replace(each, time_ms=each.time_ms + (each.time_ms - START_MS) // 96) for each in found]  # 15 min a day
    sensor = given_to(Sensor(), fast)
    finding = sensor.clock.finding()
    assert finding.level in {"warning", "alarm"}
    assert "ahead" in finding.reason


def test_readings_that_waited_on_a_board_or_come_from_a_file_are_no_fault_of_the_clock() -> None:
    found = readings(Site(days=8))
    waited = [
        replace(each, received_ms=found[700].received_ms) if 600 <= at < 700 else each for at, each in enumerate(found)
    ]
    imported = [replace(each, received_ms=found[-1].received_ms) for each in found]
    at_speed = [replace(each, received_ms=START_MS + (each.time_ms - START_MS) // 600) for each in found]
    local = [replace(each, time_ms=each.time_ms + 2 * HOUR_MS) for each in found]
    for each in (waited, imported, at_speed, local):
        seen: set[tuple[str, str]] = set()
        assert levels(given_to(Sensor(), each, seen)) == WELL
        assert not seen


def test_a_reading_that_comes_late_counts_once_and_is_forgotten() -> None:
    found = readings(Site(days=4))
    late = found.pop(300)
    sensor = given_to(Sensor(), [*found[:310], replace(late, received_ms=found[309].received_ms)])
    assert levels(sensor)["clock"] == "warning"
    given_to(sensor, found[310:])
    assert levels(sensor) == WELL
