"""A board that is left switched on: it is started again, and goes on with its readings where it was."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from deployers.lab import process
from deployers.lab.feeder import Course
from deployers.lab.powered import PoweredBoard, Supply, link_key
from deployers.lab.programs import LabError

COURSE = Course(np.arange(10_000) * 600_000, np.full(10_000, 20_000_000), 600.0, "flat")
SECONDS = 30.0


@pytest.fixture
def supply(tmp_path: Path) -> Supply:
    # Nothing listens on the discard port: the hub is away.
    return Supply("board-1", 0, "native", tmp_path / "board-1", bytes(range(32)), b"", 9)


@pytest.fixture
def board(supply: Supply) -> Iterator[PoweredBoard]:
    made = PoweredBoard(supply, COURSE, 60_000.0, time.monotonic())  # a hundred readings a second
    yield made
    made.close()


def until(board: PoweredBoard, holds: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, board.as_dict()
        board.turn(time.monotonic())
        time.sleep(0.005)


def readings(board: PoweredBoard) -> int:
    ring = board.ring()
    return ring.next if ring else 0


def kept(supply: Supply) -> list[tuple[int, int]]:
    """The readings in the ring's memory, by its layout, in the order of their numbers."""
    data = (supply.folder / "ring.bin").read_bytes()[64 : 64 + 2049 * 12]
    rows = np.frombuffer(data, np.dtype([("time", "<i8"), ("value", "<i4")]))
    return [(int(row["time"]), int(row["value"])) for row in rows]


def test_it_takes_readings_though_no_hub_is_there(board: PoweredBoard) -> None:
    until(board, lambda: readings(board) >= 50)
    told = board.as_dict()
    assert (told["id"], told["kind"], told["starts"], told["acknowledged"]) == ("board-1", "native", 1, 0)
    assert told["pid"] == board.pids[0]


def test_it_is_started_again_and_no_reading_is_lost_or_doubled(board: PoweredBoard, supply: Supply) -> None:
    until(board, lambda: readings(board) >= 40)
    for _ in range(2):
        os.kill(board.pids[0], signal.SIGKILL)  # a power cut
        starts = board.starts
        until(board, lambda starts=starts: board.starts > starts)
        before = readings(board)
        until(board, lambda before=before: readings(board) >= before + 40)
    count = readings(board)
    expected = [(COURSE.reading(number).time_ms, 20_000_000) for number in range(count)]
    assert kept(supply)[:count] == expected


def test_one_that_ends_at_once_is_started_ever_more_slowly(
    board: PoweredBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "board_command", lambda *_, **__: ["/bin/sh", "-c", "echo no flash; exit 3"])
    now, begun = time.monotonic(), list[float]()
    while len(begun) < 5:
        starts = board.starts
        board.turn(now)
        if board.starts > starts:
            begun.append(now)
            end = time.monotonic() + SECONDS
            while board._board.is_running and time.monotonic() < end:  # noqa: SLF001 - the clock stands until it has ended
                time.sleep(0.005)
        now += 0.25
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 4 * pauses[0]
    assert board.as_dict()["log"].endswith("no flash")


def test_switched_off_it_is_gone(board: PoweredBoard) -> None:
    until(board, lambda: board.pids)
    board.close()
    assert board.pids == []
    assert board.as_dict()["pid"] is None


def test_a_link_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    key = link_key(tmp_path / "key")
    assert (len(key), link_key(tmp_path / "key")) == (32, key)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert link_key(tmp_path / "other") != key


def test_a_link_key_of_another_length_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(LabError, match=r"key' has 5 bytes, expected 32: .*up --fresh"):
        link_key(tmp_path / "key")
