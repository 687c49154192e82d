"""What boards send, by way of the hub's sink into a real store: nothing they send can hold up what comes after it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from deployers.hub.metrics import Metrics
from deployers.hub.sink import HubSink
from deployers.hub.store import Store
from deployers.protocol.messages import Forecast, Reading, SlotState
from tests.hub_parts import Parts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GOOD = (Reading(1000, 20_000_000), Reading(2000, -(2**31)))


def through_the_sink(url: str, work: Callable[[HubSink, Store], Awaitable[None]]) -> None:
    async def run() -> None:
        parts: Any = Parts(1, active=1)
        async with Store(url) as store:
            await work(HubSink(store, parts.live, parts.catalogue, Metrics()), store)

    asyncio.run(run())


@pytest.mark.parametrize("time_ms", [-1, -(2**63), 2**63 - 1, 253_402_300_800_000])
def test_a_reading_with_an_impossible_time_is_dropped_and_told(
    sqlite_url: str, time_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(sink: HubSink, store: Store) -> None:
        await sink.keep_readings("board-1", 0, (GOOD[0], Reading(time_ms, 1), GOOD[1]))
        await sink.keep_readings("board-1", 3, (Reading(time_ms, 1),))
        assert await store.readings("board-1") == list(GOOD)

    through_the_sink(sqlite_url, work)
    told = [record.message for record in caplog.records]
    assert told == ["1 readings of board board-1 with impossible times are dropped"] * 2


@pytest.mark.parametrize(("celsius", "time_ms"), [(float("nan"), 1000), (float("inf"), 1000), (20.0, -1)])
def test_a_forecast_that_is_none_is_dropped_and_told(
    sqlite_url: str, celsius: float, time_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(sink: HubSink, store: Store) -> None:
        await sink.keep_forecast("board-1", Forecast(1, 3, time_ms, SlotState.TEST, (20.0, celsius)))
        await sink.keep_forecast("board-1", Forecast(2, 3, 2000, SlotState.TEST, (20.0, 21.0)))
        assert [made.time_ms for made in await store.forecasts("board-1")] == [2000]

    through_the_sink(sqlite_url, work)
    assert [record.message[:40] for record in caplog.records] == ["a forecast of board board-1 is dropped: "[:40]]
