"""What is a reason to train again, and what is none."""

from __future__ import annotations

import pytest

from deployers.hub.retraining import causes
from deployers.hub.settings import RetrainingSection
from deployers.hub.store.retrainings import Retraining, Stock
from tests.retraining import BEGIN_MS, DAY_MS, DECAYED, GAPS, STUCK, finding, found

STOCK = Stock(days=40, received_ms=BEGIN_MS, fresh=500)
LAST = Retraining(1, "a", "alarm", "", "", {}, BEGIN_MS, BEGIN_MS + DAY_MS, BEGIN_MS + 2 * DAY_MS, "done")


def wanted(**given: object) -> RetrainingSection:
    return RetrainingSection.model_validate({"on_alarm": False, **given})


def test_an_alarm_of_skill_is_one_with_its_numbers() -> None:
    cause = causes.of_findings(found(GAPS, DECAYED))
    assert cause is not None
    assert (cause.trigger, cause.reason) == ("alarm", "deficit 4.31, threshold 4.07")
    assert cause.key == f"skill of version 3 since {BEGIN_MS}"
    assert cause.numbers == {"test": "skill", "version": 3, "since_ms": BEGIN_MS, "number": 1.5}


@pytest.mark.parametrize(
    "other",
    [
        finding("skill", "skill", "warning"),
        finding("skill", "skill", "ok", None),
        finding("saturation", "model", "alarm"),
        STUCK,
        finding("drift", "data", "ok", BEGIN_MS - 100 * DAY_MS),
        finding("jitter", "data", "warning", BEGIN_MS - 100 * DAY_MS),
        finding("slump", "skill", "warning", BEGIN_MS - 100 * DAY_MS),
    ],
)
def test_other_findings_are_none(other: object) -> None:
    assert causes.of_findings(found(other)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("days", "is_cause"), [(0, False), (7, False), (13.99, False), (14, True), (60, True)])
def test_drift_is_one_after_two_weeks(days: float, is_cause: bool) -> None:
    drift = finding("drift", "data", "warning", BEGIN_MS - round(days * DAY_MS), "PSI 0.9")
    cause = causes.of_findings(found(drift))
    assert (cause is not None) == is_cause
    if cause is not None:
        assert (cause.trigger, cause.reason) == ("drift", f"PSI 0.9; for {days} days")
        assert cause.numbers["held_days"] == days


def test_alarms_are_looked_for_only_where_that_is_wanted() -> None:
    for is_wanted in (True, False):
        cause = causes.due(wanted(on_alarm=is_wanted), found(DECAYED), STOCK, None, BEGIN_MS)
        assert (cause is not None) == is_wanted


def test_so_many_readings_are_one() -> None:
    assert causes.due(wanted(new_readings=501), None, STOCK, LAST, BEGIN_MS) is None
    assert causes.due(wanted(new_readings=0), None, STOCK, LAST, BEGIN_MS) is None
    cause = causes.due(wanted(new_readings=500), None, STOCK, LAST, BEGIN_MS)
    assert cause is not None
    assert (cause.trigger, cause.numbers) == ("readings", {"readings": 500, "wanted": 500})


def test_a_schedule_counts_from_the_last_retraining_that_started() -> None:
    settings = wanted(every_days=30)
    due_ms = BEGIN_MS + 31 * DAY_MS
    assert causes.next_ms(settings, STOCK, LAST) == due_ms
    assert causes.due(settings, None, STOCK, LAST, due_ms - 1) is None
    cause = causes.due(settings, None, STOCK, LAST, due_ms)
    assert cause is not None
    assert (cause.trigger, cause.reason) == ("schedule", "30.0 days since the last retraining, every 30 days wanted")


def test_a_schedule_counts_from_the_first_reading_where_there_was_no_retraining() -> None:
    assert causes.next_ms(wanted(every_days=30), STOCK, None) == BEGIN_MS + 30 * DAY_MS
    assert causes.next_ms(wanted(every_days=30), None, None) is None
    assert causes.next_ms(wanted(), STOCK, LAST) is None


def test_an_alarm_goes_before_readings_and_these_before_the_schedule() -> None:
    settings, late = wanted(on_alarm=True, new_readings=1, every_days=1), BEGIN_MS + 100 * DAY_MS
    kinds = []
    for findings, stock in ((found(DECAYED), STOCK), (None, STOCK), (None, STOCK._replace(fresh=0))):
        cause = causes.due(settings, findings, stock, LAST, late)
        assert cause is not None
        kinds.append(cause.trigger)
    assert kinds == ["alarm", "readings", "schedule"]


def test_the_gravest_fault_of_a_sensor_is_named() -> None:
    assert causes.fault([DECAYED, GAPS, STUCK]) == STUCK
    assert causes.fault([DECAYED, GAPS]) == GAPS
    assert causes.fault([DECAYED, finding("gaps", "sensor", "ok")]) is None
