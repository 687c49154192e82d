"""Which boards carry which challenger, with boards in Python on real connections."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from deployers.hub.jobs import DEPLOYMENT, held
from deployers.protocol.messages import Message, Shadow, SlotState
from deployers.protocol.status import Status
from tests.board_firmware import CONFIRMED
from tests.challenger_yard import FIRST, Yard
from tests.connected_twin import until

pytestmark = pytest.mark.anyio


# What boards carry


async def test_every_board_carries_the_challenger_and_is_not_sent_it_twice(yard: Yard) -> None:
    await yard.carrying.turn()
    assert yard.carried() == [2, 2]
    assert yard.told() == [("carries", ""), ("carries", "")]
    for each in yard.fleet.values():
        each.requests.clear()
    await yard.carrying.turn()
    assert [each.requests for each in yard.fleet.values()] == [[Message.SHADOW]] * 2
    assert yard.told() == [("carries", ""), ("carries", "")]


async def test_after_a_restart_of_the_hub_boards_are_asked_and_left_as_they_are(yard: Yard) -> None:
    await yard.carrying.turn()
    yard.begin()
    assert yard.told() == [("waits", "its turn comes within a minute")] * 2
    for each in yard.fleet.values():
        each.requests.clear()
    await yard.carrying.turn()
    assert yard.told() == [("carries", ""), ("carries", "")]
    assert [each.requests for each in yard.fleet.values()] == [[Message.SHADOW]] * 2


async def test_a_board_that_was_away_gets_it_when_it_is_back(yard: Yard) -> None:
    yard.fleet["board-1"].state = replace(CONFIRMED, model_version=1)
    yard.fleet["board-2"].key = bytes(32)  # it is not let in with this one
    yard.fleet["board-2"].connected.cut()
    await until(lambda: not yard.boards.device("board-2").online)
    await yard.carrying.turn()
    assert yard.told() == [("carries", ""), ("waits", "it is not connected")]
    yard.fleet["board-2"].key = bytes([2]) * 32
    await until(lambda: yard.boards.device("board-2").online)
    assert yard.told()[1] == ("waits", "its turn comes within a minute")
    await yard.carrying.turn()
    assert (yard.carried(), yard.told()) == ([2, 2], [("carries", ""), ("carries", "")])


async def test_a_board_that_carries_it_and_goes_is_said_to_carry_it(yard: Yard) -> None:
    await yard.carrying.turn()
    yard.fleet["board-2"].key = bytes(32)
    yard.fleet["board-2"].connected.cut()
    await until(lambda: not yard.boards.device("board-2").online)
    assert yard.told() == [("carries", ""), ("carries", "it is not connected")]


async def test_a_link_that_is_lost_again_and_again_holds_up_no_other_board(yard: Yard) -> None:
    yard.fleet["board-1"].lose_before = [int(Message.TRANSFER_BEGIN)] * 100
    await yard.carrying.turn()
    assert yard.carried() == [0, 2]
    assert yard.told()[0][0] == "waits"
    yard.fleet["board-1"].lose_before = []
    await until(lambda: yard.boards.device("board-1").online)
    await yard.carrying.turn()
    assert yard.carried() == [2, 2]


async def test_whatever_one_board_answers_the_others_have_their_turn(yard: Yard, caplog: Any) -> None:
    yard.fleet["board-1"].answers[Message.TRANSFER_BEGIN] = (0, b"")
    yard.fleet["board-1"].second = SimpleNamespace(  # type: ignore[assignment]
        knows_challengers=True, challenger=Shadow(0, 0), shadow=lambda *_: 0
    )
    await yard.again("board-1")
    yard.fleet["board-1"].second.challenger = SimpleNamespace(encode=lambda: b"?")  # type: ignore[assignment]
    await yard.carrying.turn()
    assert yard.fleet["board-2"].second.challenger.version == 2
    assert yard.told()[0][0] == "waits"
    assert "board board-1 carries no challenger now" in caplog.text


# Boards that do not


async def test_old_firmware_is_asked_once_a_connection(yard: Yard) -> None:
    old = yard.fleet["board-1"]
    old.second.knows_challengers = False
    for _ in range(3):
        await yard.carrying.turn()
    assert old.requests.count(Message.SHADOW) == 1
    assert (Message.TRANSFER_BEGIN in old.requests, yard.carried()) == (False, [0, 2])
    assert yard.told() == [("unable", "its firmware carries no challengers"), ("carries", "")]
    old.second.knows_challengers = True
    await yard.again("board-1")
    await yard.carrying.turn()
    assert yard.told() == [("carries", ""), ("carries", "")]


async def test_a_board_that_refuses_it_is_tried_again_on_another_connection_or_when_it_begins_anew(yard: Yard) -> None:
    sulky = yard.fleet["board-1"]
    sulky.second.refuses = Status.NN_ARENA
    for _ in range(3):
        await yard.carrying.turn()
    assert sulky.requests.count(Message.TRANSFER_BEGIN) == 1
    assert yard.told() == [("refused", "NN_ARENA"), ("carries", "")]
    await yard.again("board-1")
    await yard.carrying.turn()
    assert sulky.requests.count(Message.TRANSFER_BEGIN) == 2
    sulky.second.refuses = 0
    await yard.carrying.turn()
    assert yard.told()[0] == ("refused", "NN_ARENA")
    yard.wanted = [FIRST._replace(since_ms=5000)]
    await yard.carrying.turn()
    assert yard.told() == [("carries", ""), ("carries", "")]


async def test_one_that_is_there_and_forecasts_nothing_is_told_with_its_status(yard: Yard) -> None:
    yard.fleet["board-1"].second.challenger = Shadow(2, Status.NN_ARENA)
    await yard.carrying.turn()
    assert yard.told()[0] == ("refused", "it makes no forecasts with it: NN_ARENA")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"slot_state": SlotState.TEST, "model_version": 4}, "no confirmed model runs on it"),
        ({"slot_state": SlotState.NONE, "model_version": 0}, "no confirmed model runs on it"),
        ({"model_status": Status.NN_ARENA}, "no confirmed model runs on it"),
        ({"model_version": 2}, "it runs version 2 itself"),
    ],
    ids=["in test", "none", "does not run", "itself"],
)
async def test_only_beside_a_confirmed_model(yard: Yard, state: dict[str, Any], why: str) -> None:
    yard.fleet["board-1"].state = replace(CONFIRMED, **{"model_version": 1, **state})
    await yard.boards.status("board-1")
    await yard.carrying.turn()
    assert yard.told() == [("waits", why), ("carries", "")]
    assert Message.TRANSFER_BEGIN not in yard.fleet["board-1"].requests


# Deployments


@pytest.mark.parametrize("holds", [DEPLOYMENT, held("board-1")])
async def test_a_board_in_a_deployment_is_not_touched_and_has_its_turn_afterwards(yard: Yard, holds: str) -> None:
    """Between transfer and installation no request is under way, and the slot holds what will be installed."""
    end = await yard.deploying(holds)
    await yard.boards.transfer("board-1", b"image 7 " * 100)
    yard.fleet["board-1"].requests.clear()
    await yard.carrying.turn()
    assert yard.fleet["board-1"].requests == []
    assert yard.told()[0] == ("waits", "a deployment comes first")
    assert yard.fleet["board-1"].image == b"image 7 " * 100
    end.set()
    await until(lambda: not yard.jobs.running())
    await yard.carrying.turn()
    assert yard.carried() == [2, 2]


async def test_a_deployment_that_begins_while_boards_are_asked_is_seen(yard: Yard) -> None:
    asked = yard.boards.shadow

    async def slowly(board: str) -> Shadow:
        found = await asked(board)
        if board == "board-1" and not yard.jobs.running():
            await yard.deploying(held(board))
        return found

    yard.boards.shadow = slowly  # type: ignore[method-assign]
    await yard.carrying.turn()
    assert yard.told()[0] == ("waits", "a deployment comes first")
    assert yard.fleet["board-1"].requests.count(Message.TRANSFER_BEGIN) == 0


async def test_a_deployment_takes_the_board_and_the_challenger_comes_back_after_it(yard: Yard) -> None:
    board = yard.fleet["board-1"]
    board.hears = lambda kind, message: kind != Message.SHADOW or message == bytes(4)  # it verifies for very long
    turn = asyncio.create_task(yard.carrying.turn())
    await until(lambda: board.requests.count(Message.SHADOW) == 3)
    end = await yard.deploying(held("board-1"))
    image = b"image 7 " * 5000
    assert await yard.boards.transfer("board-1", image) == 0
    await turn
    board.hears = lambda *_: True
    assert board.image == image
    assert yard.told()[0][0] == "waits"
    assert "is wanted for something else" in yard.told()[0][1]
    assert (await yard.boards.install("board-1")).slot_state is SlotState.TEST
    await yard.boards.confirm("board-1", 5)
    end.set()
    await until(lambda: not yard.jobs.running())
    await yard.carrying.turn()
    assert yard.carried() == [2, 2]


async def test_a_challenger_whose_slot_a_deployment_took_is_brought_again(yard: Yard) -> None:
    await yard.carrying.turn()
    yard.fleet["board-1"].answers[Message.INSTALL] = (Status.IMAGE_SIGNATURE, b"")
    await yard.boards.transfer("board-1", b"image 7 " * 100)
    assert yard.carried() == [0, 2]
    await yard.carrying.turn()
    assert yard.carried() == [2, 2]
