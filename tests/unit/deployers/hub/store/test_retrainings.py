"""What was asked of the training side, on both databases."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from deployers.exceptions import NotFound
from deployers.hub.store import Store, retrainings
from deployers.hub.store.retrainings import DAY_MS, DAYS_KEPT, Retraining, Stock
from deployers.protocol.messages import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    Use = Callable[[Store], Coroutine[Any, Any, None]]

NOW_MS = 20_000 * DAY_MS
ASKED = Retraining(0, "a", "alarm", "skill since 7", "deficit 4.31", {"cusum": 4.31, "none": None}, NOW_MS)


def used(url: str, use: Use) -> None:
    async def run() -> None:
        async with Store(url, lambda: NOW_MS / 1000) as store:
            for day in (1, 1, 2, 9):
                for series in ("a", "b/window"):
                    await store.keep_readings(series, [Reading(day * DAY_MS + 7, 20_000_000)])
            await store.keep_readings("a", [Reading(9 * DAY_MS + 8, 20_000_000)])
            await use(store)

    asyncio.run(run())


def added(store: Store, **fields: Any) -> Coroutine[Any, Any, Retraining]:
    wanted = Retraining(**{**ASKED.as_dict(), **fields})
    return store.change(lambda there: retrainings.add(there, wanted))


def test_a_request_comes_back_as_it_was_kept(url: str) -> None:
    async def use(store: Store) -> None:
        made = await added(store)
        assert made == Retraining(**{**ASKED.as_dict(), "id": made.id})
        answer = {"challenger": {"model": "m", "version": "4"}, "reason": ""}
        fields = {"state": "done", "started_ms": 5, "ended_ms": 6, "job": "j", "reading_id": 3, "answer": answer}
        changed = await store.change(lambda there: retrainings.change(there, made.id, **fields))
        assert changed == Retraining(**{**made.as_dict(), **fields})
        assert changed.challenger == {"model": "m", "version": "4"}
        later = await added(store, series="b/window", trigger="person", answer={"reason": "no"})
        assert await store.retrainings(last=1) == [later]
        assert [each.id for each in await store.retrainings(last=9)] == [later.id, made.id]
        assert later.challenger is None
        assert await store.find(retrainings.by_state) == {
            "waiting": 1, "running": 0, "done": 1, "failed": 0, "refused": 0,
        }  # fmt: skip

    used(url, use)


def test_an_id_that_is_not_there_is_not_found(url: str) -> None:
    async def use(store: Store) -> None:
        with pytest.raises(NotFound, match="retraining 9 is not known here"):
            await store.find(lambda there: retrainings.get(there, 9))

    used(url, use)


def test_the_stock_counts_readings_days_and_those_since_the_last_start(url: str) -> None:
    async def use(store: Store) -> None:
        expected = {"a": Stock(3, NOW_MS, fresh=4), "b/window": Stock(3, NOW_MS, fresh=3)}
        assert await store.find(retrainings.stock) == expected
        assert await store.find(lambda there: retrainings.stock(there, ["a"])) == {"a": expected["a"]}
        assert await store.find(lambda there: retrainings.stock(there, ["attic"])) == {}
        last = await store.find(retrainings.last_reading)
        await added(store, state="failed", started_ms=1, reading_id=last - 1)
        await added(store, state="refused", reading_id=last)
        assert (await store.find(retrainings.stock))["a"].fresh == 1
        await store.keep_readings("a", [Reading(3, 20_000_000)])
        assert (await store.find(retrainings.stock))["a"].fresh == 2

    used(url, use)


def test_what_decides_on_others_is_what_is_open_recent_or_the_last_of_its_series(url: str) -> None:
    async def use(store: Store) -> None:
        old, refused = {"state": "done", "started_ms": 10}, {"state": "refused"}
        rows = [
            old,
            old,
            refused,
            {"state": "failed", "started_ms": 1000},
            old,
            refused,
            {},
            {**old, "series": "b/window"},
        ]
        for row in rows:
            await added(store, **row)
        found = await store.find(lambda there: retrainings.that_matter(there, 500))
        assert [each.id for each in found] == [4, 5, 6, 7, 8]

    used(url, use)


def test_very_old_requests_are_forgotten_but_open_ones(url: str) -> None:
    async def use(store: Store) -> None:
        long_ago = NOW_MS - (DAYS_KEPT + 1) * DAY_MS
        await added(store, state="done", asked_ms=long_ago)
        await added(store, asked_ms=long_ago)
        await added(store, state="done")
        await added(store, series="b/window")
        assert [each.id for each in await store.retrainings(last=9)] == [4, 3, 2]

    used(url, use)
