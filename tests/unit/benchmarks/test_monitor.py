"""The monitor's benchmark: faults are what they say, a short run goes through, and what falls short is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks import monitor, monitor_subjects
from benchmarks.monitor_figures import costs, failures, healthy, table
from benchmarks.monitor_replay import FAULTY_DAYS, SETTLED_DAYS, Lived, cost, onsets, skill_of
from benchmarks.monitor_sites import (
    CADENCE_MS,
    CLOCK_MS,
    DAY_STEPS,
    FAULTS,
    LATER_HOURS,
    RESOLUTION,
    Readings,
    injected,
    measured,
    simulated,
)
from tests.reference import reference_csv

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.monitor_sites import Site

AT, COUNT = 5 * DAY_STEPS + 70, 2 * DAY_STEPS


@pytest.fixture(scope="module")
def site() -> Site:
    return simulated(3, 10)


def injected_at(site: Site, fault: str) -> tuple[Readings, Readings]:
    """With the fault and without it."""
    return injected(site, fault, AT, 1, COUNT), site.healthy.part(AT, AT + COUNT)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_the_same_each_time_and_changes_what_it_is_named_after(site: Site, fault: str) -> None:
    found, well = injected_at(site, fault)
    again, _ = injected_at(site, fault)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))
    assert np.array_equal(found.times, well.times) == (fault != "clock")
    assert np.array_equal(found.celsius, well.celsius) == (fault in {"none", "clock"})
    assert np.array_equal(found.received, well.received)


def test_each_fault_is_as_large_as_it_says(site: Site) -> None:
    apart = {fault: injected_at(site, fault)[0].celsius - injected_at(site, fault)[1].celsius for fault in FAULTS}
    well = injected_at(site, "none")[1]
    assert abs(apart["offset"]) == pytest.approx(1)
    assert apart["gain"] == pytest.approx(0.1 * well.celsius, abs=1.01 * RESOLUTION)
    assert np.ptp(injected_at(site, "stuck")[0].celsius) == 0
    assert apart["noise"].std() == pytest.approx(8**0.5 * site.spread, rel=0.1)
    hours = abs(injected_at(site, "clock")[0].times - well.times)
    assert set(hours.tolist()) == {CLOCK_MS}
    lagging, outdoor = injected_at(site, "lag")[0].celsius, site.elsewhere[AT : AT + COUNT]
    steps = range(8)
    off = [np.abs(lagging[8:] - well.celsius[8 - step : len(lagging) - step]).mean() for step in steps]
    assert int(np.argmin(off)) in {2, 3}, "half an hour, less for what changes fast"
    assert np.corrcoef(apart["moved"], outdoor - well.celsius)[0, 1] > 0.99
    assert abs(apart["schedule"][DAY_STEPS:]).max() > 0.5


def test_a_time_that_was_stored_before_a_clock_was_set_back_is_not_stored_again() -> None:
    site = measured(reference_csv(), 60)[0]
    by_seed = [injected(site, "clock", site.begin + 100, seed, DAY_STEPS) for seed in range(8)]
    back = [found for found in by_seed if found.times[0] < site.times[site.begin + 106]]
    assert 0 < len(back) < len(by_seed)
    assert {int(found.times[0]) for found in back} == {int(site.times[site.begin + 100])}
    assert {int(found.received[0] - found.times[0]) for found in back} == {CLOCK_MS + 1000}


def test_the_measured_day_moves_without_a_jump() -> None:
    site = measured(reference_csv(), 60)[1]
    at, back = site.begin + 1000, round(LATER_HOURS * 6)
    found = injected(site, "schedule", at, 1, DAY_STEPS).celsius
    assert found[0] == pytest.approx(site.air[at])
    assert np.diff(found) == pytest.approx(np.diff(site.air[at - back : at - back + DAY_STEPS]))


def test_faults_begin_once_every_test_has_its_reference_and_end_before_the_readings(site: Site) -> None:
    days = SETTLED_DAYS + FAULTY_DAYS + 2
    found = onsets(simulated(3, days), list(range(30)))
    assert found == sorted(found)
    assert {seed for _, seed in found} == set(range(30))
    assert SETTLED_DAYS * DAY_STEPS <= found[0][0] <= found[-1][0] < (days - FAULTY_DAYS) * DAY_STEPS
    assert len({at for at, _ in found}) > 20
    assert site.begin == 0


def test_live_skill_is_that_of_the_pairs_that_the_monitor_makes() -> None:
    times = np.array([0, 1, 2, 4]) * CADENCE_MS
    readings = Readings(times, np.array([20.0, 21.0, 23.0, 22.0]), times)
    made = np.array([[21.5, 22.5], [22.0, 0.0], [np.nan, np.nan], [0.0, 0.0]])
    assert skill_of(readings, made) == pytest.approx(1 - (0.5 + 0.5 + 1.0) / (1 + 3 + 2))
    assert skill_of(readings, made, 1) == pytest.approx(1 - (0.5 + 0.5) / (1 + 3))
    assert skill_of(Readings(times, np.full(4, 20.0), times), made) is None


@pytest.mark.parametrize(
    ("well", "faulty", "share"),
    [(0.5, 0.4, 0.2), (0.5, 0.5, 0), (0.5, -1, 3), (0.5, None, 1), (None, 0.1, 0), (-0.1, 0, 0)],
)
def test_what_a_fault_costs_is_a_share_of_the_skill(well: float | None, faulty: float | None, share: float) -> None:
    assert cost(well, faulty) == pytest.approx(share)


def found(hours: float | None, skill: float | None) -> dict[str, Any]:
    return {"hours": hours, "test": "skill", "level": "warning", "skill_day": skill, "skill_week": skill}


def device(*hours: float | None, skill: float = 0.2) -> Lived:
    faults = [
        {"seed": 1, "day": 40.0, "found": {"none": found(None, 0.5), "moved": found(each, skill)}} for each in hours
    ]
    return Lived("a", 200.0, 0.5, [(50.0, "warning", "skill"), (70.0, "alarm", "skill")], faults, [0.5, 0.4], "{}")


def test_what_is_found_within_a_day_is_counted_beside_what_it_costs() -> None:
    row = table([device(3.0, 23.9), device(25.0, None)])["moved"]
    assert (row["cases"], row["found_day"], row["found_week"], row["median_hours"]) == (4, 0.5, 0.75, 23.9)
    assert row["cost_week"] == pytest.approx(0.6)
    assert (row["costly"], row["costly_found_day"], row["tests"]) == (4, 0.5, {"skill": 2})
    late = {"device": "a", "day": 40.0, "fault": "moved", "hours": 25.0}
    lived = [device(3.0, 25.0), device(None, skill=0.45)]
    assert costs(lived) == costs(lived, "day") == {"cases": 2, "found_day": 0.5, "missed": [late]}
    lived[0].faults[1]["found"]["moved"]["skill_day"] = 0.45
    assert costs(lived)["cases"] == 2
    assert costs(lived, "day") == {"cases": 1, "found_day": 1.0, "missed": []}


def test_false_ones_are_counted_for_thirty_days_of_a_device() -> None:
    row = healthy([device(), device()])
    assert (row["days"], row["raised"], row["alarms"], row["most"]) == (400, 0.3, 0.15, 0.3)
    assert (row["spring_raised"], row["spring_alarms"]) == (0.25, 0.25)
    assert row["by_test"] == {"skill warning": 2, "skill alarm": 2}


def figures(**changed: Any) -> dict[str, Any]:
    lived = [device(*[1.0] * 20)]
    whole = {
        "healthy": {"simulated": {**healthy(lived), "raised": 1.0, "spring_alarms": 0.0}},
        "faults": {"simulated": table(lived)},
        "costly": costs(lived),
        "watching": {"share": 0.1, "seen": 5, "devices": 5},
    }
    for name, value in changed.items():
        part, key = name.split("__")
        where = whole[part] if part in {"watching", "costly"} else whole[part]["simulated"]
        where = where["moved"] if part == "faults" else where
        where[key] = value
    return whole


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"healthy__raised": 1.01}, ["simulated: raised 1.01 in 30 days of a device, must be at most 1"]),
        ({"healthy__spring_alarms": 1.5}, ["simulated: spring_alarms 1.50 in 30 days of a device, must be at most 1"]),
        ({"faults__found_day": 0.94}, ["simulated: moved costs 60% of skill, 94% found within 24 hours, must be 95%"]),
        ({"faults__found_day": 0.1, "faults__cost_week": 0.19}, []),
        ({"costly__found_day": 0.94}, ["94% of all that cost 20% found within 24 hours, must be 95%"]),
        ({"costly__found_day": None}, []),
        ({"watching__share": 0.11}, ["watching takes 11.0% of a core, must be at most 10%"]),
        ({"watching__seen": 4}, ["4 of 5 devices were watched, must be all"]),
    ],
)
def test_what_falls_short_is_named(changed: dict[str, Any], said: list[str]) -> None:
    assert failures(figures(**changed)) == said


def test_a_short_run_measures_everything_and_goes_on_where_it_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(monitor, "TARGET", tmp_path / "bench" / "monitor.json")
    monkeypatch.setattr(monitor, "YEAR", 40)
    monkeypatch.setattr(monitor_subjects, "UPDATES", 20)
    asked = ["--seeds", "1", "--days", "46", "--devices", "4", "--hours", "0.5", "--source", str(tmp_path / "none")]
    code = monitor.main(asked)
    whole = json.loads((tmp_path / "bench" / "monitor.json").read_text())
    assert code == (1 if whole["failed"] else 0)
    assert set(whole["faults"]["simulated"]) == set(FAULTS)
    assert whole["faults"]["simulated"]["clock"]["found_day"] == 1
    assert whole["watching"]["seen"] == 4
    assert "Faults of simulated sensors" in capsys.readouterr().out
    monkeypatch.setattr(monitor, "live", lambda *_: pytest.fail("it was measured before"))
    monitor.main(asked)
    again = json.loads((tmp_path / "bench" / "monitor.json").read_text())
    assert again["faults"] == whole["faults"]


def test_less_than_a_step_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        monitor.main(["--hours", "0.1"])
    assert "--hours 0.1 is less than a step, expected 0.17 or more" in capsys.readouterr().err
