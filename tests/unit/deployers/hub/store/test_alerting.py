"""What alerts have told, on both databases."""

from __future__ import annotations

import asyncio

from deployers.hub.store import Store
from deployers.hub.store.alerting import Key, Told
from deployers.protocol.messages import Reading


def test_each_channel_keeps_what_it_told_last_and_forgets_what_is_well(url: str) -> None:
    async def use() -> None:
        async with Store(url) as store:
            for name in ("a", "b"):
                await store.keep_readings(name, [Reading(1000, 20_000_000)])
            first = {Key("a", "stuck"): Told(1, 10, None), Key("a", "gaps"): Told(2, 10, 5), Key("b", "gaps"): None}
            await store.keep_told("smtp", first)
            await store.keep_told("mqtt", {Key("b", "gaps"): Told(2, 11, 6)})
            await store.keep_told("smtp", {Key("a", "stuck"): Told(2, 12, 7), Key("a", "gaps"): None})
        async with Store(url) as store:
            assert await store.alerts_told("smtp") == {Key("a", "stuck"): Told(2, 12, 7)}
            assert await store.alerts_told("mqtt") == {Key("b", "gaps"): Told(2, 11, 6)}
            assert await store.alerts_told("webhook") == {}

    asyncio.run(use())


def test_a_series_that_the_store_does_not_know_is_left_out(url: str) -> None:
    async def use() -> None:
        async with Store(url) as store:
            await store.keep_readings("a", [Reading(1000, 20_000_000)])
            await store.keep_told("smtp", {Key("gone", "gaps"): Told(2, 1, 1)})
            await store.keep_told("smtp", {Key("gone", "gaps"): Told(2, 1, 1), Key("a", "gaps"): Told(2, 1, 1)})
            assert await store.alerts_told("smtp") == {Key("a", "gaps"): Told(2, 1, 1)}

    asyncio.run(use())
