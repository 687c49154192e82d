"""Messages: there and back, the golden bytes, and refusals by name."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.protocol import messages
from deployers.protocol.messages import (
    Answer,
    BoardState,
    Forecast,
    Hello,
    Label,
    MessageError,
    Reading,
    Readings,
    Shadow,
    SlotState,
)
from deployers.protocol.status import Status

VECTORS = {
    name: bytes.fromhex(text)
    for name, text in json.loads((Path(__file__).parents[3] / "vectors" / "wire.json").read_text()).items()
}
u8, u32 = st.integers(0, 255), st.integers(0, 2**32 - 1)
i32, i64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
states = st.builds(
    BoardState,
    st.sampled_from(messages.RUNNING),
    u8,
    st.booleans(),
    st.booleans(),
    u32,
    u32,
    i32,
    *[u32] * 8,
    i64,
)
AFTER = BoardState(SlotState.CONFIRMED, 1, True, True, 7, 6, 0, 3, 3, 0, 100, 0, 6, 0, 322, 1_700_000_000_123)


def payload(name: str) -> bytes:
    """The message of a golden frame: no header, CRC or tag."""
    frame = VECTORS[name]
    return frame[12:-12] if frame[3] else frame[12:-4]


def test_messages_equal_the_golden_bytes() -> None:
    assert AFTER.encode() == VECTORS["state"]
    hello = Hello.decode(payload("board_0_hello"))
    assert (hello.firmware_version, hello.board, hello.payload_max) == ((1, 2, 3), "board-1", 1040)
    assert Forecast.decode(payload("board_2_forecast")) == Forecast(
        2, 7, 1_700_001_200_123, SlotState.CONFIRMED, (21.5, -0.25)
    )
    readings = Readings.decode(payload("board_3_readings"))
    assert readings.readings[1] == Reading(1_700_000_600_123, -62_500)
    assert readings.readings[1].celsius == -0.0625
    assert Answer.decode(payload("board_5_confirm")) == Answer(4, Status.SESSION_VERSION)


def test_proofs_and_tags_equal_the_golden_bytes() -> None:
    key, nonce, hello = bytes(range(32)), payload("hub_0_challenge")[:16], payload("board_0_hello")
    assert messages.prove(key, Label.HUB, nonce, hello) == payload("hub_0_challenge")[16:]
    assert messages.prove(key, Label.BOARD, nonce, hello) == payload("board_1_proof")
    session = messages.prove(key, Label.SESSION, nonce, hello)
    status = VECTORS["hub_3_status"]
    assert messages.tag(session, b"H", status[:12], b"") == status[12:20]
    assert messages.tag(session, b"B", status[:12], b"") != status[12:20]


@given(states)
def test_a_state_comes_back(state: BoardState) -> None:
    assert BoardState.decode(state.encode()) == state


@given(states, st.text(alphabet="abcäß-1", min_size=1, max_size=8), st.binary(min_size=16, max_size=16))
def test_a_hello_comes_back(state: BoardState, name: str, nonce: bytes) -> None:
    hello = Hello((1, 22, 255), name, nonce, state, 1040)
    assert Hello.decode(hello.encode()) == hello


@given(u32, st.integers(0, 2**32 - 1 - 64), st.lists(st.builds(Reading, i64, i32), min_size=1, max_size=64))
def test_readings_come_back(oldest: int, first: int, readings: list[Reading]) -> None:
    sent = Readings(oldest, first, tuple(readings))
    assert Readings.decode(sent.encode()) == sent


@given(
    u32, u32, i64, st.sampled_from(SlotState), st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=32)
)
def test_a_forecast_comes_back(
    reading: int, version: int, time_ms: int, slot_state: SlotState, celsius: list[float]
) -> None:
    sent = Forecast(reading, version, time_ms, slot_state, tuple(celsius))
    assert Forecast.decode(sent.encode()) == sent


@given(u32, i32)
def test_a_challenger_comes_back(version: int, status: int) -> None:
    assert Shadow.decode(Shadow(version, status).encode()) == Shadow(version, status)


@given(u32, i32, st.binary(max_size=50))
def test_an_answer_comes_back(request: int, status: int, body: bytes) -> None:
    assert Answer.decode(Answer(request, status, body).encode()) == Answer(request, status, body)


def test_the_beginning_of_a_transfer_names_length_and_hash() -> None:
    message = messages.encode_transfer_begin(b"image")
    assert message == struct.pack("<I", 5) + hashlib.sha256(b"image").digest()


HELLO = VECTORS["board_0_hello"][12:-4]
REFUSED: list[tuple[Any, bytes, str]] = [
    (BoardState, bytes(55), "state of the board of 55 bytes: expected 56"),
    (BoardState, b"\x03" + bytes(55), r"slot state 3: expected one of \[0, 1, 2\]"),
    (Hello, HELLO[:30], "hello of 30 bytes: expected 40"),
    (Hello, b"\x02" + HELLO[1:], "board speaks protocol 2, this hub 1"),
    (Hello, HELLO[:8] + b"\xff" + HELLO[9:], "is not UTF-8"),
    (Readings, bytes(9), "readings of 9 bytes: expected 10"),
    (Readings, bytes(10), "0 readings in 0 bytes"),
    (Readings, bytes(8) + b"\x02\x00" + bytes(12), "2 readings in 12 bytes"),
    (Readings, bytes(8) + b"\x41\x00" + bytes(65 * 12), "65 readings in 780 bytes"),
    (Forecast, bytes(20), "forecast of 0 values in 0 bytes"),
    (Forecast, bytes(16) + b"\x04\x00\x01\x00" + bytes(4), "slot state 4"),
    (Forecast, bytes(16) + b"\x01\x00\x21\x00" + bytes(33 * 4), "forecast of 33 values"),
    (Shadow, bytes(7), "challenger of the board of 7 bytes: expected 8"),
    (Answer, bytes(7), "answer of 7 bytes: expected 8"),
]


@pytest.mark.parametrize(("kind", "data", "reason"), REFUSED)
def test_what_is_not_a_message_is_refused_by_name(kind: Any, data: bytes, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        kind.decode(data)


def test_another_protocol_has_its_own_status() -> None:
    with pytest.raises(MessageError) as caught:
        Hello.decode(b"\x02" + HELLO[1:])
    assert caught.value.status is Status.SESSION_PROTOCOL


def test_a_number_that_is_missing_is_named() -> None:
    with pytest.raises(MessageError, match="offset of 3 bytes: expected 4"):
        messages.decode_u32(b"abc", "offset")


def test_a_state_differs_by_each_field() -> None:
    assert replace(AFTER, ring_dropped=1).encode() != AFTER.encode()
