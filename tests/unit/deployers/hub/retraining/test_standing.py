"""What the retrainer says of itself, and what it does with what a real monitor finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deployers.hub.monitor.service import Monitor
from deployers.hub.monitor.watch import Model, Watch
from deployers.hub.settings import MonitorSection
from deployers.hub.store import StoredReading, retrainings
from deployers.hub.store.watching import Cursor, Remembered
from tests.hub_parts import MemoryCatalogue
from tests.monitoring import CADENCE_MS, RULES, Site, watched
from tests.retraining import BEGIN_MS, DAY_MS, DECAYED, STUCK, found
from tests.unit.deployers.hub.retraining.test_service import ANSWERS

if TYPE_CHECKING:
    from deployers.hub.retraining.service import Retrainer
    from tests.unit.deployers.hub.retraining.conftest import Bench

pytestmark = pytest.mark.anyio


async def test_the_standing_says_what_is_allowed_and_why_not(bench: Bench) -> None:
    await bench.readings("a", "b")
    await bench.readings("c", days=2)
    bench.says.found = {"b": found(DECAYED, STUCK)}
    retrainer = bench.make(ANSWERS, every_days=2, per_week=2)
    await retrainer.ask("a", "because", "me")
    ended = await bench.ended(1)
    bench.wait(1)
    standing = await retrainer.standing()
    rows = {row["series"]: row for row in standing["series"]}
    assert not rows["a"]["allowed"]
    assert rows["a"]["why_not"] == "'a' cools down for 23.0 h more (cooldown_hours)"
    assert rows["a"]["cooldown_until_ms"] == (ended.ended_ms or 0) + 24 * 3_600_000
    assert rows["a"]["next_ms"] == (ended.started_ms or 0) + 48 * 3_600_000
    assert rows["b"]["due"] == "alarm"
    assert "test 'stuck' is alarm" in rows["b"]["why_not"]
    assert "readings of 2 days, 3 are wanted" in rows["c"]["why_not"]
    assert standing["budget"] == {"per_week": 2, "used": 1, "left": 1, "free_ms": None}
    assert (standing["running"], standing["waiting"]) == (None, [])
    assert standing["requests"] == [ended.as_dict()]
    bench.says.found = {}
    assert {row["series"]: row["allowed"] for row in (await retrainer.standing())["series"]}["b"]


async def test_the_standing_shows_fifty_requests_and_when_the_budget_is_free_again(bench: Bench) -> None:
    await bench.readings("a")
    retrainer = bench.make(ANSWERS, per_week=1)
    long_ago = BEGIN_MS - 20 * DAY_MS
    old = {"asked_ms": long_ago, "started_ms": long_ago, "ended_ms": long_ago, "state": "done"}
    for _ in range(60):
        wanted = retrainings.Retraining(0, "a", "person", "", "because", {}, **old)  # type: ignore[arg-type]
        await bench.store.change(lambda there, wanted=wanted: retrainings.add(there, wanted))
    await retrainer.ask("a", "because", "me")
    row = await bench.ended(61)
    standing = await retrainer.standing()
    assert [each["id"] for each in standing["requests"]] == list(range(61, 11, -1))
    assert standing["budget"]["free_ms"] == (row.started_ms or 0) + 7 * 24 * 3_600_000


async def test_figures_are_of_states_and_budget(bench: Bench) -> None:
    await bench.readings("a")
    retrainer = bench.make(ANSWERS)
    await retrainer.start()
    await retrainer.ask("a", "because", "me")
    await bench.ended(1)
    figures = await retrainer.figures()
    assert figures["requests"] == {"waiting": 0, "running": 0, "done": 1, "failed": 0, "refused": 0}
    assert figures["budget"] == {"used": 1, "left": 2}


def watching(bench: Bench, celsius: Any = None) -> Watch:
    """40 days of a series whose model decays after 30; then what its sensor says every ten minutes."""
    watch: Watch = watched(Watch(RULES, lambda _: Model(CADENCE_MS)), Site(days=40, worse=1.2, worse_from=30).events())
    last = watch.state.last_ms or 0
    for step in range(400 if celsius is not None else 0):
        time_ms = last + (step + 1) * CADENCE_MS
        watch.reading(StoredReading(9000 + step, "board-1", time_ms, round(celsius * 1e6), time_ms + 1000))
    bench.now_ms = (watch.state.last_ms or 0) + 1000
    return watch


async def with_monitor(bench: Bench, watch: Watch) -> Retrainer:
    """A retrainer on a monitor that goes on where another one stopped."""
    await bench.readings("board-1")
    await bench.store.remember(Remembered(Cursor(9, 0), {"board-1": watch.dump()}, []))
    bench.says = Monitor(bench.store, MemoryCatalogue(1), MonitorSection(), lambda: bench.now_ms / 1000)  # type: ignore[assignment, arg-type]
    await bench.says.start()  # type: ignore[attr-defined]
    await bench.says.stop()  # type: ignore[attr-defined]
    return bench.make(ANSWERS)


async def test_what_the_monitor_finds_of_a_decayed_model_retrains_it(bench: Bench) -> None:
    retrainer = await with_monitor(bench, watching(bench))
    await retrainer.turn()
    row = await bench.ended(1)
    assert (row.state, row.trigger, row.numbers["test"], row.numbers["version"]) == ("done", "alarm", "skill", 1)
    assert "deficit" in row.reason


async def test_the_same_alarm_beside_a_sensor_that_is_stuck_is_refused(bench: Bench) -> None:
    retrainer = await with_monitor(bench, watching(bench, 21.5))
    await retrainer.turn()
    row = await bench.ended(1)
    assert row.state == "refused"
    assert row.answer is not None
    assert (row.answer["sensor"], row.answer["test"]) == ("board-1", "stuck")
    assert "stuck at 21.5 °C for" in row.answer["reason"]
    assert bench.jobs.list() == []
