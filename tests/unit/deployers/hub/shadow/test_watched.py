"""The monitor's days of a challenger: beside those of the hub, and without a word in what is told of the series."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from deployers.hub.monitor import told
from deployers.hub.monitor.pairing import READINGS_HELD, Pairing
from deployers.hub.monitor.watch import Model, Watch
from deployers.hub.shadow.comparing import compared
from deployers.hub.store import StoredForecast, StoredReading
from deployers.hub.store.records import CHALLENGERS_MOST
from tests.monitoring import CADENCE_MS, RULES, START_MS, STEPS_A_DAY, Site
from tests.unit.deployers.hub.monitor.conftest import Field

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deployers.hub.store.watching import DaySums


pytestmark = pytest.mark.anyio


def model_of(version: int) -> Model:
    """The challengers say to have another cadence, other limits and another agreement than the champion."""
    return Model(CADENCE_MS) if version == 1 else Model(7, agreement=0.0, limits=(-1e-9, 1e-9))


def shadowed(days: int = 4, *, until: int = 10_000, versions: tuple[int, ...] = (2,)) -> Iterator[object]:
    """A site with challengers that are off by a tenth of the hub's change more, up to a step."""
    for number, each in enumerate(Site(days=days).events()):
        yield each
        if isinstance(each, StoredForecast) and number // 2 < until:
            for version in versions:
                more = tuple(value + 0.01 * version for value in each.celsius)
                yield replace(each, source="shadow", version=version, celsius=more)


def given(watch: Watch, events: Iterator[object]) -> Watch:
    for each in events:
        if isinstance(each, StoredForecast):
            watch.forecast(each)
        else:
            reading: StoredReading = each  # type: ignore[assignment]
            watch.reading(reading)
    return watch


def days_of(watch: Watch) -> list[tuple[str, DaySums]]:
    return [("board-1", sums) for sums in watch.take_changed()]


def test_champion_and_challengers_are_compared_on_the_same_readings() -> None:
    watch = given(Watch(RULES, model_of), shadowed(versions=(2, 3)))
    rows = days_of(watch)
    for version in (2, 3):
        over = compared(rows, 1, version, CADENCE_MS)
        assert len(over) == 3
        assert all(each is not None and each.series == 1 for each in over.values())
        assert all(each is not None and each.challenger < each.champion for each in over.values())


def test_days_of_several_challengers_stay_apart() -> None:
    watch = given(Watch(RULES, model_of), shadowed(versions=(2, 3)))
    shadows = [sums for _, sums in days_of(watch) if sums.source == "shadow"]
    assert {(sums.version, sum(sums.counts)) for sums in shadows if sums.day == shadows[0].day} == {(2, 426), (3, 426)}
    window = watch.window("shadow")
    assert window is not None
    assert window.version == 3


def test_what_is_told_of_a_series_is_the_same_with_a_challenger() -> None:
    alone, beside = (given(Watch(RULES, model_of), events) for events in (Site(days=4).events(), shadowed()))
    assert told.row("board-1", beside, 0) == told.row("board-1", alone, 0)
    assert beside.findings(0) == alone.findings(0)
    assert beside.state.cadence_ms == CADENCE_MS
    (steps,) = [told.detail("board-1", beside, [], 0, {"by_horizon": [{"mae": 1.0}]})["steps"]["shadow"][0]]
    assert steps["test"] is None, "the test part's error is that of the version that is judged"


def test_a_challenger_at_the_same_version_as_a_board_is_not_what_the_board_is_compared_with() -> None:
    watch = Watch(RULES, lambda _: Model(CADENCE_MS, agreement=0.0))
    for number, each in enumerate(Site(days=1).events()):
        if isinstance(each, StoredForecast):
            watch.forecast(replace(each, source="board"))
            watch.forecast(replace(each, source="shadow", celsius=tuple(value + 1 for value in each.celsius)))
        else:
            watch.reading(each)
        assert watch.state.faults.agreement.compared == 0, number


def test_nor_is_it_after_a_restart() -> None:
    past = list(shadowed(days=1))
    first = given(Watch(RULES, model_of), iter(past))
    made = [each for each in past if isinstance(each, StoredForecast)]
    second = Watch(RULES, model_of, first.dump())
    second.recall([each for each in past if not isinstance(each, StoredForecast)], made)  # type: ignore[misc]
    second.forecast(replace(made[-1], source="board"))
    assert (made[-1].source, second.state.faults.agreement.compared) == ("shadow", 0)


def test_a_day_on_which_the_sensor_was_at_fault_is_masked_for_both() -> None:
    watch = Watch(RULES, model_of)
    for each in shadowed(days=2):
        if not isinstance(each, StoredForecast):
            is_off = STEPS_A_DAY * 0.5 < (each.id % STEPS_A_DAY) < STEPS_A_DAY * 0.6  # type: ignore[attr-defined]
            watch.reading(replace(each, microcelsius=-127_000_000) if is_off else each)  # type: ignore[type-var,arg-type]
        else:
            watch.forecast(each)
    rows = days_of(watch)
    first = min(sums.day for _, sums in rows)
    assert {(sums.source, sums.is_masked) for _, sums in rows if sums.day == first} == {("hub", True), ("shadow", True)}
    assert compared(rows, 1, 2, CADENCE_MS)[first] is None


def test_after_a_restart_the_days_go_on() -> None:
    events = list(shadowed(days=3))
    cut = len(events) // 2
    whole = days_of(given(Watch(RULES, model_of), iter(events)))
    first = given(Watch(RULES, model_of), iter(events[:cut]))
    before = {(sums.day, sums.source): sums for _, sums in days_of(first)}
    second = Watch(RULES, model_of, first.dump())
    past = events[:cut][-300:]
    readings = [each for each in past if not isinstance(each, StoredForecast)]
    second.recall(readings, [each for each in past if isinstance(each, StoredForecast)])  # type: ignore[arg-type]
    after = {(sums.day, sums.source): sums for _, sums in days_of(given(second, iter(events[cut:])))}
    found = before | after
    assert {key: sums.counts for key, sums in found.items()} == {(s.day, s.source): s.counts for _, s in whole}
    assert [found[s.day, s.source].model for _, s in whole] == [pytest.approx(s.model) for _, s in whole]


async def test_a_monitor_remembers_enough_of_as_many_challengers_as_there_may_be(tmp_path: Path) -> None:
    """After a restart forecasts of all of them, as far as they reach, are paired with what comes true."""
    field, steps, horizon = Field(f"sqlite:///{tmp_path / 'hub.db'}"), 80, 32
    sources = [("board", 1), ("hub", 1), *(("shadow", 2 + number) for number in range(CHALLENGERS_MOST))]
    async with field.store:
        for at in range(steps):
            time_ms = START_MS + at * CADENCE_MS
            made = [
                StoredForecast("a", source, time_ms, version, 0, (20.0,) * horizon, time_ms)
                for source, version in sources
            ]
            await field.arrive([StoredReading(0, "a", time_ms, 20_000_000 + at, time_ms), *made])
            if at == steps // 2:
                await field.monitor()
        await field.monitor()
        counts = [sum(day.counts) for day in await field.store.watch_days("a", 0)]
    assert len(counts) == len(sources)
    assert set(counts) == {sum(steps - step for step in range(1, horizon + 1))}


def test_of_a_challenger_that_has_ended_nothing_is_held_for_ever() -> None:
    watch = given(Watch(RULES, model_of), shadowed(days=4, until=STEPS_A_DAY))
    assert not [lane for lane in watch.state.open if lane.startswith("shadow")]
    assert watch.state.made_ms.keys() == watch.state.versions.keys() == watch.state.recent.keys() == {"hub"}
    assert watch.window("shadow") is None


def test_forecasts_of_a_challenger_that_has_ended_are_paired_no_more() -> None:
    pairing = Pairing()
    for step in range(3):
        pairing.reading(step * CADENCE_MS, 20.0, CADENCE_MS)
        pairing.forecast("shadow", 2, step * CADENCE_MS, (20.0,), CADENCE_MS)
    for step in range(3, READINGS_HELD + 4):
        pairing.reading(step * CADENCE_MS, 20.0, CADENCE_MS)
    assert pairing._pending == {}  # noqa: SLF001 - what is held is what is tested
