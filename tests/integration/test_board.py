"""The firmware against a hub: in this process, where every byte can be cut, as a program, and on QEMU's Cortex-M7."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from deployers.lab.board import VirtualBoard
from deployers.lab.firmware import LabError, build
from deployers.link import LinkRefusedError
from deployers.protocol import messages
from deployers.protocol.messages import BoardState, Message, Reading, SlotState
from deployers.protocol.status import Status
from tests.board_driving import powered
from tests.memory_board import KEY, MemoryBoard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAPACITY = 2048
WORD_BYTES = 32
NOT_AN_IMAGE = bytes(i * 31 & 255 for i in range(2500))


@pytest.fixture
def board(library: ctypes.CDLL, tmp_path: Path) -> Iterator[MemoryBoard]:
    with powered(library, tmp_path, b"") as found:
        yield found


def reading(number: int) -> Reading:
    return Reading(1_700_000_000_000 + number * 600_000, 21_000_000 + number * 62_500 % 4_000_000)


def state(board: MemoryBoard) -> BoardState:
    answer = board.request(Message.STATUS)
    assert answer is not None
    return BoardState.decode(answer.body)


def arrived(board: MemoryBoard, first: int, after: int) -> None:
    assert board.readings == {number: reading(number) for number in range(first, after)}


def test_readings_arrive_without_a_model(board: MemoryBoard) -> None:
    for number in range(70):
        board.sense(reading(number))
    board.settle()
    arrived(board, 0, 70)
    found = state(board)
    assert (found.slot_state, found.model_status) == (SlotState.NONE, Status.SLOT_EMPTY)
    assert (found.ring_acknowledged, found.ring_next, found.ring_dropped) == (70, 70, 0)


def test_nothing_is_lost_without_a_link_up_to_the_capacity(board: MemoryBoard) -> None:
    board.reach(False)
    for number in range(CAPACITY):
        board.sense(reading(number))
    board.reach(True)
    board.connect()
    board.settle()
    arrived(board, 0, CAPACITY)
    assert state(board).ring_dropped == 0


def test_beyond_the_capacity_the_oldest_are_dropped_and_counted(board: MemoryBoard) -> None:
    board.reach(False)
    for number in range(CAPACITY + 9):
        board.sense(reading(number))
    board.reach(True)
    board.connect()
    board.settle()
    arrived(board, 9, CAPACITY + 9)
    assert state(board).ring_dropped == 9


def test_readings_outlive_a_reset(board: MemoryBoard) -> None:
    board.reach(False)
    for number in range(20):
        board.sense(reading(number))
    board.reset()
    board.reach(True)
    board.connect()
    board.settle()
    arrived(board, 0, 20)


@pytest.mark.parametrize("direction", ["to_board", "from_board"])
def test_a_link_cut_at_every_byte_loses_and_doubles_no_reading(board: MemoryBoard, direction: str) -> None:
    for cut in range(1, 420):
        board.library.memory_board_wipe()
        board.new_session()
        board.readings.clear()
        board.cut_after(**{direction: cut})
        for number in range(5):
            board.sense(reading(number))
            board.step()
        for _ in range(40):
            board.step(100)
        board.cut_after()
        board.connect()
        board.settle()
        arrived(board, 0, 5)
        assert state(board).ring_acknowledged == 5, cut


def transfer(board: MemoryBoard, image: bytes) -> bool:
    """False if the link was lost on the way."""
    answer = board.request(Message.TRANSFER_BEGIN, messages.encode_transfer_begin(image))
    while answer is not None:
        assert answer.status == Status.OK
        offset = messages.decode_u32(answer.body, "offset")
        if offset == len(image):
            return True
        chunk = image[offset : offset + messages.CHUNK_MAX]
        answer = board.request(Message.TRANSFER_CHUNK, messages.encode_u32(offset) + chunk)
    return False


@pytest.mark.parametrize("direction", ["to_board", "from_board"])
def test_a_transfer_cut_at_every_byte_is_resumed(board: MemoryBoard, direction: str) -> None:
    total = len(NOT_AN_IMAGE) + 200 if direction == "to_board" else 150
    for cut in range(1, total):
        board.library.memory_board_wipe()
        board.new_session()
        board.connect()
        board.cut_after(**{direction: cut})
        whole = transfer(board, NOT_AN_IMAGE)
        board.cut_after()
        board.connect()
        if not whole:
            assert state(board).transfer_offset <= len(NOT_AN_IMAGE)
            assert transfer(board, NOT_AN_IMAGE)
        assert state(board).transfer_offset == len(NOT_AN_IMAGE), cut


def test_a_transfer_goes_on_after_a_reset(board: MemoryBoard) -> None:
    begun = messages.encode_transfer_begin(NOT_AN_IMAGE)
    board.request(Message.TRANSFER_BEGIN, begun)
    board.request(Message.TRANSFER_CHUNK, messages.encode_u32(0) + NOT_AN_IMAGE[:1024])
    board.reset()
    board.connect()
    answer = board.request(Message.TRANSFER_BEGIN, begun)
    assert answer is not None
    assert 1024 - 2 * WORD_BYTES <= messages.decode_u32(answer.body, "offset") <= 1024
    assert transfer(board, NOT_AN_IMAGE)


def test_what_is_not_an_image_is_refused_and_readings_go_on(board: MemoryBoard) -> None:
    assert transfer(board, NOT_AN_IMAGE)
    answer = board.request(Message.INSTALL)
    assert answer is not None
    assert answer.status == Status.IMAGE_MAGIC
    board.sense(reading(0))
    board.settle()
    arrived(board, 0, 1)
    assert board.restarts == 0


def test_install_without_a_transfer_is_refused(board: MemoryBoard) -> None:
    answer = board.request(Message.INSTALL)
    assert answer is not None
    assert answer.status == Status.SLOT_NO_TRANSFER


@pytest.mark.parametrize("kind", [Message.CONFIRM, Message.REVERT])
def test_without_a_model_in_test_there_is_nothing_to_confirm(board: MemoryBoard, kind: Message) -> None:
    answer = board.request(kind, messages.encode_u32(1))
    assert answer is not None
    assert answer.status == Status.SESSION_VERSION


@pytest.mark.parametrize("kind", ["native", "mps2_an500"])
def test_a_virtual_board_keeps_its_readings_over_a_power_cut(kind: str, tmp_path: Path) -> None:
    with VirtualBoard(kind, key=KEY, state_folder=tmp_path / "state") as board:
        assert board.feed([reading(number) for number in range(100)]) == []
        board.power_off()
        board.power_on()
        board.feed([reading(number) for number in range(100, 110)])
        assert board.diary.readings == {number: reading(number) for number in range(110)}
        assert board.link.status().ring_next == 110
        with pytest.raises(LinkRefusedError, match="IMAGE_MAGIC"):
            board.install(NOT_AN_IMAGE)
        assert "start, readings kept 100" in board.link.log()


def test_a_line_that_is_no_reading_is_left_out(tmp_path: Path) -> None:
    with VirtualBoard("native", key=KEY, state_folder=tmp_path) as board:
        assert board.sensor_text("nonsense\n1,\n,1\n1,99999999999\n" + 50 * "9" + "\n") is None
        board.feed([Reading(-5, -62_500)])
        assert board.diary.readings == {0: Reading(-5, -62_500)}


def test_a_transfer_costs_the_link_at_most_five_percent_more_than_the_image(tmp_path: Path) -> None:
    image = bytes(i * 31 & 255 for i in range(40_000))
    with VirtualBoard("native", key=KEY, state_folder=tmp_path) as board:
        before = replace(board.counters)
        assert board.link.transfer(image) == 0
        assert board.link.status().transfer_offset == len(image)
        after = board.counters
    to_board, from_board = (getattr(after, name) - getattr(before, name) for name in ("sent_bytes", "received_bytes"))
    assert 1.02 * len(image) < to_board < 1.035 * len(image)
    assert from_board < 0.01 * len(image)
    assert to_board + from_board <= 1.05 * len(image)


def test_a_board_with_a_short_name_is_known_by_it(tmp_path: Path) -> None:
    with VirtualBoard("native", key=KEY, state_folder=tmp_path, name="b") as board:
        assert board.link.hello.board == "b"


def test_a_kind_that_does_not_exist_is_named() -> None:
    with pytest.raises(LabError, match=r"kind of board 'jetson': expected one of \['mps2_an500', 'native'\]"):
        build("jetson")


def test_a_key_of_another_length_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="link key of 3 bytes: expected 32"):
        VirtualBoard("native", key=b"key", state_folder=tmp_path)
