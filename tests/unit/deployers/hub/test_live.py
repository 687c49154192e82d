"""A forecast at every stored reading, state that is carried and rebuilt, and swaps that nobody notices."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from deployers.exceptions import InputError, NotFound, ServiceUnavailable
from deployers.hub.live import INLINE_READINGS, READINGS_MAX
from deployers.hub.serving import Model
from deployers.hub.stepping import MISSED_MAX, REBUILT_MAX, step
from deployers.hub.store import Store
from deployers.protocol.messages import Reading
from tests.hub_models import CADENCE_MS, START_MS, readings
from tests.live_bench import SERIES, Bench

pytestmark = pytest.mark.anyio


# At every reading


async def test_every_reading_has_a_forecast_and_it_is_kept(bench: Bench) -> None:
    pairs = readings(30)
    made = [one for pair in pairs for one in await bench.came([pair])]
    assert bench.store.made == made
    assert [each.time_ms for each in made] == [time for time, _ in pairs]
    for number in (0, 10, 29):
        assert made[number].celsius == bench.expected(pairs[: number + 1])
    last = made[-1]
    assert (last.series, last.source, last.version, last.slot_state, last.received_ms) == (SERIES, "hub", 1, 0, 7000)


async def test_many_series_at_once_do_not_mix(bench: Bench) -> None:
    series = {f"board-{number}": readings(20, seed=number) for number in range(12)}
    for place in range(20):
        await asyncio.gather(*(bench.came([pairs[place]], name) for name, pairs in series.items()))
    assert len(bench.store.made) == 12 * 20
    for name, pairs in series.items():
        assert (await bench.live.predict(name)).celsius == bench.expected(pairs)


async def test_several_readings_in_one_message_and_several_messages_in_one_turn(bench: Bench) -> None:
    pairs = readings(12)
    made = await asyncio.gather(bench.came(pairs[:5]), bench.came(pairs[5:6]), bench.came(pairs[6:]))
    assert [[each.time_ms for each in part] for part in made] == [
        [time for time, _ in part] for part in (pairs[:5], pairs[5:6], pairs[6:])
    ]
    assert (await bench.live.predict(SERIES)).celsius == bench.expected(pairs)


async def test_a_reading_that_comes_twice_is_forecast_at_once(bench: Bench) -> None:
    pairs = readings(8)
    await bench.came(pairs)
    assert await bench.came(pairs) == []
    assert len(await bench.came(readings(1, 8))) == 1
    assert (await bench.live.predict(SERIES)).celsius == bench.expected(readings(9))


async def test_without_a_model_readings_are_only_stored(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.start(1)
    assert await bench.came(readings(5)) == []
    with pytest.raises(ServiceUnavailable, match="no model is active"):
        await bench.live.predict(SERIES)
    await bench.catalogue.activate(1)
    assert len(await bench.came(readings(1, 5))) == 1
    assert (await bench.live.predict(SERIES)).celsius == bench.expected(readings(6))
    await bench.stop()


async def test_a_store_that_fails_is_told_to_who_waits_and_the_next_one_goes_on(bench: Bench) -> None:
    await bench.came(readings(3))
    bench.store.failure = ServiceUnavailable("disk full")
    with pytest.raises(ServiceUnavailable, match="disk full"):
        await bench.live.on_readings(SERIES, [Reading(*readings(1, 3)[0])])
    with pytest.raises(ServiceUnavailable, match="disk full"):
        await bench.live.on_readings("new one", [Reading(*readings(1)[0])])
    bench.store.failure = None
    assert len(await bench.came(readings(1, 4))) == 1


async def test_figures_count(bench: Bench) -> None:
    names = ("series", "readings", "microseconds_per_reading", "cpu_microseconds_per_reading", "waiting")
    assert bench.live.figures() == dict.fromkeys(names, 0)
    await bench.came(readings(10))
    found = bench.live.figures()
    assert (found["series"], found["readings"], found["waiting"]) == (1, 10, 0)
    assert found["microseconds_per_reading"] > 0
    assert found["cpu_microseconds_per_reading"] > 0


# After a start


async def test_after_a_restart_the_state_is_rebuilt(bench: Bench) -> None:
    await bench.came(readings(40))
    again = await bench.restarted()
    assert (await again.live.predict(SERIES)).celsius == bench.expected(readings(40))
    await again.came(readings(1, 40))
    assert (await again.live.predict(SERIES)).celsius == bench.expected(readings(41))
    assert again.store.asked == 2  # once before, once after
    await again.stop()


async def test_readings_that_a_killed_hub_did_not_forecast_at_are_made_up_for(bench: Bench) -> None:
    await bench.came(readings(10))
    await bench.store.keep_readings(SERIES, [Reading(*each) for each in readings(4, 10)])  # and then it was killed
    again = await bench.restarted()
    made = await again.came(readings(1, 14))
    assert [each.time_ms for each in made] == [time for time, _ in readings(5, 10)]
    assert made[1].celsius == bench.expected(readings(12))
    assert [each.time_ms for each in again.store.made] == [time for time, _ in readings(15)]
    await again.stop()


async def test_a_long_time_without_forecasts_is_not_made_up_for(bench: Bench) -> None:
    await bench.came(readings(2))
    more = [Reading(*each) for each in readings(MISSED_MAX + 1, 2)]
    await bench.store.keep_readings(SERIES, more)
    again = await bench.restarted()
    assert len(await again.came(readings(1, MISSED_MAX + 3))) == 1
    await again.stop()


async def test_a_state_is_rebuilt_from_as_many_readings_as_a_board_replays(bench: Bench, monkeypatch) -> None:
    monkeypatch.setattr(Model, "replay_readings", 7)
    await bench.store.keep_readings(SERIES, [Reading(*each) for each in readings(30)])
    assert (await bench.live.predict(SERIES)).celsius == bench.expected(readings(7, 23))


async def test_live_series_do_not_wait_until_all_others_are_rebuilt(bench: Bench, monkeypatch) -> None:
    """After a start hundreds of boards send at once."""
    await bench.came(readings(5))
    turns: list[set[str]] = []
    monkeypatch.setattr(
        "deployers.hub.live.step", lambda work: turns.append({job.series for job in work.jobs}) or step(work)
    )
    names = [f"board-{number}" for number in range(2 * REBUILT_MAX + 3)]
    for name in names:
        await bench.store.keep_readings(name, [Reading(*each) for each in readings(6)])
    cold = [bench.came(pairs, name) for pairs in (readings(1, 6), readings(1, 7)) for name in names]
    await asyncio.gather(*cold, bench.came(readings(1, 5)))
    assert [len(turn) for turn in turns] == [REBUILT_MAX + 1, REBUILT_MAX, 3]
    assert SERIES in turns[0]
    for name in names:
        assert (await bench.live.predict(name)).celsius == bench.expected(readings(8))


async def test_a_corrected_reading_is_seen(bench: Bench) -> None:
    await bench.came(readings(20))
    other = dict(readings(20))
    other[readings(20)[-3][0]] += 900_000
    bench.store.kept[SERIES] = {time_ms: Reading(time_ms, value) for time_ms, value in other.items()}
    assert (await bench.live.predict(SERIES)).celsius == bench.expected(readings(20))
    bench.live.forget(SERIES)
    assert (await bench.live.predict(SERIES)).celsius == bench.expected(sorted(other.items()))
    assert bench.store.asked == 2


# Questions


async def test_a_live_series_is_answered_without_the_store(bench: Bench) -> None:
    await bench.came(readings(20))
    asked = bench.store.asked
    made = await bench.live.predict(SERIES, steps=2)
    assert (made.version, made.source, made.cadence_seconds) == (1, "stored", CADENCE_MS // 1000)
    assert made.made_at_ms == readings(20)[-1][0]
    assert len(made.celsius) == 2
    assert bench.store.asked == asked


async def test_made_at_is_the_grid_point_not_the_reading(bench: Bench) -> None:
    await bench.came([(START_MS, 20_000_000), (START_MS + CADENCE_MS + 5000, 20_000_000)])
    assert (await bench.live.predict(SERIES)).made_at_ms == START_MS + CADENCE_MS


@pytest.mark.parametrize("count", [1, 30, INLINE_READINGS + 5])
async def test_given_readings_are_run_from_a_state_of_zero(bench: Bench, count: int) -> None:
    await bench.came(readings(3, seed=9))
    made = await bench.live.predict(readings=readings(count))
    assert (made.series, made.source) == (None, "given")
    assert made.celsius == bench.expected(readings(count))


async def test_another_version_can_be_asked(bench: Bench) -> None:
    await bench.came(readings(20))
    assert (await bench.live.predict(SERIES, version=2)).celsius == bench.expected(readings(20), 2)
    given_one = await bench.live.predict(readings=readings(9), version=2)
    assert (given_one.version, given_one.celsius) == (2, bench.expected(readings(9), 2))
    assert bench.catalogue.active is not None
    assert bench.catalogue.active.version == 1


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"series": "nobody"}, NotFound, "series 'nobody' has no stored readings"),
        ({"series": "nobody", "version": 2}, NotFound, "series 'nobody' has no stored readings"),
        ({"series": SERIES, "version": 9}, NotFound, "version 9 is not installed, expected one of 1, 2, 3"),
        ({"series": SERIES, "steps": 7}, InputError, "steps is 7: version 1 forecasts 1 to 6"),
        ({"series": SERIES, "steps": 0}, InputError, "steps is 0"),
        ({}, InputError, "neither or both of series and readings"),
        ({"series": SERIES, "readings": readings(2)}, InputError, "neither or both"),
        ({"readings": []}, InputError, "0 readings, expected 1 to 10000"),
        ({"readings": readings(1) * (READINGS_MAX + 1)}, InputError, "10001 readings, expected 1 to 10000"),
    ],
)
async def test_what_cannot_be_answered_says_why(bench: Bench, asked: Any, error: type[Exception], told: str) -> None:
    await bench.came(readings(2))
    with pytest.raises(error, match=told):
        await bench.live.predict(**asked)


async def test_questions_for_series_that_are_not_there_leave_nothing_behind(bench: Bench) -> None:
    for number in range(5):
        with pytest.raises(NotFound):
            await bench.live.predict(f"nobody {number}")
    assert bench.live.figures()["series"] == 0


async def test_the_forecast_at_one_reading_is_the_kept_one_or_is_made_now(bench: Bench) -> None:
    await bench.came(readings(20))
    time_ms = readings(20)[12][0]
    assert await bench.live.forecast_at(SERIES, time_ms, 1) == bench.store.made[12].celsius
    assert await bench.live.forecast_at(SERIES, time_ms, 2) == bench.expected(readings(13), 2)
    assert await bench.live.forecast_at(SERIES, time_ms + 1, 1) is None
    assert await bench.live.forecast_at("nobody", time_ms, 1) is None
    with pytest.raises(NotFound):
        await bench.live.forecast_at(SERIES, time_ms, 9)


async def test_who_asks_a_hub_that_stops_is_told(bench: Bench) -> None:
    await bench.came(readings(2))
    await bench.live.stop()
    for asked in (bench.came(readings(1, 2)), bench.live.predict("another"), bench.live.predict(SERIES, version=2)):
        with pytest.raises(ServiceUnavailable, match="the hub does not forecast now"):
            await asked


async def test_who_waits_when_it_stops_is_told(bench: Bench, monkeypatch) -> None:
    begun = asyncio.Event()

    async def never(*_: Any, **__: Any) -> list[Reading]:
        begun.set()
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(bench.store, "readings", never)
    waiting = [asyncio.create_task(bench.live.on_readings(name, [Reading(0, 0)])) for name in ("a", "b")]
    await begun.wait()
    later = asyncio.create_task(bench.live.on_readings("c", [Reading(0, 0)]))
    await asyncio.sleep(0)
    await bench.live.stop()
    for each in (*waiting, later):
        with pytest.raises(ServiceUnavailable, match="the hub does not forecast now"):
            await each


# With the store of a hub


async def test_it_runs_on_a_real_store(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.store = bench.live._store = await Store(f"sqlite:///{tmp_path}/hub.db").open()  # noqa: SLF001
    await bench.start(1, 2)
    await bench.catalogue.activate(1)
    for pair in readings(15):
        await bench.came([pair])
    await bench.catalogue.activate(2)
    assert len(await bench.came(readings(1, 15))) == 1
    kept = await bench.store.forecasts(SERIES, source="hub")
    assert [each.version for each in kept] == [1] * 15 + [2]
    assert kept[-1].celsius == bench.expected(readings(16), 2)
    assert await bench.live.forecast_at(SERIES, readings(16)[5][0], 2) == bench.expected(readings(6), 2)
    await bench.stop()
    await bench.store.close()
