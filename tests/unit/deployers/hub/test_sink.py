from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from deployers.exceptions import GateFailed, ServiceUnavailable
from deployers.hub.metrics import LiveError, Metrics
from deployers.hub.sink import HubSink
from deployers.protocol.messages import Forecast, Reading, SlotState
from tests.hub_parts import Parts

STEP = 600_000
FULL = ServiceUnavailable("disk full")


class Figures:
    def __init__(self) -> None:
        self.parts, self.metrics = Parts(1, active=1), Metrics()
        parts: Any = self.parts
        self.sink = HubSink(parts.store, parts.live, parts.catalogue, self.metrics, lambda: 42)

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"edgeloop_{name}", labels)


@pytest.fixture
def figures() -> Figures:
    return Figures()


def readings(*steps: int, celsius: float = 20.0) -> tuple[Reading, ...]:
    return tuple(Reading(step * STEP, round(celsius * 1e6)) for step in steps)


def forecast(step: int, value: float) -> Forecast:
    return Forecast(step, 1, step * STEP, SlotState.TEST, (value, 0.0))


def test_readings_are_stored_and_forecast_at(figures: Figures) -> None:
    asyncio.run(figures.sink.keep_readings("a", 0, readings(0, 1)))
    asyncio.run(figures.sink.keep_readings("a", 1, readings(1, 2)))
    assert sorted(figures.parts.store.kept["a"]) == [0, STEP, 2 * STEP]
    assert figures.value("readings_total", source="board") == 3
    assert figures.value("forecasts_total", source="hub") == 2


def test_a_forecast_is_stored_with_when_it_came(figures: Figures) -> None:
    asyncio.run(figures.sink.keep_forecast("a", forecast(3, 21.0)))
    (kept,) = figures.parts.store.made
    assert (kept.series, kept.source, kept.time_ms, kept.version) == ("a", "board", 3 * STEP, 1)
    assert (kept.slot_state, kept.celsius, kept.received_ms) == (1, (21.0, 0.0), 42)


def test_a_forecast_of_a_challenger_on_a_board_is_kept_apart_and_counts_for_no_error(figures: Figures) -> None:
    made = Forecast(0, 2, 0, SlotState.SHADOW, (30.0, 0.0))
    asyncio.run(figures.sink.keep_forecast("a", made))
    assert figures.value("forecasts_total", source="board") == 0
    assert figures.value("forecasts_total", source="board-shadow") == 1
    (kept,) = figures.parts.store.made
    assert (kept.source, kept.version, kept.slot_state, kept.celsius) == ("board-shadow", 2, 3, (30.0, 0.0))
    asyncio.run(figures.sink.keep_forecast("a", forecast(0, 20.5)))
    asyncio.run(figures.sink.keep_readings("a", 0, readings(0, 1)))
    assert figures.value("live_error_celsius", source="board") == pytest.approx(0.5)


def test_what_is_not_stored_is_not_acknowledged(figures: Figures) -> None:
    figures.parts.store.failure = ServiceUnavailable("disk full")
    with pytest.raises(ServiceUnavailable):
        asyncio.run(figures.sink.keep_readings("a", 0, readings(0)))
    with pytest.raises(ServiceUnavailable):
        asyncio.run(figures.sink.keep_forecast("a", forecast(0, 20.0)))
    assert figures.parts.live.seen == []
    figures.parts.store.failure = None
    asyncio.run(figures.sink.keep_readings("a", 0, readings(0)))
    assert figures.parts.live.seen == [("a", 0)]


@pytest.mark.parametrize("failure", [GateFailed("no model"), ValueError("no model")])
def test_readings_stay_although_the_hub_cannot_forecast(figures: Figures, caplog: Any, failure: Exception) -> None:
    figures.parts.live.failure = failure
    asyncio.run(figures.sink.keep_readings("a", 0, readings(0)))
    assert figures.parts.store.kept["a"]
    assert figures.value("live_failures_total") == 1
    assert "no model" in caplog.text


def test_forecasts_are_made_in_the_order_of_readings_though_commits_overtake(
    figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = figures.parts.store.keep_readings

    async def first_is_slow(series: str, given: Any) -> int:
        await asyncio.sleep(0.02 if given[0].time_ms == 0 else 0)
        return await keep(series, given)

    monkeypatch.setattr(figures.parts.store, "keep_readings", first_is_slow)

    async def at_once() -> None:
        await asyncio.gather(*(figures.sink.keep_readings("a", step, readings(step)) for step in range(4)))

    asyncio.run(at_once())
    assert figures.parts.live.seen == [("a", step * STEP) for step in range(4)]


def test_a_failed_commit_does_not_hold_up_the_next(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = figures.parts.store.keep_readings

    async def first_fails(series: str, given: Any) -> int:
        if given[0].time_ms == 0:
            await asyncio.sleep(0.01)
            raise FULL
        return await keep(series, given)

    monkeypatch.setattr(figures.parts.store, "keep_readings", first_fails)

    async def at_once() -> list[Any]:
        calls = (figures.sink.keep_readings("a", step, readings(step)) for step in range(2))
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 2)

    first, second = asyncio.run(at_once())
    assert isinstance(first, ServiceUnavailable)
    assert second is None


def test_the_live_error_is_that_of_the_next_reading(figures: Figures) -> None:
    async def comes(step: int, reading: float, next_reading: float) -> None:
        await figures.sink.keep_forecast("a", forecast(step, next_reading))  # a board's forecast comes first
        await figures.sink.keep_readings("a", step, readings(step, celsius=reading))

    async def run() -> None:
        await comes(0, 20.0, 21.0)
        await comes(1, 20.5, 21.0)
        await comes(2, 21.0, 21.0)

    asyncio.run(run())
    assert figures.value("live_error_celsius", source="board") == pytest.approx(0.5 + 0.02 * (0.0 - 0.5))
    # The hub's own forecast in memory is the last reading.
    assert figures.value("live_error_celsius", source="hub") == pytest.approx(0.5)


def test_forecasts_across_a_gap_or_without_a_model_are_not_judged() -> None:
    shown: list[float] = []
    gauge, cadence = SimpleNamespace(set=shown.append), [600_000.0, None]
    error = LiveError(gauge, lambda: cadence[0])
    error.forecast("a", 0, 1.0)
    error.readings("a", readings(2))
    error.readings("b", readings(1))
    assert shown == []
    cadence.reverse()
    error.readings("a", readings(1))
    assert shown == []
    cadence.reverse()
    error.readings("a", readings(1, celsius=3.0))
    error.readings("a", readings(1, celsius=9.0))  # the same again is not counted again
    assert shown == [2.0]
