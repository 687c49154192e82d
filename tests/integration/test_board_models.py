"""A model's way onto a board: installed, in test, confirmed; or refused, reverted, and what ran before runs on."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest

from deployers.lab.board import VirtualBoard
from deployers.link import LinkRefusedError
from deployers.protocol import messages
from deployers.protocol.frame import TAGGED, Frame
from deployers.protocol.messages import Message, Reading, SlotState
from deployers.protocol.status import Status
from tests.board_driving import (
    TEST_MS,
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
from tests.board_image import HORIZON, cell, forged, golden, image, public_point
from tests.memory_board import KEY, MemoryBoard
from tests.vectors.cells import gru_cell
from tests.vectors.tflite_file import TfliteFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAMAGED = {Status.WIRE_MAGIC, Status.WIRE_HEADER, Status.WIRE_LENGTH, Status.WIRE_CRC}


@pytest.fixture
def board(library: ctypes.CDLL, tmp_path: Path) -> Iterator[MemoryBoard]:
    with powered(library, tmp_path) as found:
        yield found


def with_unknown_operator() -> bytes:
    file = TfliteFile()
    x, y = (file.tensor((1, 4), "int8", 1 / 256, -128) for _ in range(2))
    file.operator("SOFTMAX", [x], [y])
    return file.pack([x], [y])


def test_an_image_whose_transfer_was_cut_arrives_whole(board: MemoryBoard) -> None:
    """Link and power fail together, at every 149th byte, and nothing but the rest is sent again."""
    with_confirmed(board, 1)
    data = image(2)
    for cut in range(60, len(data), 149):
        session, acknowledged = board.session, 0
        board.cut_after(to_board=cut)
        answer = board.request(Message.TRANSFER_BEGIN, messages.encode_transfer_begin(data))
        while answer is not None and acknowledged < len(data):
            chunk = data[acknowledged : acknowledged + messages.CHUNK_MAX]
            answer = board.request(Message.TRANSFER_CHUNK, messages.encode_u32(acknowledged) + chunk)
            acknowledged = messages.decode_u32(answer.body, "offset") if answer else acknowledged
        board.cut_after()
        board.reset()
        board.connect()
        assert board.session is not session
        answer = board.request(Message.TRANSFER_BEGIN, messages.encode_transfer_begin(data))
        assert answer is not None
        assert messages.decode_u32(answer.body, "offset") >= acknowledged - 64, cut
        assert install(board, data) == Status.OK
        assert slot_of(board) == (SlotState.TEST, 2)
        assert status_of(board, Message.REVERT, messages.encode_u32(2)) == Status.OK
        board.settle()
        board.connect()
        assert slot_of(board) == (SlotState.CONFIRMED, 1)


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
        (forged(image(2)), Status.IMAGE_SIGNATURE),
        (image(0), Status.IMAGE_VERSION),
        (image(2, firmware=0x000200), Status.IMAGE_FIRMWARE),
        (image(2, arena_bytes=20_000), Status.IMAGE_LIMIT),
        (image(2, model_type=9), Status.IMAGE_TLV),
        (image(2, model=b"no model here"), Status.NN_NOT_TFLITE),
        (image(2, model=cell()[:-1000]), Status.NN_TRUNCATED),
        (image(2, model=with_unknown_operator()), Status.NN_OPERATOR),
        (image(2, model=gru_cell("int8", 4, 900, 6, seed=1).file), Status.SLOT_TOO_LARGE),
        (image(2, model=gru_cell("float32", 4, 2, 4000, seed=1).file), Status.NN_ARENA),
        (image(2, model=gru_cell("int8", 3, 8, 6, seed=1).file), Status.FORECAST_MODEL),
        (image(2, golden_vectors=golden(celsius=35.0)), Status.GOLDEN_MISMATCH),
        (image(2, golden_vectors=golden()[:-1]), Status.GOLDEN_LENGTH),
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


def test_a_damaged_frame_is_refused_and_the_link_goes_on(board: MemoryBoard) -> None:
    """Every bit of a request in turn: the board says that it could not read it, and answers the next one."""
    session = board.session
    session.request(Message.STATUS)
    length = len(session.output())
    for bit in range(8 * length):
        if board.session is not session:
            session = board.session
        request = session.request(Message.STATUS)
        frame = bytearray(session.output())
        frame[bit // 8] ^= 1 << bit % 8
        board.library.memory_board_write(bytes(frame), ctypes.c_size_t(length))
        board.settle()
        assert request not in board.answers, bit
        assert board.refusals, bit
        assert {refusal.status for refusal in board.refusals} <= DAMAGED, bit
        board.refusals.clear()
        assert status_of(board, Message.STATUS) == Status.OK
        assert board.session is session, bit


def test_damaged_readings_and_forecasts_come_again(board: MemoryBoard) -> None:
    """Every seventh bit of what carries a reading and its forecast."""
    with_confirmed(board, 1)
    length = 12 + 20 + 4 * HORIZON + 8 + 4 + 12 + 10 + 12 + 8 + 4
    for number, bit in enumerate(range(0, 8 * length, 7), len(board.readings)):
        board.damage = bit
        board.sense(reading(number))
        board.settle()
        assert board.damage is None, bit
        assert board.readings[number] == reading(number), bit
        assert board.forecasts[number].celsius[0] == pytest.approx(reading(number).celsius, abs=1.0)
    assert state(board).forecasts_dropped == 0


def test_a_hub_without_the_key_gets_nothing(board: MemoryBoard) -> None:
    sense(board, 0, 3)
    board.reach(False)
    board.sense(reading(3))
    board.key = bytes(32)
    board.reach(True)
    board.new_session()
    for _ in range(30):
        board.step(100)
        assert not board.session.is_open
    assert set(board.readings) == {0, 1, 2}
    board.key = KEY
    board.reach(False)
    board.reach(True)
    board.connect()
    board.settle()
    assert set(board.readings) == {0, 1, 2, 3}
    assert log_of(board).endswith("hub and board do not know each other\n")


def test_who_repeats_or_makes_up_frames_is_refused(board: MemoryBoard) -> None:
    request = board.session.request(Message.STATUS)
    frame = board.session.output()
    board.library.memory_board_write(frame, ctypes.c_size_t(len(frame)))
    board.settle()
    assert request in board.answers
    board.library.memory_board_write(frame, ctypes.c_size_t(len(frame)))
    made_up = Frame(Message.REVERT, request + 1, messages.encode_u32(0) + bytes(8), TAGGED).encode()
    board.library.memory_board_write(made_up, ctypes.c_size_t(len(made_up)))
    untagged = Frame(Message.STATUS, request + 1).encode()
    board.library.memory_board_write(untagged, ctypes.c_size_t(len(untagged)))
    board.settle()
    assert [refusal.status for refusal in board.refusals] == [
        Status.SESSION_REPLAY,
        Status.SESSION_TAG,
        Status.SESSION_TAG,
    ]


@pytest.mark.parametrize("kind", [Message.INSTALL, Message.REVERT])
def test_a_request_whose_answer_was_lost_may_come_again(board: MemoryBoard, kind: Message) -> None:
    with_confirmed(board, 1)
    message = b"" if kind is Message.INSTALL else messages.encode_u32(2)
    if kind is Message.REVERT:
        assert install(board, image(2)) == Status.OK
    else:
        assert transfer(board, image(2)) == Status.OK
    requests = [board.session.request(kind, message) for _ in range(2)]
    answers, before = board.answers, board.restarts
    board.settle()
    assert [answers[request].status for request in requests] == [Status.OK, Status.OK]
    assert board.restarts == before + 1
    board.connect()
    assert slot_of(board) == ((SlotState.TEST, 2) if kind is Message.INSTALL else (SlotState.CONFIRMED, 1))


@pytest.mark.parametrize("name", ["gru int8 4x16x6", "gru int16 4x16x6", "gru float32 4x16x6"])
def test_forecasts_after_a_reset_equal_those_without_one(board: MemoryBoard, name: str) -> None:
    kind = ("float32", "int8", "int16").index(name.split()[1])
    images = image(1, model=cell(name), model_type=kind)

    def run(reset_at: int) -> list[tuple[float, ...]]:
        board.library.memory_board_wipe()
        board.new_session()
        board.readings.clear()
        board.forecasts.clear()
        board.connect()
        assert install(board, images) == Status.OK
        for number in range(60):
            if number == 5:
                assert confirm(board, 1) == Status.OK
            if number == reset_at:
                board.reset()
                board.connect()
            # A gap short enough to hold over, and one that begins a new segment.
            late = 2 * (number > 20) + 9 * (number > 40)
            board.sense(Reading(reading(number + late).time_ms, reading(number).microcelsius))
        board.settle()
        return [board.forecasts[number].celsius for number in range(60)]

    without = run(-1)
    for reset_at in (7, 20, 21, 22, 41, 42, 59):
        assert run(reset_at) == without, reset_at


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
            board.install(forged(image(2)))
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
