"""Whatever asks in whatever order, and whenever the hub is killed: no two run at once, and the budget holds."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deployers.exceptions import Conflict
from deployers.hub.retraining.ledger import WEEK_MS, Limits
from deployers.hub.store.retrainings import OPEN, Retraining
from tests.retraining import STUCK, Book

SERIES = st.sampled_from("abc")
FAULT = st.sampled_from([None, None, STUCK])
STEPS = st.one_of(
    st.tuples(st.just("ask"), SERIES, st.sampled_from(["alarm", "drift", "readings", "schedule"]), FAULT),
    st.tuples(st.just("person"), SERIES, st.booleans(), FAULT),
    st.tuples(st.just("wait"), st.floats(0.1, 100)),
    st.tuples(st.just("claim"), FAULT),
    st.tuples(st.just("end"), st.sampled_from(["done", "failed"])),
    st.tuples(st.just("kill")),
)


def step(book: Book, what: str, *given_: Any) -> None:
    if what == "ask":
        series, trigger, fault = given_
        book.ask(series, trigger, key=trigger if trigger == "alarm" else "", fault=fault)
    elif what == "person":
        series, force, fault = given_
        try:
            book.ask(series, "person", fault=fault, force=force)
        except Conflict:
            return
    elif what == "wait":
        book.wait(*given_)
    elif what == "claim":
        (fault,) = given_
        book.claim(**({"a": fault} if fault else {}))
    elif what == "end":
        running = book.past().running
        if running is not None:
            book.end(running.id, *given_)
    else:
        book.lose()


@given(steps=st.lists(STEPS, max_size=60), per_week=st.integers(0, 3), cooldown=st.sampled_from([0.0, 24.0]))
def test_no_sequence_runs_two_at_once_or_exceeds_the_budget(
    steps: list[tuple[Any, ...]], per_week: int, cooldown: float
) -> None:
    book = Book(Limits(round(cooldown * 3_600_000), per_week, 0), a=1, b=1, c=1)
    for each in steps:
        step(book, *each)
        rows = book.rows()
        assert sum(row.state == "running" for row in rows) <= 1
        assert all(count == 1 for count in Counter(row.series for row in rows if row.state in OPEN).values())
    started = sorted((row for row in book.rows() if row.started_ms is not None), key=lambda row: row.started_ms or 0)
    for at, row in enumerate(started):
        check(row, started[:at], per_week, book.limits.cooldown_ms)


def check(row: Retraining, before: list[Retraining], per_week: int, cooldown_ms: int) -> None:
    """One that started, beside those that started before it."""
    start = row.started_ms or 0
    for other in before:
        assert other.ended_ms is not None
        assert other.ended_ms <= start, "it ran at the same time"
    if row.trigger == "person":
        return
    assert sum(start - (other.started_ms or 0) < WEEK_MS for other in before) < per_week
    own = [other.ended_ms or 0 for other in before if other.series == row.series]
    assert not own or row.asked_ms >= max(own) + cooldown_ms
