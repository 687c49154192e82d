"""Board and hub that differ, a board that is silent, and outputs at a limit."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.hub.monitor.models import HELD, Agreement, Others, Saturation, Silence, limits_of
from deployers.hub.monitor.restarted import Restarted
from deployers.hub.monitor.watch import Model, Watch
from deployers.hub.store import StoredForecast, StoredReading
from tests.monitoring import CADENCE_MS, RULES, START_MS, STEPS_A_DAY, Site, watched

if TYPE_CHECKING:
    from collections.abc import Iterable

    Event = StoredReading | StoredForecast


def made(at: int, source: str = "hub", celsius: tuple[float, ...] = (20.0, 20.5), version: int = 1) -> StoredForecast:
    return StoredForecast("a", source, at * CADENCE_MS, version, 0, celsius, 0)


def test_forecasts_of_board_and_hub_at_one_reading_are_matched_whichever_comes_first() -> None:
    others = Others()
    assert others.match(made(0, "board")) is None
    assert others.match(made(0, "board")) is None, "sent again"
    found = others.match(made(0, "hub"))
    assert found is not None
    assert found.source == "board"
    assert others.match(made(1, "hub")) is None
    assert others.match(made(1, "board", version=2)) is None, "another version says something else"
    assert others.match(made(1, "board")) is not None


def test_what_is_held_is_bounded() -> None:
    others = Others()
    for at in range(1000):
        others.match(made(at))
    assert others.match(made(1000 - HELD - 1, "board")) is None
    assert others.match(made(999, "board")) is not None


@pytest.mark.parametrize(("count", "level"), [(5, "ok"), (6, "warning"), (23, "warning"), (24, "alarm")])
def test_many_in_a_row_that_differ_are_a_fault(count: int, level: str) -> None:
    test = Agreement()
    test.compare(made(0), made(0, "board"), 0.01)
    for at in range(count):
        test.compare(made(at), made(at, "board", (20.0, 20.52 + at / 1000)), 0.01)
    finding = test.finding()
    assert finding.level == level
    if level != "ok":
        off = 0.02 + (count - 1) / 1000
        assert finding.reason == f"board and hub differ by {off:.3g} °C, allowed are 0.01 °C, {count} in a row"
    for at in range(11):
        test.compare(made(at), made(at, "board"), 0.01)
    assert test.level == level
    test.compare(made(11), made(11, "board"), 0.01)
    assert test.level == "ok"


@given(st.lists(st.booleans(), max_size=200))
def test_differences_that_do_not_last_are_no_fault(apart: list[bool]) -> None:
    test, run = Agreement(), 0
    for at, is_apart in enumerate(apart):
        run = run + 1 if is_apart else 0
        test.compare(made(at), made(at, "board", (20.0, 21.0 if is_apart else 20.5)), 0.01)
        if run >= Agreement.WARNING:
            assert test.level != "ok"
    if not any(all(apart[at : at + Agreement.WARNING]) for at in range(len(apart) - Agreement.WARNING + 1)):
        assert test.level == "ok"


def test_the_limits_of_integers_are_those_of_their_scale() -> None:
    assert limits_of(0.5, 0, 8, 0.1) == pytest.approx((-6.4, 6.35))
    assert limits_of(0.5, 28, 8, 0.1) == pytest.approx((-7.8, 4.95))
    assert limits_of(1 / 32768, 0, 16, 2.0) == pytest.approx((-2.0, 2.0), rel=1e-4)


def test_forecasts_at_a_limit_warn_and_then_alarm_and_end() -> None:
    test, levels = Saturation(), []
    for at in range(1000):
        change = 1.0 if 100 <= at < 200 else 0.9
        test.forecast(made(at, celsius=(20.0, 20.0 + change)), 20.0, (-1.0, 1.0))
        levels.append(test.level)
    changes = [level for at, level in enumerate(levels) if not at or level != levels[at - 1]]
    assert changes == ["ok", "warning", "alarm", "warning", "ok"]
    assert levels.index("warning") == 105
    assert test.finding().reason == ""


def board_beside(hub: Iterable[Event], silent: range = range(0)) -> list[Event]:
    """With the board's forecast after each of the hub's, but for those at some readings."""
    found: list[Event] = []
    for each in hub:
        found.append(each)
        if isinstance(each, StoredForecast) and number(each) not in silent:
            found.append(replace(each, source="board", received_ms=each.received_ms + 1))
    return found


def number(event: Event) -> int:
    """Of its reading."""
    return (event.time_ms - START_MS) // CADENCE_MS


def levels_of_silence(events: Iterable[Event]) -> dict[int, str]:
    """The levels after a reading and all that came of it, by the number of the reading at which they changed."""
    watch, found = Watch(RULES, lambda _: Model(CADENCE_MS)), {0: "ok"}
    for at, some in groupby(events, key=number):
        watched(watch, some)
        [said] = [each for each in watch.findings(0) if each.test == "silence"]
        assert bool(said.reason) == (said.level != "ok")
        if said.level != found[max(found)]:
            found[at] = said.level
    return found


def test_a_board_whose_readings_come_without_forecasts_is_told_until_it_makes_one() -> None:
    events = board_beside(Site(days=2).events(), silent=range(100, 140))
    assert levels_of_silence(events) == {0: "ok", 105: "warning", 123: "alarm", 140: "ok"}


def test_a_board_does_not_speak_again_by_another_version_on_the_hub() -> None:
    hub = (
        replace(each, version=2) if isinstance(each, StoredForecast) and number(each) >= 130 else each
        for each in Site(days=2).events()
    )
    assert levels_of_silence(board_beside(hub, silent=range(100, 290))) == {0: "ok", 105: "warning", 123: "alarm"}


@pytest.mark.parametrize("waited", [2, 16, 144])
def test_readings_that_come_at_once_after_an_outage_with_the_last_forecasts_are_no_silence(waited: int) -> None:
    first, last = 100, 100 + waited
    events = board_beside(Site(days=3).events(), silent=range(first, last - 15))
    back_ms = START_MS + last * CADENCE_MS

    def late(each: Event) -> Event:
        return replace(each, received_ms=max(each.received_ms, back_ms)) if number(each) >= first else each

    def order(each: Event) -> tuple[int, bool]:
        return each.received_ms, isinstance(each, StoredForecast)

    assert levels_of_silence(sorted(map(late, events), key=order)) == {0: "ok"}


def test_of_a_board_that_never_made_a_forecast_none_is_awaited() -> None:
    assert levels_of_silence(Site(days=3).events()) == {0: "ok"}


def test_a_board_that_is_silent_has_a_reason_in_steps() -> None:
    test = Silence()
    for at in range(8):
        test.reading(StoredReading(at, "a", at * CADENCE_MS, 0, at * CADENCE_MS), CADENCE_MS)
    assert test.finding().reason == "the board has made no forecast for 7 steps, and its readings come"


def test_a_state_is_as_good_as_a_rebuilt_one_within_what_the_image_allows_and_a_tenth_of_what_persistence_errs() -> (
    None
):
    watch = watched(Watch(RULES, lambda _: Model(CADENCE_MS, agreement=0.01)), Site(days=2).events())
    window, kept = watch.window("hub"), made(2 * STEPS_A_DAY, celsius=(20.0, 20.5))
    allowed = 0.01 + 0.1 * sum(window.persistence) / sum(window.counts)
    for off, apart in ((0.999, 0), (1.001, 1), (1.001, 2), (0.999, 0)):
        watch.compare_state(Restarted(kept, (20.0, 20.5 + off * allowed)))
        assert watch.state.faults.memory.apart == apart


def test_a_state_is_not_judged_by_a_version_that_the_watch_has_not_met() -> None:
    watch = watched(Watch(RULES, lambda _: Model(CADENCE_MS, agreement=0.01)), Site(days=1).events())
    assert watch.is_state_due
    watch.compare_state(Restarted(made(STEPS_A_DAY, version=2), (99.0, 99.0)))
    assert watch.state.faults.memory.compared == 0
    assert not watch.is_state_due


def test_a_watch_names_both() -> None:
    site = Site(days=3)
    model = Model(CADENCE_MS, agreement=0.01, limits=(-0.05, 0.05))
    watch = Watch(RULES, lambda _: model)
    for each in site.events():
        watched(watch, iter([each]))
        if isinstance(each, StoredForecast):
            watched(watch, iter([replace(each, source="board", celsius=tuple(value + 0.5 for value in each.celsius))]))
    found = {each.test: each for each in watch.findings(0)}
    assert found["agreement"].level == "alarm"
    assert found["agreement"].numbers["compared"] == 3 * STEPS_A_DAY - 3
    assert found["saturation"].level == "alarm"
    well = watched(Watch(RULES, lambda _: Model(CADENCE_MS, agreement=0.01, limits=(-5, 5))), site.events())
    assert {each.level for each in well.findings(0)} == {"ok"}


def test_what_was_not_matched_before_a_restart_is_matched_after_it() -> None:
    events = list(islice(Site(days=1).events(), 40))
    model = Model(CADENCE_MS, agreement=0.01)
    first = watched(Watch(RULES, lambda _: model), iter(events))
    second = Watch(RULES, lambda _: model, first.dump())
    forecasts = [each for each in events if isinstance(each, StoredForecast)]
    second.recall([], forecasts)
    watched(second, iter([replace(forecasts[-1], source="board")]))
    assert second.state.faults.agreement.compared == 1
