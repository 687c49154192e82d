"""The hub's boards, against boards in Python on real connections."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from deployers.hub.boards import Boards, NotInTestError, UnknownBoardError
from deployers.hub.busy import BoardBusyError
from deployers.hub.device import Transfer
from deployers.hub.keys import KeyFolder, is_board_id
from deployers.link import LinkLostError, LinkRefusedError
from deployers.protocol import messages
from deployers.protocol.messages import BoardState, Message, Reading, Readings, SlotState
from deployers.protocol.status import Status
from tests.board_firmware import CONFIRMED, TEST, Firmware, powered
from tests.board_twin import KEY, BoardTwin
from tests.connected_twin import ConnectedTwin, Kept, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

IMAGE = bytes(i * 7 & 255 for i in range(30_000))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    write_key(tmp_path, "board-1", KEY)
    write_key(tmp_path, "board-2", bytes(32))
    return KeyFolder(tmp_path)


def write_key(folder: Path, board: str, key: bytes, mode: int = 0o600) -> None:
    (folder / f"{board}.key").write_bytes(key)
    (folder / f"{board}.key").chmod(mode)


@pytest.fixture
async def boards(keys: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Boards]:
    monkeypatch.setattr("deployers.hub.boards._WATCH_SECONDS", 0.05)
    async with Boards(keys, Kept(), port=0, clock=lambda: 1_000_000) as boards:
        yield boards


@pytest.fixture
async def firmware(boards: Boards) -> AsyncIterator[Firmware]:
    async with powered(boards) as firmware:
        yield firmware


@pytest.mark.parametrize("name", ["board-1", "a", "A.b_c-9", "0123456789abcdef"])
def test_ids_that_boards_may_have(name: str) -> None:
    assert is_board_id(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-a", "a b", "ä", "a\n", "a\0b", "0123456789abcdefg"])
def test_names_that_could_be_something_else_have_no_key(name: str, tmp_path: Path) -> None:
    assert not is_board_id(name)
    (tmp_path / "x.key").write_bytes(KEY)
    assert KeyFolder(tmp_path / "boards")(name) is None


def test_keys_of_another_length_or_that_others_may_read_are_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_key(tmp_path, "short", bytes(31))
    write_key(tmp_path, "open", bytes(32), 0o640)
    write_key(tmp_path, "good", bytes(32))
    keys = KeyFolder(tmp_path)
    assert (keys("short"), keys("open"), keys("absent"), keys("good")) == (None, None, None, bytes(32))
    assert "31 bytes, mode 600; expected 32 bytes, mode 600" in caplog.text
    assert "32 bytes, mode 640" in caplog.text
    assert keys.ids() == {"short", "open", "good"}


async def test_devices_shows_all_that_have_a_key(boards: Boards, firmware: Firmware) -> None:
    one, two = boards.devices()
    assert (one.id, one.online, one.state, one.busy, one.transfer) == ("board-1", True, CONFIRMED, None, None)
    assert one.hello is not None
    assert one.hello.firmware_version == (0, 1, 0)
    assert one.last_seen_ms is not None
    assert 1_000_000 - 60_000 < one.last_seen_ms <= 1_000_000
    assert one.counters.connections == 1
    assert (two.id, two.online, two.state, two.hello, two.last_seen_ms) == ("board-2", False, None, None, None)
    assert replace(boards.device("board-1"), last_seen_ms=one.last_seen_ms) == one  # which goes by the clock
    with pytest.raises(UnknownBoardError, match=r"'board-3': expected one that has a key here \(board-1, board-2\)"):
        boards.device("board-3")


async def test_a_board_that_is_not_there_is_an_error(boards: Boards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployers.hub.boards.ABSENT_SECONDS", 0.05)
    for request in (boards.status("board-2"), boards.log("board-2"), boards.transfer("board-2", IMAGE)):
        with pytest.raises(LinkLostError, match=r"board 'board-2' did not connect within 0\.05 s"):
            await request
    with pytest.raises(UnknownBoardError):
        await boards.status("board-3")
    with pytest.raises(UnknownBoardError):
        await boards.install("board-3")


async def test_an_image_is_brought_installed_and_confirmed(boards: Boards, firmware: Firmware) -> None:
    seen: list[int] = []
    assert await boards.transfer("board-1", IMAGE, lambda done, _: seen.append(done)) == 0
    assert boards.device("board-1").transfer == Transfer(len(IMAGE), len(IMAGE), 0)
    assert firmware.image == IMAGE
    assert (seen[0], seen[-1], seen) == (0, len(IMAGE), sorted(seen))
    assert await boards.install("board-1") == TEST
    assert boards.device("board-1").state == TEST
    assert (await boards.confirm("board-1", 5)).slot_state is SlotState.CONFIRMED
    assert boards.device("board-1").state == firmware.state


@pytest.mark.parametrize("chunk", [1, 9, 20])
async def test_a_transfer_goes_on_over_a_cut_connection(boards: Boards, firmware: Firmware, chunk: int) -> None:
    def cut_at(done: int, total: int) -> None:
        if done >= 1024 * chunk and firmware.connections == 1:
            firmware.connected.cut()

    assert await boards.transfer("board-1", IMAGE, cut_at) == 0
    assert firmware.image == IMAGE
    assert firmware.connections == 2
    assert firmware.requests.count(Message.TRANSFER_BEGIN) == 2
    assert boards.device("board-1").transfer == Transfer(len(IMAGE), len(IMAGE), 0)


async def test_a_transfer_that_another_hub_began_goes_on(boards: Boards, firmware: Firmware) -> None:
    firmware.image += IMAGE[:10_000]
    assert await boards.transfer("board-1", IMAGE) == 10_000
    assert boards.device("board-1").transfer == Transfer(len(IMAGE), len(IMAGE), 10_000)


async def test_a_transfer_that_makes_no_step_ahead_ends(boards: Boards, firmware: Firmware) -> None:
    firmware.lose_before = [int(Message.TRANSFER_BEGIN)] * 100
    with pytest.raises(LinkLostError):
        await boards.transfer("board-1", IMAGE)
    assert firmware.requests.count(Message.TRANSFER_BEGIN) == 4
    assert boards.device("board-1").busy is None


async def test_two_requests_that_change_one_board_conflict(boards: Boards, firmware: Firmware) -> None:
    firmware.answers[Message.LOG] = (0, bytes(4))
    first = asyncio.create_task(boards.transfer("board-1", IMAGE))
    await asyncio.sleep(0)
    assert boards.device("board-1").busy == "transfer"
    for request, name in (
        (boards.transfer("board-1", IMAGE), "transfer"),
        (boards.install("board-1"), "install"),
        (boards.confirm("board-1", 5), "confirm"),
        (boards.revert("board-1", 5), "revert"),
    ):
        with pytest.raises(
            BoardBusyError, match=f"'board-1' is busy with 'transfer': wait for its end before '{name}'"
        ):
            await request
    assert await boards.log("board-1") == ""
    await first
    assert firmware.image == IMAGE
    assert await boards.transfer("board-1", IMAGE) == len(IMAGE)


@pytest.mark.parametrize("kind", ["lose", "lose_before"])
async def test_an_installation_outlives_a_lost_connection(boards: Boards, firmware: Firmware, kind: str) -> None:
    firmware.state = replace(CONFIRMED, transfer_offset=30_000)
    getattr(firmware, kind).append(Message.INSTALL)
    assert await boards.install("board-1") == TEST
    assert firmware.requests.count(Message.INSTALL) == (1 if kind == "lose" else 2)


async def test_an_installation_that_is_repeated_finds_the_image_in_test(boards: Boards, firmware: Firmware) -> None:
    firmware.state = TEST
    assert await boards.install("board-1") == TEST
    assert Message.INSTALL not in firmware.requests


async def test_a_board_that_refuses_the_image_is_an_error(boards: Boards, firmware: Firmware) -> None:
    firmware.answers[Message.INSTALL] = (Status.IMAGE_SIGNATURE, b"")
    with pytest.raises(LinkRefusedError, match="IMAGE_SIGNATURE"):
        await boards.install("board-1")
    assert boards.device("board-1").busy is None


async def test_a_board_that_comes_back_without_the_image_is_an_error(boards: Boards, firmware: Firmware) -> None:
    firmware.after_restart = CONFIRMED
    firmware.answers[Message.LOG] = (0, bytes(4))
    with pytest.raises(
        NotInTestError, match=r"is back with version 4, CONFIRMED, status OK, expected the new one"
    ) as no:
        await boards.install("board-1")
    assert no.value.state == CONFIRMED
    assert no.value.exit_code == 9


async def test_a_board_that_does_not_come_back_is_an_error(boards: Boards, firmware: Firmware) -> None:
    firmware._act = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001 - it does not restart
    with pytest.raises(LinkLostError, match=r"'board-1' is not back within 0\.2 s"):
        await boards.install("board-1", seconds=0.2)


@pytest.mark.parametrize("kind", ["lose", "lose_before", None])
async def test_a_revert_outlives_a_lost_connection_and_may_be_repeated(
    boards: Boards, firmware: Firmware, kind: str | None
) -> None:
    firmware.state = TEST
    if kind is not None:
        getattr(firmware, kind).append(Message.REVERT)
    assert await boards.revert("board-1", 5) == CONFIRMED
    asked = firmware.requests.count(Message.REVERT)
    assert await boards.revert("board-1", 5) == CONFIRMED
    assert firmware.requests.count(Message.REVERT) == asked


@pytest.mark.parametrize("kind", ["lose", "lose_before"])
async def test_a_confirmation_outlives_a_lost_connection(boards: Boards, firmware: Firmware, kind: str) -> None:
    firmware.state = TEST
    getattr(firmware, kind).append(Message.CONFIRM)
    assert (await boards.confirm("board-1", 5)).slot_state is SlotState.CONFIRMED
    assert firmware.requests.count(Message.CONFIRM) == 2


async def test_time_is_set(boards: Boards, firmware: Firmware) -> None:
    await boards.set_time("board-1", 77)
    assert firmware.connected.board.requests[-1] == (Message.TIME, messages.encode_time(77))


@pytest.mark.parametrize("change", ["another key", "no key"])
async def test_a_board_whose_key_changes_is_dropped(
    boards: Boards, firmware: Firmware, tmp_path: Path, change: str
) -> None:
    other = BoardTwin(bytes(32), "board-2")
    async with ConnectedTwin(boards.port, other) as twin:
        await twin.opened()
        if change == "no key":
            (tmp_path / "board-1.key").unlink()
        else:
            write_key(tmp_path, "board-1", bytes(range(1, 33)))
        await until(lambda: firmware.connections >= 3)
        online = {device.id: device.online for device in boards.devices()}
        assert online.get("board-1", False) is False
        assert online["board-2"]


async def test_a_new_key_counts_without_a_restart(boards: Boards, tmp_path: Path) -> None:
    write_key(tmp_path, "board-9", bytes(range(9, 41)))
    async with ConnectedTwin(boards.port, BoardTwin(bytes(range(9, 41)), "board-9")) as twin:
        await twin.opened()
        assert boards.device("board-9").online


async def test_states_are_asked_for_now_and_then(
    boards: Boards, firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.hub.boards._STATUS_SECONDS", 0.1)
    newer: BoardState = replace(CONFIRMED, ring_next=42)
    firmware.state = newer
    await until(lambda: boards.device("board-1").state == newer)


async def test_readings_are_counted_by_board(boards: Boards, firmware: Firmware) -> None:
    await firmware.connected.send(Message.READINGS, Readings(0, 0, (Reading(1, 2), Reading(3, 4))).encode())
    await firmware.connected.wait(lambda board: board.acknowledged == 2)
    assert boards.device("board-1").counters.readings == 2
    assert boards.device("board-2").counters.readings == 0
