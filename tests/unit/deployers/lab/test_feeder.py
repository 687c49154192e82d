"""What a virtual board is fed: every reading once, in time, and no sooner than the board takes it."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.exceptions import ReleaseError
from deployers.lab import feeder
from deployers.lab.feeder import (
    LINE_READINGS,
    RING_SHARE,
    STEP_MICRODEGREES,
    Course,
    Feeder,
    Ring,
    course_of_release,
    simulated_course,
)
from deployers.lab.programs import LabError
from deployers.protocol.messages import Reading  # noqa: TC001 - hypothesis reads annotations

COURSE = Course(np.arange(5) * 600_000 + 1_000, np.arange(5) * 1_000_000, 600.0, "five")


def header(acknowledged: int, following: int, writes: int, capacity: int = 2048, dropped: int = 0) -> bytes:
    body = struct.pack("<7I", 0x676E6952, capacity, 0, acknowledged, following, dropped, writes)
    return body + struct.pack("<I", zlib.crc32(body))


# The board's ring


def test_of_two_headers_the_one_written_last_counts() -> None:
    assert Ring.decode(header(3, 7, 10) + header(3, 8, 11)) == Ring(2048, 3, 8, 0)
    assert Ring.decode(header(3, 9, 12) + header(3, 8, 11)) == Ring(2048, 3, 9, 0)


def test_the_number_of_writes_may_wrap() -> None:
    assert Ring.decode(header(3, 7, 0xFFFFFFFF) + header(3, 8, 0)) == Ring(2048, 3, 8, 0)


def test_a_header_that_was_cut_leaves_the_other() -> None:
    torn = bytearray(header(3, 8, 11))
    torn[16] ^= 1
    assert Ring.decode(header(3, 7, 10) + bytes(torn)) == Ring(2048, 3, 7, 0)


@given(st.integers(0, 511), st.integers(0, 511))
def test_one_header_with_a_bit_turned_leaves_the_other_and_two_leave_none(one: int, other: int) -> None:
    sound = header(3, 7, 10), header(3, 8, 11)
    turned = [bytearray(each) for each in sound]
    for bit, each in zip((one, other), turned, strict=True):
        each[bit % 256 // 8] ^= 1 << bit % 8
    assert Ring.decode(bytes(turned[0]) + sound[1]) == Ring(2048, 3, 8, 0)
    assert Ring.decode(sound[0] + bytes(turned[1])) == Ring(2048, 3, 7, 0)
    assert Ring.decode(b"".join(turned)) is None


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=5, max_size=5))
def test_a_ring_says_what_was_written(fields: list[int]) -> None:
    acknowledged, following, writes, capacity, dropped = fields
    data = header(acknowledged, following, writes, capacity, dropped)
    for cut in (data, data + bytes(32), bytes(32) + data, data + data[:17]):
        assert Ring.decode(cut) == Ring(capacity, acknowledged, following, dropped)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_ring_are_none(data: bytes) -> None:
    assert Ring.decode(data) is None


# Readings over time


def test_after_the_last_reading_the_course_begins_anew_and_time_goes_on() -> None:
    readings = [COURSE.reading(number) for number in range(12)]
    times = [reading.time_ms for reading in readings]
    assert times == [1_000 + 600_000 * number for number in range(12)]
    assert [reading.celsius for reading in readings[:6]] == [0.0, 1.0, 2.0, 3.0, 4.0, 0.0]


def test_the_next_board_is_a_little_later_and_warmer() -> None:
    one, other = COURSE.reading(3), COURSE.reading(3, board=2)
    assert 0 < other.time_ms - one.time_ms < 600_000 / 10
    assert other.microcelsius - one.microcelsius == 2 * STEP_MICRODEGREES


def test_a_course_is_read_as_it_was_written(tmp_path: Path) -> None:
    COURSE.write(tmp_path / "readings.npz")
    found = Course.read(tmp_path / "readings.npz")
    assert (found.cadence_seconds, found.source) == (600.0, "five")
    assert [found.reading(number) for number in range(7)] == [COURSE.reading(number) for number in range(7)]


@given(
    st.lists(st.integers(1, 10**9), min_size=1, max_size=30),
    st.integers(-(10**12), 10**13),
    st.floats(0.001, 1e6),
    st.text(max_size=20),
)
def test_any_course_is_read_as_it_was_written(
    tmp_path_factory, steps: list[int], start: int, cadence: float, source: str
) -> None:
    times = start + np.cumsum(np.array(steps, np.int64))
    course = Course(times, times % 50_000_000, cadence, source)
    file = tmp_path_factory.getbasetemp() / "course.npz"
    course.write(file)
    found = Course.read(file)
    assert (found.times.tolist(), found.microcelsius.tolist()) == (times.tolist(), (times % 50_000_000).tolist())
    assert (found.cadence_seconds, found.source) == (cadence, source)


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=20), st.integers(0, 200), st.integers(0, 63))
def test_time_never_goes_back_however_often_a_course_begins_anew(steps: list[int], number: int, board: int) -> None:
    course = Course(np.cumsum(np.array(steps, np.int64)), np.zeros(len(steps), np.int64), 600.0, "any")
    assert course.reading(number, board).time_ms < course.reading(number + 1, board).time_ms


INTEGERS = np.arange(3, dtype=np.int64)


@pytest.mark.parametrize(
    ("times", "values", "cadence", "said"),
    [
        (INTEGERS[:0], INTEGERS[:0], 600.0, "one or more readings"),
        (INTEGERS, INTEGERS[:2], 600.0, "3 times and 2 values"),
        (INTEGERS[::-1], INTEGERS, 600.0, "times rising"),
        (INTEGERS * 0, INTEGERS, 600.0, "times rising"),
        (INTEGERS.astype(float), INTEGERS, 600.0, "column of float64"),
        (INTEGERS, INTEGERS.reshape(3, 1), 600.0, r"shape \(3, 1\)"),
        (INTEGERS, INTEGERS, 0.0, "cadence of 0.0 s"),
        (INTEGERS, INTEGERS, float("nan"), "cadence of nan s"),
        (INTEGERS, INTEGERS, float("inf"), "cadence of inf s"),
    ],
)
def test_a_file_that_holds_no_course_is_refused_before_a_board_is_fed(
    tmp_path: Path, times: Any, values: Any, cadence: float, said: str
) -> None:
    about = np.array(json.dumps({"cadence_seconds": cadence, "source": "any"}))
    np.savez(tmp_path / "readings.npz", times=times, microcelsius=values, about=about)
    with pytest.raises(LabError, match=said):
        Course.read(tmp_path / "readings.npz")


@given(st.data())
def test_a_file_with_some_bytes_changed_is_read_or_refused_in_words(tmp_path_factory, data: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "changed.npz"
    COURSE.write(file)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        found = Course.read(file)
    except LabError as error:
        assert "up --fresh" in str(error)  # noqa: PT017 - either is right
    else:
        assert len(found.times) == len(found.microcelsius) > 0


def test_a_course_that_the_disk_cut_short_leaves_the_one_before(tmp_path: Path, monkeypatch) -> None:
    COURSE.write(tmp_path / "readings.npz")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        simulated_course().write(tmp_path / "readings.npz")
    assert Course.read(tmp_path / "readings.npz").source == "five"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"no archive"])
def test_readings_that_cannot_be_used_say_how_to_write_them_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "readings.npz").write_bytes(content)
    with pytest.raises(LabError, match=r"readings .*readings.npz' cannot be used .*up --fresh"):
        Course.read(tmp_path / "readings.npz")


def test_the_test_part_of_a_release_is_fed_as_it_was_measured(release: Path) -> None:
    found = course_of_release(release, "kitchen 3")
    with np.load(release / "test.npz") as stored:
        measured = ~stored["filled"]
        assert found.times.tolist() == (stored["time"][measured] // 1000).tolist()
        np.testing.assert_allclose(found.microcelsius / 1e6, stored["value"][measured], atol=5e-7)
    program = json.loads((release / "features.json").read_text(encoding="utf-8"))["program"]
    assert (found.cadence_seconds, found.source) == (program["cadence_seconds"], "test part of kitchen 3")


def test_a_release_without_readings_is_refused(copied_release: Path) -> None:
    (copied_release / "test.npz").unlink()
    with pytest.raises(ReleaseError, match=r"release 'kitchen' has no test.npz.*train again"):
        course_of_release(copied_release, "kitchen")
    empty = dict.fromkeys(("time", "value", "segment"), np.arange(1))
    np.savez(copied_release / "test.npz", **empty, filled=np.zeros(1, bool))
    with pytest.raises(ReleaseError, match="has 1 measured readings, expected 2 or more"):
        course_of_release(copied_release, "kitchen")


def test_the_simulated_room_is_one_that_a_sensor_could_measure() -> None:
    course = simulated_course()
    assert len(course.times) == feeder.SIMULATED_DAYS * 144
    assert set(np.diff(course.times)) == {600_000}
    assert set(course.microcelsius % STEP_MICRODEGREES) == {0}
    assert 15e6 < course.microcelsius.min() < course.microcelsius.max() < 26e6
    days = course.microcelsius.reshape(-1, 144)
    assert not np.array_equal(days[0], days[1])


# In time, and no sooner than they are taken


class Board:
    """Takes readings from its line when it is told to; what is in the line is lost when it restarts."""

    def __init__(self, capacity: int = 1000) -> None:
        self.line: list[Reading] = []
        self.taken: list[Reading] = []
        self.capacity, self.acknowledged = capacity, 0

    def ring(self) -> Ring:
        return Ring(self.capacity, self.acknowledged, len(self.taken), 0)

    def take(self, count: int) -> None:
        self.taken += self.line[:count]
        del self.line[:count]


def fed(board: Board, speed: float = 600.0) -> Feeder:
    made = Feeder(COURSE, 0, speed, board.ring)
    made.begin(0.0)
    return made


def test_readings_come_at_the_cadence_divided_by_the_speed() -> None:
    board = Board()
    feed = fed(board, speed=1200.0)  # one in half a second
    counts = []
    for tenth in range(21):
        given = feed.due(tenth / 10)
        counts.append(len(given))
        board.line += given
        board.take(10)
    assert sum(counts) == 5
    assert counts[0] == counts[5] == counts[10] == 1
    assert max(counts) == 1


def test_a_board_that_takes_nothing_is_given_no_more_than_its_line_holds() -> None:
    board = Board()
    feed = fed(board)
    given = [reading for second in range(100) for reading in feed.due(float(second))]
    assert len(given) == LINE_READINGS
    assert feed.is_holding
    board.line += given
    board.take(3)
    # Two: the one that is due, and what a second of lateness makes up for.
    assert 0 < len(feed.due(100.0)) <= 3
    assert not feed.is_holding


def test_what_was_held_is_not_made_up_for() -> None:
    board = Board()
    feed = fed(board)
    board.line += feed.due(0.0)
    board.take(1)
    assert len(feed.due(1000.0)) <= 2


def test_a_board_whose_hub_is_away_is_held_before_it_would_forget_a_reading() -> None:
    board = Board(capacity=20)
    feed = fed(board)
    for second in range(100):
        board.line += feed.due(float(second))
        board.take(10)
    assert len(board.taken) == 20 * RING_SHARE
    board.acknowledged = len(board.taken)
    for second in range(100, 110):
        board.line += feed.due(float(second))
        board.take(10)
    assert len(board.taken) > 20


@given(st.lists(st.tuples(st.sampled_from(["wait", "take", "restart"]), st.integers(0, 12)), max_size=60))
def test_however_a_board_restarts_it_gets_every_reading_once(steps: list[tuple[str, int]]) -> None:
    board, now = Board(), 0.0
    feed = fed(board)
    for what, amount in steps:
        if what == "restart":
            board.line.clear()
            feed.begin(now)
        elif what == "take":
            board.take(amount)
        else:
            now += amount
        board.line += feed.due(now)
    board.take(1000)
    assert board.taken == [COURSE.reading(number) for number in range(len(board.taken))]


def test_a_board_without_a_ring_yet_begins_at_the_first_reading() -> None:
    feed = Feeder(COURSE, 0, 600.0, lambda: None)
    feed.begin(0.0)
    assert feed.due(0.0) == [COURSE.reading(0)]
