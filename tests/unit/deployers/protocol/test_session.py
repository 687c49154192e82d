"""The hub's side of a session, against the golden bytes and against a board in Python."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deployers.protocol import messages
from deployers.protocol.frame import Frame
from deployers.protocol.messages import Answer, Forecast, Message, Reading, Readings, SlotState
from deployers.protocol.session import REFUSED_IN_A_ROW, Arrived, Closed, Event, HubSession, Opened, Refusal
from deployers.protocol.status import Status
from tests.board_twin import KEY, STATE, BoardTwin

VECTORS = {
    name: bytes.fromhex(text)
    for name, text in json.loads((Path(__file__).parents[3] / "vectors" / "wire.json").read_text()).items()
}
TIME_MS = 1_700_000_000_123
READINGS = tuple(Reading(TIME_MS + i, i) for i in range(5))


def hub(key: bytes | None = KEY) -> HubSession:
    return HubSession({"board-1": key}.get, bytes(0x40 + i for i in range(16)), lambda: TIME_MS)


def exchange(session: HubSession, board: BoardTwin) -> list[Event]:
    """Carry bytes both ways until there are none."""
    events: list[Event] = []
    while data := board.output():
        events += session.receive(data)
        board.receive(session.output())
    return events


def opened() -> tuple[HubSession, BoardTwin]:
    session, board = hub(), BoardTwin()
    exchange(session, board)
    assert session.is_open
    return session, board


def test_a_whole_session_equals_the_golden_bytes() -> None:
    session = hub()
    assert session.receive(VECTORS["board_0_hello"]) == []
    assert session.output() == VECTORS["hub_0_challenge"]
    (event,) = session.receive(VECTORS["board_1_proof"])
    assert isinstance(event, Opened)
    assert session.output() == VECTORS["hub_1_welcome"]
    (forecast,) = session.receive(VECTORS["board_2_forecast"])
    assert isinstance(forecast, Forecast)
    (arrived,) = session.receive(VECTORS["board_3_readings"])
    assert isinstance(arrived, Arrived)
    session.acknowledge(arrived.first + len(arrived.readings))
    assert session.output() == VECTORS["hub_2_acknowledge"]
    assert session.request(Message.STATUS) == 3
    assert session.output() == VECTORS["hub_3_status"]
    session.request(Message.CONFIRM, messages.encode_u32(9))
    assert session.output() == VECTORS["hub_4_confirm"]
    session.request(Message.TRANSFER_CHUNK, messages.encode_u32(2048) + b"image")
    assert session.output() == VECTORS["hub_5_chunk"]
    answers = session.receive(VECTORS["board_4_status"] + VECTORS["board_5_confirm"] + VECTORS["board_6_chunk"])
    assert [answer.status for answer in answers if isinstance(answer, Answer)] == [0, -507, 0]
    assert session.receive(VECTORS["board_7_refused"]) == [Refusal(messages.NO_SEQUENCE, Status.WIRE_CRC)]


def test_both_sides_open_a_session_and_the_board_gets_the_time() -> None:
    session, board = hub(), BoardTwin()
    (event,) = exchange(session, board)
    assert isinstance(event, Opened)
    assert event.hello.board == "board-1"
    assert board.time_ms == TIME_MS


def test_a_board_that_is_not_known_is_refused() -> None:
    session, board = hub(key=None), BoardTwin()
    (event,) = exchange(session, board)
    assert event == Closed(Status.SESSION_PROOF, "board 'board-1' is not known: provision its key on the hub")
    assert board.refusals == [Status.SESSION_PROOF]


def test_a_board_with_another_key_refuses_the_hub() -> None:
    (event,) = exchange(hub(), BoardTwin(key=bytes(32)))
    assert isinstance(event, Closed)
    assert "the board refused the hub with status -503" in event.reason


def test_a_board_that_cannot_prove_itself_is_refused() -> None:
    session = hub()
    session.receive(VECTORS["board_0_hello"])
    (event,) = session.receive(Frame(Message.PROOF, 1, bytes(32)).encode())
    assert event == Closed(Status.SESSION_PROOF, "board 'board-1' does not hold its key: provision it again")
    assert not session.is_open


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        (Frame(Message.PROOF, 0, bytes(32)), None),
        (Frame(Message.READINGS, 0, b""), None),
        (Frame(Message.HELLO, 0, b"short"), Status.SESSION_FIELD),
    ],
)
def test_nothing_but_hello_comes_first(frame: Frame, status: Status | None) -> None:
    session = hub()
    events = session.receive(frame.encode())
    assert [event.status for event in events if isinstance(event, Closed)] == ([status] if status else [])
    assert not session.is_open
    assert session.output()


def test_readings_arrive_once_and_are_acknowledged_by_number() -> None:
    session, board = opened()
    board.send(Message.READINGS, Readings(0, 0, READINGS[:3]).encode())
    assert exchange(session, board) == [Arrived(0, READINGS[:3])]
    board.send(Message.READINGS, Readings(0, 1, READINGS[1:]).encode())
    assert exchange(session, board) == [Arrived(3, READINGS[3:])]
    session.acknowledge(5)
    board.receive(session.output())
    assert board.acknowledged == 5


def test_a_repeat_is_acknowledged_again_and_not_given_twice() -> None:
    session, board = opened()
    for _ in range(2):
        board.send(Message.READINGS, Readings(0, 0, READINGS).encode())
    assert exchange(session, board) == [Arrived(0, READINGS)]
    assert board.acknowledged == 5


def test_readings_after_a_gap_wait_until_the_gap_is_filled() -> None:
    session, board = opened()
    board.send(Message.READINGS, Readings(0, 3, READINGS[3:]).encode())
    assert exchange(session, board) == []
    board.send(Message.READINGS, Readings(0, 0, READINGS).encode())
    assert exchange(session, board) == [Arrived(0, READINGS)]


def test_readings_that_the_board_has_dropped_are_not_waited_for() -> None:
    session, board = opened()
    board.send(Message.READINGS, Readings(3, 3, READINGS[3:]).encode())
    assert exchange(session, board) == [Arrived(3, READINGS[3:])]


def test_a_session_goes_on_from_what_was_acknowledged() -> None:
    session, board = hub(), BoardTwin(state=replace(STATE, ring_acknowledged=2, ring_next=5))
    exchange(session, board)
    board.send(Message.READINGS, Readings(2, 2, READINGS[2:]).encode())
    assert exchange(session, board) == [Arrived(2, READINGS[2:])]


def test_no_damaged_or_forged_byte_of_a_frame_is_believed() -> None:
    golden = VECTORS["board_3_readings"]
    for at in range(len(golden)):
        session = hub()
        session.receive(VECTORS["board_0_hello"] + VECTORS["board_1_proof"] + VECTORS["board_2_forecast"])
        damaged = bytearray(golden)
        damaged[at] ^= 0x41
        assert session.receive(bytes(damaged)) == [], at
        forged = Frame(damaged[2], int.from_bytes(damaged[4:8], "little"), bytes(damaged[12:-4]), damaged[3])
        if forged.encode() != golden:
            assert session.receive(forged.encode()) == [], at


def test_a_recorded_frame_is_refused_the_second_time() -> None:
    session, board = opened()
    board.send(Message.FORECAST, Forecast(0, 1, 0, SlotState.TEST, (1.0,)).encode())
    recorded = board.output()
    assert len(session.receive(recorded)) == 1
    assert session.receive(recorded) == []
    board.receive(session.output())
    assert board.refusals == [Status.SESSION_REPLAY]


def test_a_type_that_no_board_sends_is_refused() -> None:
    session, board = opened()
    board.send(0x99, b"")
    assert exchange(session, board) == []
    assert board.refusals == [Status.SESSION_TYPE]


def test_the_session_cut_at_every_byte_gives_no_half_event() -> None:
    golden = [VECTORS[name] for name in sorted(VECTORS) if name.startswith("board_")]
    ends = [sum(map(len, golden[: i + 1])) for i in range(len(golden))]
    stream = b"".join(golden)
    for cut in range(len(stream) + 1):
        session = hub()
        events = [event for at in range(cut) for event in session.receive(stream[at : at + 1])]
        whole = sum(end <= cut for end in ends)
        assert len(events) == max(0, whole - 1), cut


def test_the_last_sequence_is_refused_for_no_other_could_follow_it() -> None:
    session, board = opened()
    board.sequence = messages.NO_SEQUENCE
    board.send(Message.FORECAST, Forecast(0, 1, 0, SlotState.TEST, (1.0,)).encode())
    assert session.receive(board.output()) == []
    board.receive(session.output())
    assert board.refusals == [Status.SESSION_REPLAY]


@pytest.mark.parametrize("message", [b"", bytes(3)])
def test_a_refusal_is_never_answered_by_a_refusal(message: bytes) -> None:
    session, board = opened()
    board.send(Message.REFUSED, message)
    assert session.receive(board.output()) == []
    session.receive(Frame(Message.REFUSED, 99, bytes(8)).encode())
    session.receive(Frame(Message.REFUSED, 0, bytes(8), 1).encode())
    assert session.output() == b""


def test_a_refusal_that_cannot_be_read_ends_the_handshake_without_a_word() -> None:
    session = hub()
    (event,) = session.receive(Frame(Message.REFUSED, 0, b"short").encode())
    assert isinstance(event, Closed)
    assert session.output() == b""


@pytest.mark.parametrize("is_open", [False, True])
def test_who_sends_nothing_but_garbage_is_left(is_open: bool) -> None:
    session = opened()[0] if is_open else hub()
    session.output()
    (event,) = session.receive(b"EL and nothing that follows from it" * 10_000)
    assert event == Closed(Status.SESSION_FIELD, f"{REFUSED_IN_A_ROW + 1} frames in a row made no sense")
    assert len(session.output()) < 64 * (REFUSED_IN_A_ROW + 1)
    assert session.receive(VECTORS["board_0_hello"]) == []
    assert session.output() == b""


def test_a_sound_frame_now_and_then_is_enough_to_be_kept() -> None:
    session, board = opened()
    for number in range(3 * REFUSED_IN_A_ROW):
        board.send(Message.FORECAST, Forecast(number, 1, 0, SlotState.TEST, (1.0,)).encode())
        events = session.receive(b"garbage" + board.output())
        assert [type(event) for event in events] == [Forecast]


def test_readings_beyond_the_last_number_are_refused() -> None:
    session, board = opened()
    board.send(Message.READINGS, Readings(2**32 - 3, 2**32 - 3, READINGS).encode())
    assert exchange(session, board) == []
    assert board.refusals == [Status.SESSION_FIELD]
