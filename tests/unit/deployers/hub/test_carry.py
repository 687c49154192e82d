"""Challengers in the second slots of boards: brought there, taken away, and in nobody's way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from deployers.hub.boards import Boards, NotInTestError, UnknownBoardError
from deployers.hub.busy import BoardBusyError, changing, giving_way
from deployers.hub.device import Record
from deployers.hub.keys import KeyFolder
from deployers.link import LinkLostError, LinkRefusedError
from deployers.protocol.messages import Message, Shadow, SlotState
from deployers.protocol.status import Status
from tests.board_firmware import CONFIRMED, TEST, Firmware, powered
from tests.board_twin import KEY, NO_CHALLENGER
from tests.connected_twin import Kept, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

BOARD = "board-1"
IMAGE = bytes(i * 7 & 255 for i in range(30_000))
LONG, OTHER = bytes(i * 13 & 255 for i in range(200_000)), bytes(i * 11 & 255 for i in range(40_000))
CARRIED = Shadow(5, 0)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    (tmp_path / f"{BOARD}.key").write_bytes(KEY)
    (tmp_path / f"{BOARD}.key").chmod(0o600)
    return KeyFolder(tmp_path)


@pytest.fixture
async def boards(keys: KeyFolder) -> AsyncIterator[Boards]:
    async with Boards(keys, Kept(), port=0) as boards:
        yield boards


@pytest.fixture
async def firmware(boards: Boards) -> AsyncIterator[Firmware]:
    async with powered(boards) as firmware:
        yield firmware


def asks_to_begin(kind: int, message: bytes) -> bool:
    """SHADOW with a version."""
    return kind == Message.SHADOW and message != bytes(4)


async def under_way(boards: Boards, firmware: Firmware, image: bytes = LONG) -> asyncio.Task[Shadow]:
    """A challenger of which a part is on the board."""
    task = asyncio.create_task(boards.carry(BOARD, 5, image))
    await until(lambda: len(firmware.image) > 8192)
    assert not task.done()
    return task


async def test_a_challenger_is_brought_and_the_board_does_not_restart(boards: Boards, firmware: Firmware) -> None:
    assert await boards.shadow(BOARD) == NO_CHALLENGER
    assert await boards.carry(BOARD, 5, IMAGE) == CARRIED == await boards.shadow(BOARD)
    assert (firmware.image, firmware.connections, firmware.state) == (IMAGE, 1, CONFIRMED)
    assert Message.INSTALL not in firmware.requests
    device = boards.device(BOARD)
    assert (device.busy, device.transfer is not None and device.transfer.done) == (None, len(IMAGE))


async def test_one_that_is_there_is_not_sent_again(boards: Boards, firmware: Firmware) -> None:
    await boards.carry(BOARD, 5, IMAGE)
    firmware.requests.clear()
    assert await boards.carry(BOARD, 5, IMAGE) == CARRIED
    assert firmware.requests == [Message.SHADOW]


async def test_another_hub_finds_what_the_board_carries(
    boards: Boards, firmware: Firmware, keys: KeyFolder, tmp_path: Path
) -> None:
    await boards.carry(BOARD, 5, IMAGE)
    port = boards.port
    await boards.stop()
    async with Boards(keys, Kept(), port=port) as again:
        firmware.requests.clear()
        assert await again.carry(BOARD, 5, IMAGE) == CARRIED
        assert (firmware.requests, firmware.connections) == ([Message.SHADOW], 2)


@pytest.mark.parametrize("kind", ["lose", "lose_before"])
@pytest.mark.parametrize("request_", [Message.TRANSFER_BEGIN, Message.TRANSFER_CHUNK, Message.SHADOW])
async def test_it_outlives_a_lost_connection(boards: Boards, firmware: Firmware, kind: str, request_: Message) -> None:
    getattr(firmware, kind).append(request_)
    assert await boards.carry(BOARD, 5, IMAGE) == CARRIED
    assert (firmware.image, firmware.connections) == (IMAGE, 2)


async def test_firmware_that_knows_no_challengers_is_sent_none(boards: Boards, firmware: Firmware) -> None:
    firmware.second.knows_challengers = False
    with pytest.raises(LinkRefusedError, match="SESSION_TYPE") as refused:
        await boards.carry(BOARD, 5, IMAGE)
    assert refused.value.status == Status.SESSION_TYPE
    assert (firmware.requests[-1], firmware.image) == (Message.SHADOW, b"")


async def test_a_board_that_refuses_the_image_says_why(boards: Boards, firmware: Firmware) -> None:
    firmware.second.refuses = Status.IMAGE_SIGNATURE
    with pytest.raises(LinkRefusedError, match="IMAGE_SIGNATURE"):
        await boards.carry(BOARD, 5, IMAGE)
    firmware.second.refuses, firmware.second.version_of = 0, lambda _: 6
    with pytest.raises(LinkRefusedError, match="SESSION_VERSION"):
        await boards.carry(BOARD, 5, IMAGE)
    assert (boards.device(BOARD).busy, firmware.image) == (None, b"")


@pytest.mark.parametrize("kind", ["lose", "lose_before", None])
async def test_it_is_taken_away_without_a_restart(boards: Boards, firmware: Firmware, kind: str | None) -> None:
    await boards.carry(BOARD, 5, IMAGE)
    if kind is not None:
        getattr(firmware, kind).append(Message.REVERT)
    for _ in range(2):
        assert await boards.leave(BOARD, 5) == NO_CHALLENGER
    assert firmware.connections == (1 if kind is None else 2)
    assert firmware.requests.count(Message.REVERT) == (2 if kind == "lose_before" else 1)


async def test_another_version_than_the_one_named_stays(boards: Boards, firmware: Firmware) -> None:
    await boards.carry(BOARD, 5, IMAGE)
    assert await boards.leave(BOARD, 6) == CARRIED
    assert Message.REVERT not in firmware.requests


async def test_a_version_in_test_is_not_taken_for_a_challenger(boards: Boards, firmware: Firmware) -> None:
    firmware.state = TEST
    assert await boards.leave(BOARD, TEST.model_version) == NO_CHALLENGER
    assert Message.REVERT not in firmware.requests


async def test_a_refusal_to_let_it_go_is_an_error_only_if_it_is_still_there(boards: Boards, firmware: Firmware) -> None:
    await boards.carry(BOARD, 5, IMAGE)
    firmware.answers[Message.REVERT] = (Status.SESSION_VERSION, b"")
    assert await boards.leave(BOARD, 5) == NO_CHALLENGER, "the first of two was done, and its answer lost"
    await boards.carry(BOARD, 5, IMAGE)
    firmware.second.revert = lambda _: False  # type: ignore[method-assign]
    with pytest.raises(LinkRefusedError, match="SESSION_VERSION"):
        await boards.leave(BOARD, 5)


async def test_a_board_that_has_no_key_here_is_an_error(boards: Boards) -> None:
    for request in (boards.shadow("board-9"), boards.carry("board-9", 5, IMAGE), boards.leave("board-9", 5)):
        with pytest.raises(UnknownBoardError):
            await request


# Who wins


async def test_a_deployment_takes_the_board_from_a_challenger_on_its_way(boards: Boards, firmware: Firmware) -> None:
    carrying = await under_way(boards, firmware)
    assert boards.device(BOARD).busy == "carry"
    assert await boards.transfer(BOARD, OTHER) == 0
    with pytest.raises(BoardBusyError, match="'board-1' is wanted for something else than 'carry'"):
        await carrying
    assert (firmware.image, firmware.connections) == (OTHER, 1), "and no byte of the other one is among them"
    assert await boards.install(BOARD) == TEST
    assert (await boards.confirm(BOARD, 5)).slot_state is SlotState.CONFIRMED


async def test_a_deployment_of_the_challenger_goes_on_where_it_was(boards: Boards, firmware: Firmware) -> None:
    carrying = await under_way(boards, firmware)
    assert await boards.transfer(BOARD, LONG) > 8192
    with pytest.raises(BoardBusyError):
        await carrying
    assert firmware.image == LONG


async def test_a_promoted_challenger_is_installed_from_what_is_there(boards: Boards, firmware: Firmware) -> None:
    await boards.carry(BOARD, 5, IMAGE)
    firmware.requests.clear()
    assert await boards.transfer(BOARD, IMAGE) == len(IMAGE)
    assert Message.TRANSFER_CHUNK not in firmware.requests
    assert await boards.install(BOARD) == TEST


@pytest.mark.parametrize("kind", ["lose", "lose_before"])
async def test_its_installation_outlives_a_lost_connection(boards: Boards, firmware: Firmware, kind: str) -> None:
    """Of what it carries a board says nothing in its state."""
    await boards.carry(BOARD, 5, IMAGE)
    getattr(firmware, kind).append(Message.INSTALL)
    assert await boards.install(BOARD) == TEST
    assert firmware.requests.count(Message.INSTALL) == (1 if kind == "lose" else 2)


@pytest.mark.parametrize("knows_challengers", [True, False])
async def test_a_board_that_comes_back_without_what_was_installed_is_not_asked_again(
    boards: Boards, firmware: Firmware, knows_challengers: bool
) -> None:
    firmware.second.knows_challengers, firmware.after_restart = knows_challengers, CONFIRMED
    firmware.answers[Message.LOG] = (0, bytes(4))
    with pytest.raises(NotInTestError, match="is back with version 4, CONFIRMED"):
        await boards.install(BOARD)
    assert firmware.requests.count(Message.INSTALL) == 1


async def test_a_deployment_does_not_wait_for_a_board_that_verifies_a_challenger(
    boards: Boards, firmware: Firmware
) -> None:
    firmware.hears = lambda kind, message: not asks_to_begin(kind, message)
    carrying = asyncio.create_task(boards.carry(BOARD, 5, IMAGE))
    await until(lambda: firmware.requests.count(Message.SHADOW) == 2)
    async with asyncio.timeout(5):
        await boards.transfer(BOARD, OTHER)
    with pytest.raises(BoardBusyError):
        await carrying
    assert firmware.image == OTHER


async def test_a_challenger_is_no_reason_to_take_a_board_from_anybody(boards: Boards, firmware: Firmware) -> None:
    deploying = asyncio.create_task(boards.transfer(BOARD, LONG))
    await until(lambda: len(firmware.image) > 8192)
    for request in (boards.carry(BOARD, 5, IMAGE), boards.leave(BOARD, 5)):
        with pytest.raises(BoardBusyError, match="'board-1' is busy with 'transfer'"):
            await request
    await deploying
    assert firmware.image == LONG


async def test_questions_are_answered_while_a_challenger_is_on_its_way(boards: Boards, firmware: Firmware) -> None:
    carrying = await under_way(boards, firmware)
    assert await boards.status(BOARD) == CONFIRMED
    assert await boards.shadow(BOARD) == NO_CHALLENGER
    assert await carrying == CARRIED


async def test_who_gives_up_carrying_leaves_the_board_free(boards: Boards, firmware: Firmware) -> None:
    carrying = await under_way(boards, firmware)
    carrying.cancel()
    await asyncio.gather(carrying, return_exceptions=True)
    await until(lambda: boards.device(BOARD).busy is None)
    assert (firmware.second.challenger, len(firmware.image) < len(LONG)) == (NO_CHALLENGER, True)
    assert await boards.carry(BOARD, 5, LONG) == CARRIED


async def test_a_board_that_is_gone_in_between_is_an_error(
    boards: Boards, firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.hub.boards.ABSENT_SECONDS", 0.05)
    carrying = await under_way(boards, firmware)
    firmware.key = bytes(32)  # nobody knows it with this one
    firmware.connected.cut()
    with pytest.raises(LinkLostError):
        await carrying
    assert boards.device(BOARD).busy is None


async def test_a_board_that_was_free_again_in_this_moment_is_waited_for_in_turn_with_the_others() -> None:
    """Between the end of a task and the call of its callbacks, which free the board, others have their turn."""
    record, over = Record(), asyncio.Event()
    carrying = asyncio.create_task(giving_way(BOARD, record, "carry", over.wait()))
    await until(lambda: record.giving_way)
    await asyncio.sleep(0)
    over.set()
    task = record.giving_way
    assert task is not None
    while not task.done():  # noqa: ASYNC110 - the very iteration of the loop in which it ends
        await asyncio.sleep(0)
    assert record.giving_way is task
    async with changing(BOARD, record, "transfer"):
        assert record.busy == "transfer"
    assert await carrying is True
    assert record.busy is None


async def test_of_two_that_take_a_board_from_a_challenger_one_is_told_that_it_is_busy(
    boards: Boards, firmware: Firmware
) -> None:
    carrying = await under_way(boards, firmware)
    both = asyncio.gather(boards.transfer(BOARD, OTHER), boards.transfer(BOARD, IMAGE), return_exceptions=True)
    found: list[Any] = await both
    assert sorted(type(each).__name__ for each in found) == ["BoardBusyError", "int"]
    assert firmware.image == (OTHER if found[0] == 0 else IMAGE)
    await asyncio.gather(carrying, return_exceptions=True)
