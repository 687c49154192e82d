"""The monitor on a real store: in order, once, across restarts, at a bounded cost."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from deployers.exceptions import NotFound, ServiceUnavailable
from deployers.hub.monitor import service
from deployers.hub.monitor.watch import Model, Watch
from deployers.hub.store import StoredReading
from deployers.protocol.messages import Reading
from tests.monitoring import CADENCE_MS, HORIZON, RULES, START_MS, STEPS_A_DAY, Site, watched

if TYPE_CHECKING:
    from tests.unit.deployers.hub.monitor.conftest import Field

pytestmark = pytest.mark.anyio
EVENTS_A_DAY = 2 * STEPS_A_DAY
FULL = ServiceUnavailable("disk full")


async def test_what_arrives_is_compared(field: Field) -> None:
    await field.arrive(Site(days=2).events())
    monitor = await field.monitor()
    (row,) = await monitor.devices()
    assert (row["series"], row["state"], row["source"], row["version"]) == ("board-1", "ok", "hub", 1)
    assert 0 < row["model"] < row["persistence"]
    assert row["skill"] == pytest.approx(1 - row["model"] / row["persistence"], abs=1e-3)
    found = await monitor.device("board-1")
    assert [step["step"] for step in found["steps"]["hub"]] == [1, 2, 3]
    assert [step["test"] for step in found["steps"]["hub"]] == [0.1, 0.12, 0.14]
    assert found["steps"]["board"] == []
    assert [day["count"] for day in found["days"]] == [3 * STEPS_A_DAY - 6, 3 * STEPS_A_DAY - 3]
    assert found["days"][0]["day"] == "2024-03-18"


async def test_a_series_that_nobody_has_seen_is_not_there(field: Field) -> None:
    monitor = await field.monitor()
    assert await monitor.devices() == []
    with pytest.raises(NotFound, match=r"'attic' is not watched, expected one of GET /monitor"):
        await monitor.device("attic")


async def test_a_restart_counts_nothing_twice_and_loses_nothing(field: Field) -> None:
    events = list(Site(days=3).events())
    for begin in range(0, len(events), 137):
        await field.arrive(events[begin : begin + 137])
        await field.monitor()
    days = await field.store.watch_days("board-1", 0)
    assert [sum(day.counts) for day in days] == [3 * STEPS_A_DAY - 6, 3 * STEPS_A_DAY, 3 * STEPS_A_DAY - 3]


async def test_what_could_not_be_kept_is_kept_later(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    events = list(Site(days=1).events())
    await field.arrive(events[:100])
    monitor = await field.monitor()
    await field.arrive(events[100:])

    async def full(_: Any) -> None:
        raise FULL

    with monkeypatch.context() as broken:
        broken.setattr(field.store, "remember", full)
        with pytest.raises(ServiceUnavailable):
            await monitor.turn()
    await monitor.turn()
    (day,) = await field.store.watch_days("board-1", 0)
    assert sum(day.counts) == HORIZON * STEPS_A_DAY - 9
    assert await (await field.monitor()).devices() == await monitor.devices()


async def test_a_version_that_is_not_installed_is_not_compared(field: Field) -> None:
    await field.arrive(Site(days=1, version=9).events())
    (row,) = await (await field.monitor()).devices()
    assert (row["state"], row["skill"]) == ("ok", None)


async def test_pages_that_are_cut_off_leave_the_order_of_arrival(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    events = list(Site(days=2).events())
    await field.arrive(events)
    monkeypatch.setattr(service, "LIMIT", 7)
    await field.monitor()
    whole = watched(Watch(RULES, lambda _: Model(CADENCE_MS)), iter(events))
    assert await field.store.watch_days("board-1", 0) == whole.take_changed()


async def test_a_monitor_that_is_switched_off_looks_at_nothing(field: Field) -> None:
    await field.arrive(islice(Site(days=1).events(), 20))
    assert await (await field.monitor(enabled=False)).devices() == []


@pytest.mark.parametrize("devices", [5, 500])
async def test_a_turn_costs_the_same_statements_however_many_devices_there_are(field: Field, devices: int) -> None:
    readings = [
        StoredReading(0, f"d-{at}", START_MS + step * CADENCE_MS, 20_000_000, START_MS)
        for step in range(2)
        for at in range(devices)
    ]
    kept = [(each.series, Reading(each.time_ms, each.microcelsius)) for each in readings]
    await field.store.keep(kept[:devices])
    monitor = await field.monitor()
    await field.store.keep(kept[devices:])
    statements = []
    database: Any = field.store._database  # noqa: SLF001
    for engine in (database._reading, database._writing):  # noqa: SLF001
        event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    more = await monitor.turn()
    assert more == (devices >= service.LIMIT)
    # Two reads; ids, two of states, three of the cursor and days, and what begins the transactions.
    assert len(statements) <= 12, statements
    assert len(await monitor.devices()) == devices


async def test_a_reading_costs_no_more_after_two_months_than_after_one(field: Field) -> None:
    """By then every test has its reference: skill after two weeks, drift after four."""
    events = list(Site(days=60).events())
    await field.arrive(events[: 3 * EVENTS_A_DAY])
    monitor = await field.monitor()
    watch = monitor._watches["board-1"]  # noqa: SLF001
    costs = []
    for each in events[3 * EVENTS_A_DAY :]:
        calls = 0

        def count(*_: Any) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(count)
        if isinstance(each, StoredReading):
            watch.reading(each)
        else:
            watch.forecast(each)
        sys.setprofile(None)
        costs.append(calls)
    month = 27 * EVENTS_A_DAY
    first, last = max(costs[month : month + EVENTS_A_DAY]), max(costs[-EVENTS_A_DAY:])
    assert last <= first * 1.1
    assert len(watch.dump()) < 20_000


async def test_every_series_is_seen_in_the_order_of_names(field: Field) -> None:
    for name in ("b", "a"):
        await field.arrive(islice(Site(days=1, series=name).events(), 20))
    assert [each.series for each in await (await field.monitor()).seen()] == ["a", "b"]
