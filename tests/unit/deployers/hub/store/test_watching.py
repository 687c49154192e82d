"""What the monitor reads and keeps, on both databases."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from deployers.hub.store import Store, StoredForecast
from deployers.hub.store.watching import DAYS_KEPT, Cursor, DaySums, Remembered
from deployers.protocol.messages import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    Use = Callable[[Store], Coroutine[Any, Any, None]]


def used(url: str, use: Use) -> None:
    async def run() -> None:
        async with Store(url) as store:
            await use(store)

    asyncio.run(run())


def forecast(series: str, time_ms: int) -> StoredForecast:
    return StoredForecast(series, "hub", time_ms, 1, 0, (20.0,), time_ms)


def test_arrivals_are_of_all_series_in_the_order_in_which_they_came(url: str) -> None:
    async def use(store: Store) -> None:
        for series, time_ms in (("b", 9), ("a", 5), ("b", 3)):
            await store.keep_readings(series, [Reading(time_ms, 20_000_000)])
            await store.keep_forecasts([forecast(series, time_ms)])
        found = await store.arrivals(Cursor(0, 0), 10)
        expected = [("b", 9), ("a", 5), ("b", 3)]
        assert [(each.series, each.time_ms) for each in found.readings] == expected
        assert [(each.forecast.series, each.forecast.time_ms) for each in found.forecasts] == expected
        assert found.forecasts[0].forecast == forecast("b", 9)
        after = Cursor(found.readings[0].id, found.forecasts[1].id)
        rest = await store.arrivals(after, 1)
        assert [each.time_ms for each in rest.readings] == [5]
        assert [each.forecast.time_ms for each in rest.forecasts] == [3]

    used(url, use)


def test_where_nothing_was_kept_the_cursor_leaves_the_newest(url: str) -> None:
    async def use(store: Store) -> None:
        assert await store.watch_cursor(10) == Cursor(0, 0)
        await store.keep_readings("a", [Reading(at, 1) for at in range(20)])
        found = await store.arrivals(await store.watch_cursor(5), 100)
        assert [each.time_ms for each in found.readings] == [15, 16, 17, 18, 19]

    used(url, use)


def test_what_is_kept_is_there_after_a_restart_and_is_replaced_by_what_comes_later(url: str) -> None:
    day = DaySums(20_000, "hub", 7, [3.0, 2.0], [0.3, 0.4], [0.5, 0.8], is_masked=True)
    later = DaySums(20_000, "hub", 7, [4.0, 3.0], [0.4, 0.6], [0.7, 1.2])
    board = DaySums(20_001, "board", 8, [1.0], [0.1], [0.2])

    async def keep(store: Store) -> None:
        await store.keep_readings("a", [Reading(1, 1)])
        await store.keep_readings("b/c", [Reading(1, 1)])
        await store.remember(Remembered(Cursor(2, 0), {"a": "one", "b/c": "two"}, [("a", day)]))
        assert await store.watch_days("a", 0) == [day]
        await store.remember(Remembered(Cursor(3, 4), {"a": "three"}, [("a", later), ("a", board)]))

    async def look(store: Store) -> None:
        assert await store.watch_cursor(10) == Cursor(3, 4)
        assert await store.watch_states() == {"a": "three", "b/c": "two"}
        assert await store.watch_days("a", 0) == [later, board]
        assert await store.watch_days("a", 20_001) == [board]
        assert await store.watch_days("b/c", 0) == []

    used(url, keep)
    used(url, look)


def test_days_do_not_pile_up(sqlite_url: str) -> None:
    async def use(store: Store) -> None:
        await store.keep_readings("a", [Reading(1, 1)])
        for day in (0, 1, DAYS_KEPT, DAYS_KEPT + 1):
            days = [("a", DaySums(day, "hub", 1, [1.0], [1.0], [1.0]))]
            await store.remember(Remembered(Cursor(1, 0), {"a": "x"}, days))
        assert [each.day for each in await store.watch_days("a", 0)] == [1, DAYS_KEPT, DAYS_KEPT + 1]

    used(sqlite_url, use)
