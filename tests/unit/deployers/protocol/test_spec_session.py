"""What SPEC.md says of frames and messages is what messages.py and frame.py do."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from deployers.protocol import frame, messages
from deployers.protocol.messages import Answer, BoardState, Forecast, Hello, Message, Reading, Readings, SlotState
from deployers.protocol.status import Status

ROOT = Path(__file__).parents[4]
SPEC = (ROOT / "deployers" / "protocol" / "SPEC.md").read_text(encoding="utf-8")
SESSION_H = (ROOT / "firmware" / "core" / "session" / "session.h").read_text(encoding="utf-8")
STATE = BoardState(SlotState.TEST, 1, True, False, *range(2**24, 2**24 + 12))


def chapter(title: str) -> str:
    return re.split(r"^## ", SPEC.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    table = text[text.index("|---") :].split("\n\n", maxsplit=1)[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


def layout(title: str) -> list[tuple[str, str, str]]:
    return [(row[0], row[1], row[2]) for row in rows(chapter("Session").split(f"\n{title}:\n")[1])]


def little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def test_every_message_type_stands_in_the_table() -> None:
    found = {name: int(kind, 16) for kind, name, *_ in rows(chapter("Session").split("### Messages")[1])}
    assert found == {kind.name: int(kind) for kind in Message}


def test_the_board_has_the_same_message_types() -> None:
    found = {name: int(kind, 16) for name, kind in re.findall(r"MESSAGE_(\w+) = (0x[0-9A-F]+)", SESSION_H)}
    assert found == {kind.name: int(kind) for kind in Message}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_PROTOCOL", messages.PROTOCOL),
        ("SESSION_KEY_BYTES", messages.KEY_BYTES),
        ("SESSION_NONCE_BYTES", messages.NONCE_BYTES),
        ("SESSION_PROOF_BYTES", messages.PROOF_BYTES),
        ("SESSION_TAG_BYTES", messages.TAG_BYTES),
        ("SESSION_ID_BYTES", messages.ID_BYTES),
        ("SESSION_STATE_BYTES", len(STATE.encode())),
        ("SESSION_HELLO_BYTES", len(Hello((0, 0, 0), "", bytes(16), STATE, 0).encode())),
        ("SESSION_CHUNK_MAX", messages.CHUNK_MAX),
        ("SESSION_READINGS_MAX", messages.READINGS_MAX),
        ("SESSION_HORIZON_MAX", messages.HORIZON_MAX),
        ("SESSION_SHADOW", SlotState.SHADOW),
    ],
)
def test_both_sides_have_the_same_limits(name: str, value: int) -> None:
    assert re.search(rf"\b{name} = {value}\b", SESSION_H)


def test_the_state_lies_as_written() -> None:
    table = layout("State")
    data = STATE.encode()
    assert [int(offset) for offset, *_ in table] == [0, *(sum(int(row[1]) for row in table[:n]) for n in range(1, 16))]
    assert sum(int(row[1]) for row in table) == len(data) == 56
    for (offset, count, _), part in zip(table, fields(BoardState), strict=True):
        assert little(data[int(offset) :][: int(count)]) == getattr(STATE, part.name), part.name


def test_hello_lies_as_written() -> None:
    data = Hello((1, 2, 3), "board-1", bytes(range(16)), STATE, 1040).encode()
    values = {int(offset): data[int(offset) :][: int(count)] for offset, count, _ in layout("Hello")}
    assert {offset: len(part) for offset, part in values.items()} == {0: 2, 2: 2, 4: 4, 8: 16, 24: 16, 40: 56}
    assert (little(values[0]), little(values[2])) == (messages.PROTOCOL, frame.PAYLOAD_MAX)
    assert little(values[4]) == 1 * 65536 + 2 * 256 + 3
    assert (values[8], values[24], values[40]) == (b"board-1".ljust(16, b"\0"), bytes(range(16)), STATE.encode())


def test_readings_lie_as_written() -> None:
    data = Readings(5, 7, (Reading(1, 2), Reading(-3, -4))).encode()
    assert [row[0] for row in layout("Readings")] == ["0", "4", "8", "10 + 12 k", "18 + 12 k"]
    assert (little(data[0:4]), little(data[4:8]), little(data[8:10])) == (5, 7, 2)
    times = [int.from_bytes(data[10 + 12 * k :][:8], "little", signed=True) for k in range(2)]
    degrees = [int.from_bytes(data[18 + 12 * k :][:4], "little", signed=True) for k in range(2)]
    assert (times, degrees) == ([1, -3], [2, -4])


def test_a_forecast_lies_as_written() -> None:
    data = Forecast(5, 7, 9, SlotState.CONFIRMED, (1.0, -2.0)).encode()
    assert [row[0] for row in layout("Forecast")] == ["0", "4", "8", "16", "17", "18", "20 + 4 k"]
    assert (little(data[0:4]), little(data[4:8]), little(data[8:16]), data[16], data[17]) == (5, 7, 9, 2, 0)
    assert little(data[18:20]) == 2
    assert [data[20:24], data[24:28]] == [bytes.fromhex("0000803f"), bytes.fromhex("000000c0")]


def test_a_challenger_lies_as_written() -> None:
    bodies = {kind: body for kind, body, *_ in rows(chapter("Session").split("answered once each")[1])}
    assert bodies["SHADOW"].startswith("u32 version of the challenger, 0 without one; i32 status")
    assert messages.Shadow(7, Status.GOLDEN_MISMATCH).encode() == bytes([7, 0, 0, 0]) + (-642).to_bytes(
        4, "little", signed=True
    )
    assert "sent after that of the running\n   model, with slot state 3" in chapter("Session")


def test_a_frame_lies_as_written() -> None:
    table = rows(chapter("Frames"))
    assert [row[0] for row in table] == ["0", "2", "3", "4", "8", "10", "12", "12 + P"]
    data = frame.Frame(0x20, 9, b"message", frame.TAGGED).encode()
    assert (data[:2], data[2], data[3], little(data[4:8]), little(data[8:10])) == (b"EL", 0x20, 1, 9, 7)
    assert data[12:19] == b"message"
    assert len(data) == 12 + 7 + 4


def test_every_status_of_the_two_chapters_exists() -> None:
    for number, name in re.findall(r"−(\d+) ([A-Z_]{5,})", chapter("Frames") + chapter("Session")):
        assert Status[name] == -int(number)


def test_an_answer_begins_with_the_request_and_its_status() -> None:
    data = replace(Answer(3, Status.SESSION_VERSION), body=b"body").encode()
    assert (little(data[:4]), int.from_bytes(data[4:8], "little", signed=True), data[8:]) == (3, -507, b"body")
