"""The monitor's comparison of a challenger on a board with the same one on the hub, and nothing else by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from deployers.hub.monitor import told
from deployers.hub.monitor.watch import Model, Watch
from deployers.hub.store import StoredForecast, StoredReading
from tests.monitoring import CADENCE_MS, RULES, START_MS, Site
from tests.unit.deployers.hub.monitor.conftest import Field
from tests.unit.deployers.hub.shadow.test_watched import days_of, given, model_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


def carried(days: int = 2, off: float = 0.0, version: int = 2, hubs: int = 2) -> Iterator[object]:
    """A site with a challenger on hub and board, whose forecast comes before the reading it was made at."""
    held: list[StoredForecast] = []
    for each in Site(days=days).events():
        if isinstance(each, StoredForecast):
            more = replace(each, source="shadow", version=hubs)
            ahead = tuple(value + off for value in each.celsius)
            held += [replace(more, source="board-shadow", version=version, celsius=ahead)]
            yield from (held.pop(), each, more)
        else:
            yield each


def compared(watch: Watch) -> tuple[int, int, str]:
    """Of its challenger: the version, how many forecasts, and what came of them."""
    found = watch.state.carried
    return found.version, found.agreement.compared, found.agreement.level


def known(version: int) -> Model:
    """Versions 2 and 3 say to agree to a hundredth."""
    return model_of(version)._replace(agreement=0.01)


def test_it_is_compared_by_the_rule_that_holds_for_the_champion() -> None:
    watch = given(Watch(RULES, known), carried(off=0.009))
    assert compared(watch) == (2, 2 * 144 - 3, "ok")
    assert watch.state.carried.agreement.worst == pytest.approx(0.009)
    watch = given(Watch(RULES, known), carried(off=0.011))
    assert (compared(watch)[2], watch.state.carried.agreement.worst) == ("alarm", pytest.approx(0.011))


def test_a_series_is_told_of_as_if_the_board_carried_nothing() -> None:
    alone = given(Watch(RULES, known), (each for each in carried() if not is_of_the_board(each)))
    beside = given(Watch(RULES, known), carried(off=7.0))
    assert compared(beside)[2] == "alarm"
    assert told.row("board-1", beside, 0) == told.row("board-1", alone, 0)
    assert beside.findings(0) == alone.findings(0)
    assert told.detail("board-1", beside, [], 0, None) == told.detail("board-1", alone, [], 0, None)
    assert days_of(beside) == days_of(alone)
    assert replace(beside.state, carried=alone.state.carried) == alone.state


def is_of_the_board(each: object) -> bool:
    return isinstance(each, StoredForecast) and each.source == "board-shadow"


def test_without_a_board_that_carries_it_nothing_of_a_challenger_is_held() -> None:
    watch = given(Watch(RULES, known), (each for each in carried() if not is_of_the_board(each)))
    assert compared(watch) == (0, 0, "ok")
    assert watch._challengers._held == {}  # noqa: SLF001 - what is held is what is tested


def test_another_version_is_a_comparison_of_its_own() -> None:
    watch = given(Watch(RULES, known), carried(off=1.0, hubs=3))
    assert compared(watch) == (2, 0, "ok")
    first = given(Watch(RULES, known), carried(off=1.0))
    given(first, (replace(each, version=3) for each in carried() if is_of_the_board(each)))  # type: ignore[type-var]
    assert compared(first) == (3, 0, "ok")


def test_of_a_version_that_is_not_installed_any_more_nothing_is_said() -> None:
    watch = given(Watch(RULES, lambda version: model_of(1) if version == 1 else None), carried(off=1.0))
    assert compared(watch) == (2, 0, "ok")


@pytest.mark.parametrize("back", [0, 1, 2])
def test_after_a_restart_each_reading_is_compared_once(back: int) -> None:
    """Wherever the restart falls: between the forecasts of board and hub, or after both."""
    events = list(carried(off=1.0))
    cut = 4 * 100 - back
    first = given(Watch(RULES, known), iter(events[:cut]))
    second = Watch(RULES, known, first.dump())
    past = events[:cut][-200:]
    made = sorted((each for each in past if isinstance(each, StoredForecast)), key=lambda each: each.time_ms)
    second.recall([each for each in past if not isinstance(each, StoredForecast)], made)  # type: ignore[misc]
    assert compared(second) == compared(first)
    given(second, iter(events[cut:]))
    assert compared(second) == (2, 2 * 144 - 3, "alarm")


async def test_the_monitor_forgets_it_where_it_begins_again(tmp_path: Path) -> None:
    field = Field(f"sqlite:///{tmp_path / 'hub.db'}")
    async with field.store:
        for at in range(30):
            time_ms = START_MS + at * CADENCE_MS
            hub = StoredForecast("a", "hub", time_ms, 1, 0, (20.0,), time_ms)
            both = [replace(hub, source=source, version=2) for source in ("board-shadow", "shadow")]
            await field.arrive([StoredReading(0, "a", time_ms, 20_000_000, time_ms), hub, *both])
        monitor = await field.monitor()
        found = monitor.carried("a")
        assert found is not None
        assert (found.version, found.agreement.compared, monitor.carried("b")) == (2, 30, None)
        await monitor.forget_carried(3)
        assert monitor.carried("a") is found
        await monitor.forget_carried(2)
        assert monitor.carried("a") is None
        await monitor.turn()
        again = await field.monitor()
        assert again.carried("a") is None, "after a restart, too"
