"""Each rule of what is allowed when."""

from __future__ import annotations

import re

import pytest

from deployers.exceptions import Conflict, NotFound
from deployers.hub.retraining.ledger import LOST, Limits
from tests.retraining import BEGIN_MS, DAY_MS, GAPS, HOUR_MS, STUCK, Book

CHALLENGER = {"model": "m", "version": "4"}


def test_a_request_waits_runs_and_is_done() -> None:
    book = Book(a=40)
    asked = book.ask()
    assert asked is not None
    assert (asked.state, asked.asked_ms, asked.started_ms, asked.reading_id) == ("waiting", BEGIN_MS, None, None)
    book.wait(1)
    claimed = book.claim()
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.started_ms, claimed.reading_id) == (
        asked.id,
        "running",
        BEGIN_MS + HOUR_MS,
        40,
    )
    book.end(claimed.id, challenger=CHALLENGER)
    (row,) = book.rows()
    assert (row.state, row.ended_ms, row.challenger) == ("done", BEGIN_MS + HOUR_MS, CHALLENGER)


def test_the_same_series_cools_down_and_another_does_not() -> None:
    book = Book(a=40, b=40)
    assert book.once()
    book.wait(23.9)
    assert book.ask() is None
    assert book.once("b")
    book.wait(0.2)
    assert book.once()


def test_the_cool_down_begins_when_a_retraining_ends() -> None:
    book = Book(a=40)
    book.ask()
    claimed = book.claim()
    assert claimed is not None
    book.wait(10)
    book.end(claimed.id)
    book.wait(23)
    assert book.ask() is None
    book.wait(1)
    assert book.ask()


def test_a_failure_cools_down_too() -> None:
    book = Book(a=40)
    book.ask()
    claimed = book.claim()
    assert claimed is not None
    book.end(claimed.id, "failed")
    book.wait(23)
    assert book.ask() is None


def test_a_person_is_held_by_the_cool_down_but_not_with_force() -> None:
    book = Book(a=40)
    book.once()
    with pytest.raises(Conflict, match=r"'a' cools down for 24\.0 h more.*ask with force"):
        book.ask(trigger="person")
    assert book.once(trigger="person", force=True)


def test_the_budget_is_of_any_seven_days() -> None:
    book = Book(a=40, b=40, c=40, d=40)
    assert book.once("a")
    book.wait(48)
    assert book.once("b")
    assert book.once("c")
    assert book.ask("d") is None
    assert book.past().free_ms(book.now_ms, 3) == BEGIN_MS + 7 * DAY_MS
    book.wait(5 * 24 - 0.01)
    assert book.ask("d") is None
    book.wait(0.02)
    assert book.once("d"), "the first was seven days ago"
    assert book.ask("a") is None, "and those of two days later were not"
    book.wait(48)
    assert book.once("a")


def test_a_person_is_not_held_by_the_budget_but_counts_in_it() -> None:
    book = Book(a=40, b=40, c=40, d=40)
    assert book.once("a")
    assert book.once("b")
    assert book.once("c", "person")
    assert book.ask("d") is None
    assert book.once("d", "person")


def test_with_no_budget_nothing_is_automatic() -> None:
    book = Book(Limits(0, 0, 0), a=40)
    assert book.ask() is None
    assert book.past().free_ms(book.now_ms, 0) is None
    assert book.once(trigger="person")


def test_what_waits_has_its_place_in_the_budget() -> None:
    book = Book(a=40, b=40, c=40, d=40)
    assert book.ask("a")
    assert book.ask("b")
    assert book.ask("c")
    assert book.ask("d") is None


def test_one_runs_and_others_wait_in_their_order() -> None:
    book = Book(a=40, b=40, c=40)
    book.ask("c")
    first = book.claim()
    book.ask("b")
    book.ask("a")
    assert first is not None
    assert book.claim() is None
    assert [row.state for row in book.rows()] == ["running", "waiting", "waiting"]
    book.end(first.id)
    second = book.claim()
    assert second is not None
    assert second.series == "b"


@pytest.mark.parametrize("is_running", [True, False])
def test_one_request_a_series_is_open(is_running: bool) -> None:
    book = Book(a=40)
    book.ask()
    if is_running:
        book.claim()
    assert book.ask() is None
    state = "running" if is_running else "waiting"
    with pytest.raises(Conflict, match=f"retraining 1 of 'a' is {state} already"):
        book.ask(trigger="person", force=True)
    assert len(book.rows()) == 1


def test_a_faulty_sensor_refuses_an_alarm_and_is_named() -> None:
    book = Book(a=40)
    refused = book.ask(key="skill since 7", fault=STUCK)
    assert refused is not None
    assert (refused.state, refused.started_ms, refused.ended_ms) == ("refused", None, BEGIN_MS)
    assert refused.answer == {
        "challenger": None,
        "reason": "the sensor of 'a' is at fault, test 'stuck' is alarm: stuck at 21.5 °C for 300 readings",
        "sensor": "a",
        "test": "stuck",
        "level": "alarm",
        "since_ms": BEGIN_MS,
    }
    assert book.claim() is None
    assert book.past().used(book.now_ms) == []


def test_a_refusal_is_kept_once_for_each_alarm_and_fault() -> None:
    book = Book(a=40)
    for _ in range(3):
        book.ask(key="skill since 7", fault=STUCK)
    assert len(book.rows()) == 1
    assert book.ask(key="skill since 7", fault=GAPS)
    assert book.ask(key="skill since 8", fault=GAPS)
    assert book.ask("a", "schedule", fault=GAPS)
    assert book.ask("a", "schedule", fault=GAPS) is None
    assert len(book.rows()) == 4


def test_a_refusal_is_kept_though_the_budget_is_used_and_it_cools_down() -> None:
    book = Book(Limits(DAY_MS, 1, 0), a=40)
    book.once()
    refused = book.ask(key="skill since 7", fault=STUCK)
    assert refused is not None
    assert refused.state == "refused"


def test_an_alarm_is_taken_once_the_sensor_is_well_again() -> None:
    book = Book(a=40)
    book.ask(key="skill since 7", fault=STUCK)
    asked = book.ask(key="skill since 7")
    assert asked is not None
    assert asked.state == "waiting"


def test_a_person_is_told_of_a_faulty_sensor_and_may_force_it() -> None:
    book = Book(a=40)
    with pytest.raises(Conflict, match=re.escape("the sensor of 'a' is at fault, test 'gaps' is warning: 12 %")):
        book.ask(trigger="person", fault=GAPS)
    assert book.rows() == [], "who is told needs no note"
    assert book.once(trigger="person", fault=GAPS, force=True)


def test_a_sensor_that_fails_while_its_request_waits_refuses_it_and_the_next_runs() -> None:
    book = Book(a=40, b=40)
    book.ask("a")
    book.ask("b")
    claimed = book.claim(a=STUCK)
    assert claimed is not None
    assert claimed.series == "b"
    refused = book.rows()[0]
    assert refused.state == "refused"
    assert refused.answer is not None
    assert "'stuck'" in refused.answer["reason"]


def test_a_budget_that_a_person_used_meanwhile_refuses_what_waits() -> None:
    book = Book(Limits(0, 1, 0), a=40, b=40)
    book.ask("b")
    first = book.claim()
    assert first is not None
    book.end(first.id)
    book.wait(8 * 24)
    book.ask("a", "person")
    book.ask("b")  # not taken: the person's has the place
    assert [row.state for row in book.rows()] == ["done", "waiting"]
    book.limits = Limits(0, 2, 0)
    assert book.ask("b")
    book.limits = Limits(0, 1, 0)
    person = book.claim()
    assert person is not None
    book.end(person.id)
    assert book.claim() is None
    refused = book.rows()[-1]
    assert refused.state == "refused"
    assert refused.answer is not None
    assert "1 of 1 retrainings of the week are used" in refused.answer["reason"]


def test_a_persons_request_that_waits_is_not_judged_again() -> None:
    book = Book(Limits(0, 0, 0), a=40)
    book.ask(trigger="person")
    claimed = book.claim(a=STUCK)
    assert claimed is not None
    assert claimed.state == "running"


def test_an_alarm_that_has_a_challenger_asks_for_no_other() -> None:
    book = Book(a=40)
    book.ask(key="skill since 7")
    claimed = book.claim()
    assert claimed is not None
    book.end(claimed.id, challenger=CHALLENGER)
    book.wait(100)
    assert book.ask(key="skill since 7") is None
    assert book.ask(key="skill since 7", fault=STUCK) is None, "nothing would have run"
    assert book.once(key="skill since 9")


def test_an_alarm_that_led_to_none_asks_again_after_the_cool_down() -> None:
    book = Book(a=40)
    book.once(key="skill since 7")
    book.wait(25)
    assert book.once(key="skill since 7")


def test_a_schedule_is_never_answered_for_good() -> None:
    book = Book(a=40)
    book.ask(trigger="schedule")
    claimed = book.claim()
    assert claimed is not None
    book.end(claimed.id, challenger=CHALLENGER)
    book.wait(25)
    assert book.ask(trigger="schedule")


def test_a_series_needs_readings_of_so_many_days() -> None:
    book = Book(a=27)
    assert book.ask() is None
    with pytest.raises(Conflict, match=r"'a' has readings of 27 days, 28 are wanted \(least_days\)"):
        book.ask(trigger="person", force=True)
    book.read("a", 1, first=27)
    assert book.ask()


def test_a_series_without_readings_is_not_found() -> None:
    book = Book(Limits(0, 3, 0), a=0)
    for series in ("a", "attic"):
        with pytest.raises(NotFound, match=f"'{series}' has no readings here"):
            book.ask(series, "person")


def test_a_hub_that_was_killed_finds_it_failed_counts_it_and_goes_on() -> None:
    book = Book(Limits(DAY_MS, 2, 0), a=40, b=40, c=40)
    book.ask("a")
    book.claim()
    book.ask("b")
    book.wait(1)
    book.lose()
    lost, waiting = book.rows()
    assert (lost.state, lost.ended_ms, lost.answer) == (
        "failed",
        BEGIN_MS + HOUR_MS,
        {"challenger": None, "reason": LOST},
    )
    assert waiting.state == "waiting"
    claimed = book.claim()
    assert claimed is not None
    assert claimed.series == "b"
    assert book.ask("c") is None, "both count in the budget"


def test_a_clock_that_went_back_forgets_no_retraining() -> None:
    book = Book(Limits(0, 1, 0), a=40, b=40)
    book.once()
    book.wait(-20 * 24)
    assert book.ask("b") is None
