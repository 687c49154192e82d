"""How challengers leave boards, which of several is carried, and what is told of it."""

from __future__ import annotations

import asyncio

import pytest

from deployers.hub.jobs import DEPLOYMENT
from deployers.hub.monitor.models import Agreement, Carried
from deployers.hub.shadow import carrying as module
from deployers.protocol.messages import Message, Shadow
from deployers.protocol.status import Status
from tests.board_twin import NO_CHALLENGER
from tests.challenger_yard import FIRST, SECOND, Yard
from tests.connected_twin import until

pytestmark = pytest.mark.anyio


# The end


async def test_one_that_has_ended_is_taken_away_without_a_restart(yard: Yard) -> None:
    await yard.carrying.turn()
    yard.wanted = []
    await yard.carrying.turn()
    assert yard.carried() == [0, 0]
    assert [each.connections for each in yard.fleet.values()] == [1, 1]
    for each in yard.fleet.values():
        each.requests.clear()
    await yard.carrying.turn()
    assert [each.requests for each in yard.fleet.values()] == [[], []], "without a challenger nobody is asked again"


async def test_one_that_ended_while_the_board_was_away_is_taken_away_when_it_is_back(yard: Yard) -> None:
    yard.wanted = []
    await yard.carrying.turn()
    yard.fleet["board-2"].second.challenger = Shadow(9, 0)
    await yard.again("board-2")
    await yard.carrying.turn()
    assert yard.carried() == [0, 0]


async def test_one_that_became_active_stays_for_its_deployment_and_goes_if_it_is_not_kept(yard: Yard) -> None:
    await yard.carrying.turn()
    yard.wanted = []
    await yard.catalogue.activate(2)
    await yard.carrying.turn()
    assert yard.carried() == [2, 2]
    await yard.catalogue.activate(1)
    await yard.carrying.turn()
    assert yard.carried() == [0, 0]


async def test_nothing_is_taken_away_in_a_deployment(yard: Yard) -> None:
    await yard.carrying.turn()
    yard.wanted = []
    end = await yard.deploying(DEPLOYMENT)
    await yard.carrying.turn()
    assert yard.carried() == [2, 2]
    end.set()
    await until(lambda: not yard.jobs.running())
    await yard.carrying.turn()
    assert yard.carried() == [0, 0]


async def test_a_deployment_that_begins_while_boards_are_asked_keeps_what_they_carry(yard: Yard) -> None:
    await yard.carrying.turn()
    yard.wanted, asked = [], yard.boards.shadow

    async def slowly(board: str) -> Shadow:
        found = await asked(board)
        if not yard.jobs.running():
            await yard.deploying(DEPLOYMENT)
        return found

    yard.boards.shadow = slowly  # type: ignore[method-assign]
    await yard.carrying.turn()
    assert yard.carried() == [2, 2]


async def test_one_that_ends_while_boards_are_asked_is_not_brought_any_more(yard: Yard) -> None:
    asked = yard.boards.shadow

    async def slowly(board: str) -> Shadow:
        found = await asked(board)
        yard.wanted = []
        return found

    yard.boards.shadow = slowly  # type: ignore[method-assign]
    await yard.carrying.turn()
    assert yard.carried() == [0, 0]


# Several


async def test_of_two_the_one_that_began_first_is_carried_then_the_other(yard: Yard) -> None:
    yard.wanted = [FIRST, SECOND]
    await yard.carrying.turn()
    assert yard.carried() == [2, 2]
    assert yard.told(3) == [("waits", "version 2 began first, and one fits on a board")] * 2
    yard.wanted = [SECOND]
    await yard.carrying.turn()
    assert (yard.carried(), yard.told(3)) == ([3, 3], [("carries", "")] * 2)


async def test_where_the_first_is_refused_another_that_runs_may_stay_and_one_that_ended_goes(yard: Yard) -> None:
    yard.wanted = [SECOND]
    await yard.carrying.turn()
    for each in yard.fleet.values():
        each.answers[Message.TRANSFER_BEGIN] = (Status.SLOT_TOO_LARGE, bytes(4))
    yard.wanted = [FIRST, SECOND]
    for _ in range(2):
        await yard.carrying.turn()
    assert (yard.carried(), yard.told()) == ([3, 3], [("refused", "SLOT_TOO_LARGE")] * 2)
    yard.wanted = [FIRST]
    await yard.carrying.turn()
    assert (yard.carried(), yard.told()) == ([0, 0], [("refused", "SLOT_TOO_LARGE")] * 2)


# What they say


def carried(apart: float, count: int, version: int = 2) -> Carried:
    """A board whose last forecasts differ by so much."""
    agreement = Agreement(compared=30, worst=apart, allowed=0.01, apart=count, level="alarm" if count >= 24 else "ok")
    return Carried(version, 0, agreement)


async def test_rows_say_how_many_forecasts_were_compared_and_how_far_they_differ(yard: Yard) -> None:
    await yard.carrying.turn()
    yard.said["board-1"], yard.said["board-2"] = carried(0.00012345678, 0), carried(0.5, 0, version=3)
    usual = {"state": "carries", "reason": ""}
    assert yard.carrying.rows(2) == [
        {"board": "board-1", "forecasts": 30, "worst_celsius": 0.000123, **usual},
        {"board": "board-2", "forecasts": 0, "worst_celsius": None, **usual},
    ]


@pytest.mark.parametrize(("count", "version"), [(23, 2), (24, 3)], ids=["not so long", "another version"])
async def test_a_board_is_no_reason_to_end_it_before_it_would_be_an_alarm(yard: Yard, count: int, version: int) -> None:
    yard.said["board-2"] = carried(0.5, count, version)
    assert yard.carrying.disagreement(2) == ""


async def test_a_board_that_answers_otherwise_for_long_is_named(yard: Yard) -> None:
    yard.said["board-2"] = carried(0.5, 25)
    assert yard.carrying.disagreement(2) == (
        "board 'board-2' answers otherwise than the hub: 25 forecasts in a row differ, by 0.5 °C at most, "
        "allowed are 0.01 °C"
    )


# The task


async def test_boards_are_visited_when_a_challenger_begins_and_every_minute(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, yard.wanted = yard.wanted, []
    yard.carrying.start(lambda: yard.wanted)
    await asyncio.sleep(0.01)
    yard.wanted = wanted
    yard.carrying.wake()
    await until(lambda: yard.carried() == [2, 2])
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.01)
    yard.carrying.wake()
    yard.wanted = []
    await until(lambda: yard.carried() == [0, 0])
    await yard.carrying.stop()


async def test_a_hub_that_stops_leaves_what_was_on_its_way(yard: Yard) -> None:
    yard.catalogue.image = lambda version: b"image %d " % version * 40_000  # type: ignore[method-assign]
    yard.carrying.start(lambda: yard.wanted)
    yard.carrying.wake()
    await until(lambda: len(yard.fleet["board-1"].image) > 8192)
    await yard.carrying.stop()
    assert yard.carried() == [0, 0]
    await until(lambda: yard.boards.device("board-1").busy is None)
    there = len(yard.fleet["board-1"].image)
    yard.begin()
    await yard.carrying.turn()
    assert yard.carried() == [2, 2]
    found = yard.boards.device("board-1").transfer
    assert found is not None
    assert found.resumed >= there
    assert yard.fleet["board-1"].second.challenger != NO_CHALLENGER
