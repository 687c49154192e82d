"""What viewers are shown: fresh within a second, asked for once, and what comes late is not lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import ValidationError

from deployers.exceptions import ServiceUnavailable
from deployers.hub import livepage
from deployers.hub.livepage import chart
from deployers.hub.viewing import FRESH_SECONDS, NAMES_SECONDS, SERIES_MOST, WHOLE_SECONDS, Recent, Viewing, Wish
from tests.page_hub import STEP_MS, FakeHub, FakeStore, device, filled, forecast, model, reading


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub() -> FakeHub:
    return filled(300)


@pytest.fixture
def viewing(hub: FakeHub, clock: Clock) -> Viewing:
    return Viewing(hub, clock, lambda: 1_700_000_000.5)  # type: ignore[arg-type]


def ask(viewing: Viewing, **wish: Any) -> dict[str, Any]:
    return asyncio.run(viewing.answer(Wish(**wish)))


def last(answer: dict[str, Any]) -> int:
    return int(answer["chosen"]["chart"]["lines"]["readings"][-1][0])


def test_the_first_answer_has_everything(viewing: Viewing) -> None:
    answer = ask(viewing)
    assert answer["now_ms"] == 1_700_000_000_500
    assert answer["series"][-3:] == ["board-2", "board-3", "kitchen/window"]
    assert (answer["chosen"]["series"], answer["chosen"]["cadence_ms"], answer["chosen"]["lead"]) == (
        "board-1",
        STEP_MS,
        6,
    )
    assert answer["chosen"]["error"]["board"]["model"] < answer["chosen"]["error"]["board"]["persistence"]
    assert answer["chosen"]["newest"]["hub"]["version"] == 7
    assert (answer["active_version"], answer["way_back"], answer["devices_total"]) == (7, 8, 5)
    assert answer["jobs"] == []


def test_many_viewers_cost_one_question_and_one_view_a_second(
    viewing: Viewing, hub: FakeHub, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked_out: list[int] = []
    monkeypatch.setattr(livepage, "chart", lambda *given: worked_out.append(1) or chart(*given))

    async def crowd() -> None:
        for second in range(1, 3):
            wishes = [Wish(hours=hours) for hours in ("1", "6", "24", "168") for _ in range(10)]
            await asyncio.gather(*map(viewing.answer, wishes))
            assert (hub.store.questions, len(worked_out)) == (second, 4 * second)
            clock.now += FRESH_SECONDS

    asyncio.run(crowd())


def test_new_readings_come_as_an_increment(viewing: Viewing, hub: FakeHub, clock: Clock) -> None:
    since = last(ask(viewing, series="board-1"))
    hub.store.step("board-1", 300)
    clock.now += FRESH_SECONDS
    chart = ask(viewing, series="board-1", since=since)["chosen"]["chart"]
    assert chart["from_ms"] is not None
    assert [time for time, _ in chart["lines"]["readings"]] == [since, reading(300).time_ms]
    assert chart["kept"]["readings"] > 140


def test_what_comes_late_is_there_after_a_while(viewing: Viewing, hub: FakeHub, clock: Clock) -> None:
    late = hub.store.kept["board-1"].pop(250)
    before = ask(viewing)["chosen"]["chart"]["lines"]["readings"]
    hub.store.kept["board-1"].insert(250, late)
    clock.now += FRESH_SECONDS
    assert len(ask(viewing)["chosen"]["chart"]["lines"]["readings"]) == len(before)
    clock.now += WHOLE_SECONDS
    after = ask(viewing)["chosen"]["chart"]["lines"]["readings"]
    assert [point for point in after if point not in before] == [[late.time_ms, round(late.celsius, 4)]]


def test_a_forecast_that_is_stored_after_its_reading_is_not_missed(
    viewing: Viewing, hub: FakeHub, clock: Clock
) -> None:
    hub.store.kept["board-1"].append(reading(300))
    assert ask(viewing)["chosen"]["newest"]["hub"]["time_ms"] == reading(299).time_ms
    hub.store.made.append(forecast("board-1", "hub", 300))
    clock.now += FRESH_SECONDS
    assert ask(viewing)["chosen"]["newest"]["hub"]["time_ms"] == reading(300).time_ms


def test_another_series_is_answered_whole(viewing: Viewing) -> None:
    answer = ask(viewing, series="kitchen/window", since=reading(30).time_ms)
    assert answer["chosen"]["series"] == "kitchen/window"
    assert answer["chosen"]["chart"]["from_ms"] is not None
    unknown = ask(viewing, series="nobody", since=reading(30).time_ms)
    assert (unknown["chosen"]["series"], unknown["chosen"]["chart"]["from_ms"]) == ("board-1", None)


def test_a_series_without_forecasts_has_readings_alone(viewing: Viewing) -> None:
    chosen = ask(viewing, series="kitchen/window")["chosen"]
    assert (chosen["horizon"], chosen["error"], chosen["newest"]) == (
        0,
        {"board": None, "hub": None},
        {"board": None, "hub": None},
    )
    assert len(chosen["chart"]["lines"]["readings"]) == 40


def test_a_board_without_readings_has_no_chart(viewing: Viewing) -> None:
    assert ask(viewing, series="board-2")["chosen"]["chart"] is None


def test_a_hub_without_anything_answers(clock: Clock) -> None:
    hub = FakeHub()
    hub.catalogue.active = None
    answer = ask(Viewing(hub, clock))  # type: ignore[arg-type]
    assert (answer["series"], answer["chosen"], answer["active_version"], answer["way_back"]) == ([], None, None, None)


def test_without_a_model_the_step_is_guessed(viewing: Viewing, hub: FakeHub) -> None:
    hub.catalogue.active = None
    assert 590_000 < ask(viewing)["chosen"]["cadence_ms"] < 610_000


def test_names_are_sent_once_and_new_boards_are_named_at_once(viewing: Viewing, hub: FakeHub, clock: Clock) -> None:
    stamp = ask(viewing)["series_stamp"]
    assert ask(viewing, names=stamp)["series"] is None
    hub.store.kept["attic"] = [reading(1)]
    hub.fleet.append(device("board-9", None, 5))
    assert "board-9" in ask(viewing, names=stamp)["series"]
    assert "attic" not in ask(viewing)["series"]
    clock.now += NAMES_SECONDS
    assert "attic" in ask(viewing)["series"]


def test_tables_are_as_fresh_as_readings(viewing: Viewing, hub: FakeHub, clock: Clock) -> None:
    ask(viewing)
    hub.catalogue.found[10] = model(10)
    assert 10 not in [row["version"] for row in ask(viewing)["models"]]
    clock.now += FRESH_SECONDS
    assert 10 in [row["version"] for row in ask(viewing)["models"]]


def test_memory_is_bounded_by_the_number_of_series(viewing: Viewing, hub: FakeHub) -> None:
    for number in range(SERIES_MOST + 5):
        hub.store.kept[f"s{number}"] = [reading(1)]
    for number in range(SERIES_MOST + 5):
        ask(viewing, series=f"s{number}")
    questions = hub.store.questions
    ask(viewing, series=f"s{SERIES_MOST + 4}")  # is still known
    assert hub.store.questions == questions
    ask(viewing, series="s0")  # was forgotten, though it is fresh
    assert hub.store.questions == questions + 1


def test_a_store_that_does_not_answer_is_asked_again_at_once(clock: Clock) -> None:
    class Broken(FakeStore):
        async def readings(self, *given: Any, **named: Any) -> Any:
            self.questions += 1
            msg = "the disk is gone"
            raise ServiceUnavailable(msg)

    store, recent = Broken(), Recent()
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            asyncio.run(recent.view(store, "a", clock.now, 0, Wish()))  # type: ignore[arg-type]
    assert store.questions == 2


@pytest.mark.parametrize(
    "wish",
    [{"hours": "5"}, {"lead": 0}, {"lead": 33}, {"since": -1}, {"names": "x" * 9}, {"series": "x" * 130}, {"sql": "1"}],
)
def test_a_wish_that_cannot_be_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Wish(**wish)


def test_a_lead_beyond_the_horizon_is_the_furthest(viewing: Viewing) -> None:
    assert ask(viewing, lead=30)["chosen"]["lead"] == 6
    assert ask(viewing, lead=2)["chosen"]["lead"] == 2


def test_the_answer_is_bounded(clock: Clock) -> None:
    hub = FakeHub()
    hub.store.kept["a"] = [reading(step) for step in range(20_000)]
    hub.store.made = [forecast("a", source, step) for source in ("board", "hub") for step in range(15_000, 20_000)]
    hub.fleet = [device(f"board-{number}", None, None) for number in range(2000)]
    answer = ask(Viewing(hub, clock), series="a", hours="168")  # type: ignore[arg-type]
    assert max(len(line) for line in answer["chosen"]["chart"]["lines"].values()) <= 600
    assert len(json.dumps(answer)) < 80_000
