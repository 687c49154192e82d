"""Another model takes over: nobody waits for it, nobody is answered by half of one, no reading is missed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from deployers.exceptions import NotFound, ServiceUnavailable
from tests.hub_models import CADENCE_MS, START_MS, readings
from tests.live_bench import SERIES, Bench

if TYPE_CHECKING:
    from deployers.hub.serving import Model

pytestmark = pytest.mark.anyio


async def test_a_new_model_has_the_state_of_every_live_series(bench: Bench) -> None:
    for name in ("a", "b"):
        await bench.came(readings(30, seed=ord(name)), name)
    await bench.catalogue.activate(2)
    asked = bench.store.asked
    for name in ("a", "b"):
        made = await bench.live.predict(name)
        assert (made.version, made.celsius) == (2, bench.expected(readings(30, seed=ord(name)), 2))
    assert bench.store.asked == asked


async def test_readings_that_come_while_a_model_is_prepared_are_in_its_state(bench: Bench, monkeypatch) -> None:
    await bench.came(readings(10))
    prepare = bench.catalogue.prepare
    assert prepare is not None

    async def slowly(model: Model) -> None:
        await prepare(model)
        assert [each.version for each in await bench.came(readings(2, 10))] == [1, 1]
        assert len(await bench.came(readings(4), "new one")) == 4

    bench.catalogue.prepare = slowly
    await bench.catalogue.activate(2)
    assert (await bench.live.predict(SERIES)).celsius == bench.expected(readings(12), 2)
    assert bench.live.carried(bench.catalogue.active, "new one") is not None  # type: ignore[arg-type]
    assert [each.version for each in await bench.came(readings(1, 12))] == [2]


async def test_a_series_whose_readings_are_gone_does_not_hold_up_a_swap(bench: Bench) -> None:
    await bench.came(readings(10))
    bench.store.kept.clear()
    async with asyncio.timeout(10):
        await bench.catalogue.activate(2)
    with pytest.raises(NotFound):
        await bench.live.predict(SERIES)


async def test_a_store_that_fails_during_a_swap_leaves_the_model_that_runs(bench: Bench) -> None:
    await bench.came(readings(10))
    bench.store.failure = ServiceUnavailable("locked")
    with pytest.raises(ServiceUnavailable, match="locked"):
        await bench.catalogue.activate(2)
    assert bench.live._coming is None  # noqa: SLF001 - or every reading would be stepped twice from now on
    bench.store.failure = None
    assert [each.version for each in await bench.came(readings(1, 10))] == [1]
    await bench.catalogue.activate(2)
    assert (await bench.live.predict(SERIES)).celsius == bench.expected(readings(11), 2)


async def test_no_question_fails_or_is_answered_by_half_a_model_during_swaps(bench: Bench) -> None:
    """Questions without a pause, readings, and swaps between two models: each answer is one of the two, whole."""
    await bench.came(readings(20))
    swapping = True
    answers: list[tuple[int, int, tuple[float, ...]]] = []

    async def ask() -> None:
        while swapping:
            made = await bench.live.predict(SERIES)
            answers.append((made.version, made.made_at_ms, made.celsius))
            given_one = await bench.live.predict(readings=readings(3))
            assert given_one.celsius == only_three[given_one.version]
            await asyncio.sleep(0)

    async def send() -> None:
        for step in range(20, 60):
            await bench.came(readings(1, step))
            await asyncio.sleep(0.005)

    only_three = {version: bench.expected(readings(3), version) for version in (1, 2, 3)}
    asking = [asyncio.create_task(ask()) for _ in range(3)]
    sending = asyncio.create_task(send())
    for version in (2, 1, 3, 2, 1):
        await bench.catalogue.activate(version)
    await sending
    swapping = False
    await asyncio.gather(*asking)
    assert {version for version, _, _ in answers} == {1, 2, 3}
    for version, made_at_ms, celsius in set(answers):
        seen = (made_at_ms - START_MS) // CADENCE_MS + 1
        assert celsius == bench.expected(readings(seen), version)
    assert [each.time_ms for each in bench.store.made] == [time for time, _ in readings(60)]
