"""A model's way onto a board: installed, in test, confirmed; or refused, reverted, and what ran before runs on."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest

from deployers.lab.board import VirtualBoard
from deployers.link import LinkRefusedError
from deployers.protocol import messages
from deployers.protocol.messages import BoardState, Message, Reading, SlotState
from deployers.protocol.status import Status
from tests.board_image import CADENCE_MS, HORIZON, START_MS, golden, image, public_point
from tests.memory_board import KEY, MemoryBoard, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEST_MS = 60_000


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    return load()


@pytest.fixture
def board(library: ctypes.CDLL, tmp_path: Path) -> Iterator[MemoryBoard]:
    board = MemoryBoard(library, tmp_path, public_point(), TEST_MS)
    board.reach(True)
    board.connect()
    yield board
    board.reach(False)


def reading(number: int) -> Reading:
    return Reading(START_MS + number * CADENCE_MS, 20_000_000 + number * 62_500 % 3_000_000)


def sense(board: MemoryBoard, first: int, after: int) -> None:
    for number in range(first, after):
        board.sense(reading(number))
    board.settle()


def status_of(board: MemoryBoard, kind: Message, message: bytes = b"") -> int:
    answer = board.request(kind, message)
    assert answer is not None
    return answer.status


def state(board: MemoryBoard) -> BoardState:
    answer = board.request(Message.STATUS)
    assert answer is not None
    return BoardState.decode(answer.body)


def slot_of(board: MemoryBoard) -> tuple[SlotState, int]:
    found = state(board)
    return found.slot_state, found.model_version


def install(board: MemoryBoard, data: bytes) -> int:
    answer = board.request(Message.TRANSFER_BEGIN, messages.encode_transfer_begin(data))
    assert answer is not None
    while (offset := messages.decode_u32(answer.body, "offset")) < len(data):
        chunk = data[offset : offset + messages.CHUNK_MAX]
        answer = board.request(Message.TRANSFER_CHUNK, messages.encode_u32(offset) + chunk)
        assert answer is not None
        assert answer.status == Status.OK
    status = status_of(board, Message.INSTALL)
    board.settle()
    board.connect()
    return status


def confirm(board: MemoryBoard, version: int) -> int:
    return status_of(board, Message.CONFIRM, messages.encode_u32(version))


def with_confirmed(board: MemoryBoard, version: int) -> None:
    assert install(board, image(version)) == Status.OK
    sense(board, len(board.readings), len(board.readings) + 3)
    assert confirm(board, version) == Status.OK


def test_an_image_is_installed_forecasts_in_test_and_is_confirmed(board: MemoryBoard) -> None:
    sense(board, 0, 5)
    assert board.forecasts == {}
    assert install(board, image(7)) == Status.OK
    assert board.restarts == 1
    assert slot_of(board) == (SlotState.TEST, 7)
    assert confirm(board, 7) == Status.SESSION_NOT_PROVEN
    sense(board, 5, 8)
    assert sorted(board.forecasts) == [5, 6, 7]
    forecast = board.forecasts[7]
    assert (forecast.model_version, forecast.slot_state, len(forecast.celsius)) == (7, SlotState.TEST, HORIZON)
    assert forecast.celsius[0] == pytest.approx(reading(7).celsius, abs=0.5)
    assert confirm(board, 6) == Status.SESSION_VERSION
    assert confirm(board, 7) == Status.OK
    assert confirm(board, 7) == Status.OK
    assert slot_of(board) == (SlotState.CONFIRMED, 7)
    board.reset()
    board.connect()
    assert slot_of(board) == (SlotState.CONFIRMED, 7)
    assert state(board).lowest_version == 7


def test_a_reset_in_test_goes_back(board: MemoryBoard) -> None:
    with_confirmed(board, 1)
    assert install(board, image(2)) == Status.OK
    sense(board, 3, 6)
    board.reset()
    board.connect()
    assert slot_of(board) == (SlotState.CONFIRMED, 1)
    assert state(board).lowest_version == 1


def test_an_image_that_is_not_confirmed_in_time_is_reverted(board: MemoryBoard) -> None:
    with_confirmed(board, 1)
    assert install(board, image(2)) == Status.OK
    sense(board, 3, 6)
    assert slot_of(board) == (SlotState.TEST, 2)
    before = board.restarts
    for _ in range(TEST_MS // 1000 + 5):
        board.step(1000)
    assert board.restarts == before + 1
    board.connect()
    assert slot_of(board) == (SlotState.CONFIRMED, 1)


def test_an_image_can_be_reverted(board: MemoryBoard) -> None:
    with_confirmed(board, 1)
    assert install(board, image(2)) == Status.OK
    assert status_of(board, Message.REVERT, messages.encode_u32(1)) == Status.SESSION_VERSION
    assert status_of(board, Message.REVERT, messages.encode_u32(2)) == Status.OK
    board.settle()
    board.connect()
    assert slot_of(board) == (SlotState.CONFIRMED, 1)
    sense(board, 3, 5)
    assert board.forecasts[4].model_version == 1


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (image(2, seed=2), Status.IMAGE_KEY),
        (image(2)[:-1] + b"\x00", Status.IMAGE_SIGNATURE),
        (image(0), Status.IMAGE_VERSION),
        (image(2, model=b"no model here"), Status.NN_NOT_TFLITE),
        (image(2, golden_vectors=golden(celsius=35.0)), getattr(Status, "GOLDEN_MISMATCH", -1)),
    ],
)
def test_what_a_board_refuses_leaves_the_model_before_it(board: MemoryBoard, data: bytes, status: Status) -> None:
    with_confirmed(board, 1)
    assert install(board, data) == status
    assert slot_of(board) == (SlotState.CONFIRMED, 1)
    before = len(board.forecasts)
    sense(board, 3, 6)
    assert len(board.forecasts) == before + 3
    assert install(board, image(3)) == Status.OK


def test_the_state_is_rebuilt_from_the_kept_readings(board: MemoryBoard) -> None:
    with_confirmed(board, 1)
    sense(board, 3, 40)
    without_reset = dict(board.forecasts)
    board.library.memory_board_wipe()
    board.new_session()
    board.readings.clear()
    board.connect()
    with_confirmed(board, 1)
    sense(board, 3, 39)
    board.reset()
    board.connect()
    sense(board, 39, 40)
    assert board.forecasts[39].celsius == without_reset[39].celsius


def test_forecasts_that_wait_for_the_link_arrive_with_their_readings(board: MemoryBoard) -> None:
    with_confirmed(board, 1)
    board.reach(False)
    for number in range(3, 13):
        board.sense(reading(number))
    board.reach(True)
    board.connect()
    board.settle()
    assert sorted(board.forecasts) == list(range(13))
    assert state(board).forecasts_dropped == 0


@pytest.mark.parametrize("kind", ["native", "mps2_an500"])
def test_a_virtual_board_takes_a_model_and_forecasts(kind: str, tmp_path: Path) -> None:
    with VirtualBoard(kind, key=KEY, state_folder=tmp_path, public_key=public_point()) as board:
        board.feed([reading(number) for number in range(10)])
        with pytest.raises(LinkRefusedError, match="IMAGE_SIGNATURE"):
            board.install(image(2)[:-1] + b"\x00")
        board.install(image(2))
        forecasts = board.feed([reading(number) for number in range(10, 30)])
        assert [forecast.reading for forecast in forecasts] == list(range(10, 30))
        board.confirm()
        board.power_off()
        board.power_on()
        assert board.link.status().slot_state is SlotState.CONFIRMED
        assert len(board.feed([reading(30)])) == 1
        board.install(image(3))
        board.revert()
        assert board.link.status().model_version == 2
        assert "model reverted, version 3" in board.link.log()
