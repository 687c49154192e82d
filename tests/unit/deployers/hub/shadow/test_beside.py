"""A challenger steps at the readings of the active model, and nothing that it does reaches that."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from deployers.exceptions import ServiceUnavailable
from deployers.hub.shadow.beside import WEIGHED, Beside
from deployers.hub.stepping import MISSED_MAX, REBUILT_MAX
from deployers.protocol.messages import Reading
from tests.hub_models import readings
from tests.live_bench import SERIES, Bench

if TYPE_CHECKING:
    from deployers.hub.store import StoredForecast

pytestmark = pytest.mark.anyio


class Ring:
    """A bench with challengers.

    Attributes:
        counted: forecasts that were kept.
        rung: how often somebody was told of a failure.
        cpu, tick: what the thread's clock shows next, and by how much it goes on each time it is looked at.
        now, lag: the same of the hub's clock.
    """

    def __init__(self, bench: Bench, cost_most: float = 1e9) -> None:
        self.bench, self.counted, self.rung = bench, Counter[str](), 0
        self.cpu, self.tick, self.now, self.lag = 0.0, 0.0, 7.0, 0.0
        self.beside = Beside(bench.store, cost_most, self._kept, self._failed, clock=lambda: self.now, cpu=self._cpu)
        bench.live.beside = self.beside

    def _kept(self, number: float) -> None:
        self.counted["kept"] += int(number)

    def _failed(self) -> None:
        self.rung += 1

    def _cpu(self) -> float:
        self.cpu += self.tick
        self.now += self.lag
        return self.cpu

    async def add(self, version: int) -> None:
        self.beside.add(await self.bench.catalogue.proven(version))

    async def settled(self) -> None:
        """Until the turn under way is over: what is asked for next waits for it."""
        await self.bench.live.on_readings("settles", [])
        await self.bench.live.on_readings("settles", [])

    def of(self, source: str, series: str = SERIES) -> list[StoredForecast]:
        return [made for made in self.bench.store.made if (made.source, made.series) == (source, series)]


@pytest.fixture
async def ring(bench: Bench):
    found = Ring(bench)
    yield found
    bench.live.beside = None
    await found.beside.stop()


async def test_every_reading_has_a_forecast_of_both_and_those_of_the_challenger_are_its_own(ring: Ring) -> None:
    await ring.add(2)
    pairs = readings(30)
    for pair in pairs:
        await ring.bench.came([pair])
    await ring.settled()
    assert [(made.version, made.time_ms) for made in ring.of("shadow")] == [(2, time) for time, _ in pairs]
    for number in (0, 10, 29):
        assert ring.of("shadow")[number].celsius == ring.bench.expected(pairs[: number + 1], 2)
    assert ring.counted["kept"] == 30
    assert ring.beside.running[2].readings == 30


async def test_the_active_models_forecasts_are_the_same_bits_with_and_without_a_challenger(ring: Ring) -> None:
    pairs = readings(60)
    await asyncio.gather(*(ring.bench.came([pair], "alone") for pair in pairs))
    await ring.add(2)
    made = [one for pair in pairs for one in await ring.bench.came([pair], "beside")]
    await ring.settled()
    assert [each.celsius for each in made] == [each.celsius for each in ring.of("hub", "alone")]
    assert ring.of("hub", "beside") == made
    assert len(ring.of("shadow", "beside")) == 60


async def test_its_forecasts_came_with_those_of_the_active_model_however_slow_it_is(ring: Ring) -> None:
    await ring.add(2)
    ring.lag = 30.0
    await ring.bench.came(readings(1))
    await ring.settled()
    assert ring.now > 60
    assert [made.received_ms for made in ring.of("shadow")] == [made.received_ms for made in ring.of("hub")] == [7000]


async def test_a_challenger_answers_nobody(ring: Ring) -> None:
    await ring.add(2)
    await ring.bench.came(readings(20))
    await ring.settled()
    assert (await ring.bench.live.predict(SERIES)).version == 1
    asked = await ring.bench.catalogue.model(2)
    assert asked is not ring.beside.running[2].model
    assert ring.bench.live.carried(asked, SERIES) is None


async def test_without_a_challenger_nothing_is_asked_and_nothing_is_kept(ring: Ring) -> None:
    await ring.bench.came(readings(20))
    asked = ring.bench.store.asked
    await ring.bench.came(readings(5, 20))
    await ring.beside.turn([], 1)
    assert (ring.bench.store.asked, ring.of("shadow"), ring.beside.running) == (asked, [], {})


async def test_one_that_raises_is_ended_with_its_reason_and_the_active_model_goes_on(ring: Ring, monkeypatch) -> None:
    await ring.add(2)
    await ring.bench.came(readings(10))
    await ring.settled()

    def broken() -> Any:
        msg = "no such operator"
        raise RuntimeError(msg)

    monkeypatch.setattr(ring.beside.running[2].model, "track", broken)
    ring.beside.running[2].model.tracks.clear()
    async with asyncio.timeout(60):
        for number in range(3):
            assert len(await ring.bench.came(readings(1, 10 + number))) == 1
        await ring.settled()
    assert ring.beside.running[2].failure == "it failed: RuntimeError: no such operator"
    assert ring.rung == 1
    assert len(ring.of("shadow")) == 10
    assert (await ring.bench.live.predict(SERIES)).celsius == ring.bench.expected(readings(13))


async def test_one_that_costs_too_much_is_ended_with_its_cost(bench: Bench) -> None:
    ring = Ring(bench, cost_most=500.0)
    await ring.add(2)
    ring.tick = 0.0004
    for number in range(WEIGHED):
        await bench.came(readings(1, number))
    await ring.settled()
    assert ring.beside.running[2].failure == "", "400 µs a reading"
    ring.tick = 0.0006
    for number in range(WEIGHED, 3 * WEIGHED):
        await bench.came(readings(1, number))
    await ring.settled()
    assert "µs of CPU time a reading, at most 500 are allowed" in ring.beside.running[2].failure
    assert len(ring.of("shadow")) < 2 * WEIGHED
    await ring.beside.stop()


async def test_nothing_is_too_expensive_before_enough_was_seen(bench: Bench) -> None:
    ring = Ring(bench, cost_most=1.0)
    await ring.add(2)
    ring.tick = 1.0
    await bench.came(readings(WEIGHED - 1))
    await ring.settled()
    assert ring.beside.running[2].failure == ""
    await bench.came(readings(1, WEIGHED - 1))
    await ring.settled()
    assert ring.beside.running[2].failure
    await ring.beside.stop()


async def test_it_begins_with_the_state_that_the_stored_readings_leave(ring: Ring) -> None:
    await ring.bench.came(readings(30))
    await ring.add(2)
    await ring.bench.came(readings(1, 30))
    await ring.settled()
    (made,) = ring.of("shadow")
    assert made.celsius == ring.bench.expected(readings(31), 2)
    assert ring.beside.running[2].weighed == 0, "rebuilding is no reading's cost"


async def test_a_corrected_reading_has_its_state_rebuilt(ring: Ring) -> None:
    await ring.add(2)
    await ring.bench.came(readings(30))
    await ring.settled()
    time, _ = readings(30)[20]
    ring.bench.store.kept[SERIES][time] = Reading(time, 25_000_000)
    ring.bench.live.forget(SERIES)
    await ring.bench.came(readings(1, 30))
    await ring.settled()
    corrected = [*readings(20), (time, 25_000_000), *readings(10, 21)]
    assert ring.of("shadow")[-1].celsius == ring.bench.expected(corrected, 2)


async def test_what_a_killed_hub_had_not_forecast_at_is_made_up_for(ring: Ring) -> None:
    await ring.add(2)
    await ring.bench.came(readings(10))
    await ring.settled()
    ring.beside.remove(2)
    await ring.bench.came(readings(4, 10))
    await ring.add(2)
    await ring.bench.came(readings(1, 14))
    await ring.settled()
    assert [made.time_ms for made in ring.of("shadow")] == [time for time, _ in readings(15)]
    assert MISSED_MAX > 4


async def test_many_series_are_rebuilt_a_few_at_a_time(ring: Ring) -> None:
    names = [f"board-{number}" for number in range(REBUILT_MAX + 3)]
    for name in names:
        await ring.bench.came(readings(6), name)
    await ring.add(2)
    for number in range(3):
        await asyncio.gather(*(ring.bench.came(readings(1, 6 + number), name) for name in names))
        await ring.settled()
        assert number or len(ring.beside.running[2].model.tracks) == REBUILT_MAX
    for name in names:
        assert ring.of("shadow", name)[-1].celsius == ring.bench.expected(readings(9), 2)


async def test_a_store_that_does_not_take_its_forecasts_ends_nobody(ring: Ring, monkeypatch) -> None:
    await ring.add(2)
    keep = ring.bench.store.keep_forecasts

    async def refuse(forecasts: list[StoredForecast]) -> None:
        if forecasts[0].source == "shadow":
            msg = "disk full"
            raise ServiceUnavailable(msg)
        await keep(forecasts)

    with monkeypatch.context() as full:
        full.setattr(ring.bench.store, "keep_forecasts", refuse)
        assert len(await ring.bench.came(readings(5))) == 5
        await ring.settled()
    assert (ring.of("shadow"), ring.beside.running[2].failure) == ([], "")
    await ring.bench.came(readings(1, 5))
    await ring.settled()
    assert len(ring.of("shadow")) == 1


async def test_one_that_has_become_active_steps_once(ring: Ring) -> None:
    await ring.add(2)
    await ring.bench.came(readings(5))
    await ring.settled()
    await ring.bench.catalogue.activate(2)
    await ring.bench.came(readings(1, 5))
    await ring.settled()
    assert [made.version for made in ring.of("hub")][-1] == 2
    assert len(ring.of("shadow")) == 5
