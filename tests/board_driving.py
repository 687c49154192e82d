"""What a test asks of the board in memory: readings, models, and how it is."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from deployers.protocol import messages
from deployers.protocol.messages import BoardState, Message, Reading, SlotState
from deployers.protocol.status import Status
from tests.board_image import CADENCE_MS, START_MS, image, public_point
from tests.memory_board import MemoryBoard

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Iterator
    from pathlib import Path

TEST_MS = 60_000


@contextmanager
def powered(library: ctypes.CDLL, folder: Path, public_key: bytes | None = None) -> Iterator[MemoryBoard]:
    """A board with an open session, which verifies the images of `board_image` if no other key is given."""
    board = MemoryBoard(library, folder, public_point() if public_key is None else public_key, TEST_MS)
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


def transfer(board: MemoryBoard, data: bytes) -> int:
    answer = board.request(Message.TRANSFER_BEGIN, messages.encode_transfer_begin(data))
    assert answer is not None
    if answer.status != Status.OK:
        return answer.status
    while (offset := messages.decode_u32(answer.body, "offset")) < len(data):
        chunk = data[offset : offset + messages.CHUNK_MAX]
        answer = board.request(Message.TRANSFER_CHUNK, messages.encode_u32(offset) + chunk)
        assert answer is not None
        assert answer.status == Status.OK
    return Status.OK


def install(board: MemoryBoard, data: bytes) -> int:
    status = transfer(board, data) or status_of(board, Message.INSTALL)
    board.settle()
    board.connect()
    return status


def log_of(board: MemoryBoard) -> str:
    text, position = b"", 0
    while True:
        answer = board.request(Message.LOG, messages.encode_u32(position))
        assert answer is not None
        if not answer.body[4:]:
            return text.decode()
        text += answer.body[4:]
        position = messages.decode_u32(answer.body[:4], "log") + len(answer.body) - 4


def confirm(board: MemoryBoard, version: int) -> int:
    return status_of(board, Message.CONFIRM, messages.encode_u32(version))


def with_confirmed(board: MemoryBoard, version: int) -> None:
    assert install(board, image(version)) == Status.OK
    sense(board, len(board.readings), len(board.readings) + 3)
    assert confirm(board, version) == Status.OK
