"""A challenger in a board's second slot: it forecasts beside the model that runs, and neither disturbs the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployers.lab.board import VirtualBoard
from deployers.link import LinkRefusedError
from deployers.protocol import messages
from deployers.protocol.messages import Message, Shadow, SlotState
from deployers.protocol.status import Status
from tests.board_driving import (
    confirm,
    install,
    log_of,
    powered,
    reading,
    sense,
    slot_of,
    state,
    status_of,
    transfer,
    with_confirmed,
)
from tests.board_image import cell, forged, golden, image, public_point
from tests.memory_board import KEY, MemoryBoard

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Iterator
    from pathlib import Path

NONE = Shadow(0, 0)


@pytest.fixture
def board(library: ctypes.CDLL, tmp_path: Path) -> Iterator[MemoryBoard]:
    with powered(library, tmp_path) as found:
        with_confirmed(found, 1)
        yield found


def challenger(version: int) -> bytes:
    """Another network than the one that runs, so that one is not taken for the other."""
    return image(version, model=cell("gru float32 4x16x6"), model_type=0)


def ask(board: MemoryBoard, version: int = 0) -> tuple[int, Shadow]:
    answer = board.request(Message.SHADOW, messages.encode_u32(version))
    assert answer is not None
    return answer.status, Shadow.decode(answer.body)


def carry(board: MemoryBoard, data: bytes, version: int) -> int:
    return transfer(board, data) or ask(board, version)[0]


def test_a_challenger_forecasts_at_every_reading_beside_the_model_that_runs(board: MemoryBoard) -> None:
    assert ask(board) == (Status.OK, NONE)
    restarts = board.restarts
    assert carry(board, challenger(2), 2) == Status.OK
    assert ask(board) == (Status.OK, Shadow(2, 0))
    made = state(board).forecasts
    sense(board, 3, 30)
    assert sorted(board.shadows) == list(range(3, 30))
    for number, beside in board.shadows.items():
        own = board.forecasts[number]
        assert (own.model_version, own.slot_state) == (1, SlotState.CONFIRMED)
        assert (beside.model_version, beside.time_ms) == (2, own.time_ms)
        assert beside.celsius != own.celsius
    assert slot_of(board) == (SlotState.CONFIRMED, 1)
    assert state(board).forecasts == made + 27, "it does not count as forecasts of the model that runs"
    assert board.restarts == restarts


def test_the_model_that_runs_answers_as_it_would_alone(board: MemoryBoard) -> None:
    sense(board, 3, 40)
    alone = {number: forecast.celsius for number, forecast in board.forecasts.items()}
    board.library.memory_board_wipe()
    board.new_session()
    board.readings.clear()
    board.forecasts.clear()
    board.connect()
    with_confirmed(board, 1)
    sense(board, 3, 20)
    assert carry(board, challenger(2), 2) == Status.OK
    sense(board, 20, 30)
    assert status_of(board, Message.REVERT, messages.encode_u32(2)) == Status.OK
    sense(board, 30, 40)
    assert {number: forecast.celsius for number, forecast in board.forecasts.items()} == alone


def test_a_challenger_answers_as_it_does_once_it_runs(board: MemoryBoard) -> None:
    assert carry(board, challenger(2), 2) == Status.OK
    sense(board, 3, 40)
    beside = {number: forecast.celsius for number, forecast in board.shadows.items()}
    board.library.memory_board_wipe()
    board.new_session()
    board.readings.clear()
    board.connect()
    with_confirmed(board, 1)
    assert install(board, challenger(2)) == Status.OK
    sense(board, 3, 40)
    assert {number: board.forecasts[number].celsius for number in range(3, 40)} == beside


def test_a_challenger_is_there_after_a_reset_and_goes_on_where_it_was(board: MemoryBoard) -> None:
    assert carry(board, challenger(2), 2) == Status.OK
    sense(board, 3, 30)
    board.reset()
    board.connect()
    assert slot_of(board) == (SlotState.CONFIRMED, 1)
    assert ask(board) == (Status.OK, Shadow(2, 0))
    sense(board, 30, 33)
    after_reset = [board.shadows[number].celsius for number in range(30, 33)]
    board.library.memory_board_wipe()
    board.new_session()
    board.readings.clear()
    board.shadows.clear()
    board.connect()
    with_confirmed(board, 1)
    assert carry(board, challenger(2), 2) == Status.OK
    sense(board, 3, 33)
    assert [board.shadows[number].celsius for number in range(30, 33)] == after_reset


def test_a_challenger_is_promoted_without_being_sent_again(board: MemoryBoard) -> None:
    data = challenger(2)
    assert carry(board, data, 2) == Status.OK
    answer = board.request(Message.TRANSFER_BEGIN, messages.encode_transfer_begin(data))
    assert answer is not None
    assert (answer.status, messages.decode_u32(answer.body, "offset")) == (Status.OK, len(data))
    assert ask(board) == (Status.OK, Shadow(2, 0)), "it is not ended by that"
    assert install(board, data) == Status.OK
    assert slot_of(board) == (SlotState.TEST, 2)
    assert ask(board) == (Status.OK, NONE)
    shadows = len(board.shadows)
    sense(board, 3, 6)
    assert confirm(board, 2) == Status.OK
    assert slot_of(board) == (SlotState.CONFIRMED, 2)
    assert len(board.shadows) == shadows
    assert carry(board, challenger(3), 3) == Status.OK, "the slot of the version before is free for the next one"


def test_a_promoted_challenger_goes_back_as_any_other(board: MemoryBoard) -> None:
    assert carry(board, challenger(2), 2) == Status.OK
    assert install(board, challenger(2)) == Status.OK
    board.reset()
    board.connect()
    assert slot_of(board) == (SlotState.CONFIRMED, 1)
    assert ask(board) == (Status.OK, NONE)
    assert carry(board, challenger(2), 2) == Status.OK


def test_a_challenger_ends_and_the_board_runs_on(board: MemoryBoard) -> None:
    assert carry(board, challenger(2), 2) == Status.OK
    sense(board, 3, 6)
    session, restarts, shadows = board.session, board.restarts, dict(board.shadows)
    assert status_of(board, Message.REVERT, messages.encode_u32(3)) == Status.SESSION_VERSION
    assert status_of(board, Message.REVERT, messages.encode_u32(2)) == Status.OK
    assert ask(board) == (Status.OK, NONE)
    for _ in range(5):
        board.step(1000)
    assert (board.restarts, board.session) == (restarts, session), "no restart, no new connection"
    sense(board, 6, 9)
    assert board.shadows == shadows
    assert sorted(board.forecasts) == list(range(9))
    board.reset()
    board.connect()
    assert ask(board) == (Status.OK, NONE)


def test_another_image_takes_the_challengers_place(board: MemoryBoard) -> None:
    assert carry(board, challenger(2), 2) == Status.OK
    assert transfer(board, image(3)) == Status.OK
    assert ask(board) == (Status.OK, NONE)
    before = len(board.shadows)
    sense(board, 3, 6)
    assert len(board.shadows) == before
    assert install(board, image(3)) == Status.OK
    assert slot_of(board) == (SlotState.TEST, 3)
    log = log_of(board)
    assert "challenger, version 2" in log
    assert "challenger ended, version 2" in log


@pytest.mark.parametrize(
    ("data", "version", "status"),
    [
        (image(2, seed=2), 2, Status.IMAGE_KEY),
        (forged(image(2)), 2, Status.IMAGE_SIGNATURE),
        (image(0), 0x10000, Status.IMAGE_VERSION),
        (image(2), 3, Status.SESSION_VERSION),
        (image(2, model=b"no model here"), 2, Status.NN_NOT_TFLITE),
        (image(2, golden_vectors=golden(celsius=35.0)), 2, Status.GOLDEN_MISMATCH),
    ],
)
def test_a_challenger_that_is_refused_leaves_the_model_that_runs(
    board: MemoryBoard, data: bytes, version: int, status: Status
) -> None:
    assert transfer(board, data) == Status.OK
    assert ask(board, version) == (status, Shadow(0, status))
    assert ask(board) == (Status.OK, Shadow(0, status)), "why it is gone can be asked for"
    sense(board, 3, 6)
    assert board.shadows == {}
    assert sorted(board.forecasts) == list(range(6))
    assert carry(board, challenger(4), 4) == Status.OK


def test_what_was_not_transferred_whole_is_no_challenger(board: MemoryBoard) -> None:
    data = challenger(2)
    assert ask(board, 2)[0] == Status.SLOT_NO_TRANSFER
    begun = board.request(Message.TRANSFER_BEGIN, messages.encode_transfer_begin(data))
    assert begun is not None
    chunk = board.request(Message.TRANSFER_CHUNK, messages.encode_u32(0) + data[: messages.CHUNK_MAX])
    assert chunk is not None
    assert ask(board, 2)[0] == Status.SLOT_INCOMPLETE
    assert carry(board, data, 2) == Status.OK, "the transfer goes on"


def test_beside_a_model_in_test_there_is_no_room(board: MemoryBoard) -> None:
    assert install(board, image(2)) == Status.OK
    assert ask(board, 3) == (Status.SLOT_EMPTY, NONE)
    assert transfer(board, challenger(3)) == Status.SLOT_IN_USE
    assert slot_of(board) == (SlotState.TEST, 2)


def test_forecasts_of_both_wait_for_the_link(board: MemoryBoard) -> None:
    assert carry(board, challenger(2), 2) == Status.OK
    board.reach(False)
    for number in range(3, 10):
        board.sense(reading(number))
    board.reach(True)
    board.connect()
    board.settle()
    assert sorted(board.shadows) == list(range(3, 10))
    assert sorted(board.forecasts) == list(range(10))
    assert state(board).forecasts_dropped == 0


@pytest.mark.parametrize("kind", ["native", "mps2_an500"])
def test_a_virtual_board_carries_a_challenger(kind: str, tmp_path: Path) -> None:
    with VirtualBoard(kind, key=KEY, state_folder=tmp_path, public_key=public_point()) as board:
        board.install(image(1))
        board.feed([reading(number) for number in range(3)])
        board.confirm()
        with pytest.raises(LinkRefusedError, match="SLOT_NO_TRANSFER"):
            board.link.shadow(2)
        board.link.transfer(challenger(2))
        assert board.link.shadow(2) == Shadow(2, 0)
        forecasts = board.feed([reading(number) for number in range(3, 20)])
        assert [forecast.model_version for forecast in forecasts] == [1] * 17
        assert sorted(board.diary.shadows) == list(range(3, 20))
        board.power_off()
        board.power_on()
        assert board.link.shadow(0) == Shadow(2, 0)
        board.feed([reading(20)])
        assert 20 in board.diary.shadows
        board.install(challenger(2))
        board.feed([reading(21)])
        board.confirm()
        assert board.link.status().model_version == 2
        assert board.link.shadow(0) == Shadow(0, 0)
