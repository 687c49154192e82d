"""A board's process and its sensor line, with small programs in the place of the firmware."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployers.lab import process as module
from deployers.lab.process import BoardProcess, sensor_line
from deployers.lab.programs import LabError
from deployers.protocol.messages import Reading

SECONDS = 20.0
# Opens its sensor line, prints what comes; at "end" it closes the line, at "stop" it ends.
SENSOR = """
import socket, sys, time
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("begun", flush=True)
if sys.argv[2:] == ["deaf"]: time.sleep(60)
for text in line.makefile():
    print(text, end="", flush=True)
    if text == "stop\\n": sys.exit(3)
    if text == "end\\n": line.shutdown(socket.SHUT_RDWR); line.close(); time.sleep(60)
"""


class Firmware:
    """What is started instead."""

    def __init__(self) -> None:
        self.code, self.words = SENSOR, list[str]()
        self.asked: dict[str, object] = {}

    def command(self, kind: str, program: Path, name: str, **asked: object) -> list[str]:
        self.asked = {"kind": kind, "program": program, "name": name, **asked}
        return [sys.executable, "-c", self.code, str(asked["sensor_port"]), *self.words]


@pytest.fixture
def firmware(monkeypatch: pytest.MonkeyPatch) -> Firmware:
    made = Firmware()
    monkeypatch.setattr(module, "build", lambda kind: Path(f"/build/{kind}"))
    monkeypatch.setattr(module, "board_command", made.command)
    return made


@pytest.fixture
def board(firmware: Firmware, tmp_path: Path) -> Iterator[BoardProcess]:
    with BoardProcess("native", "board-1", tmp_path, 7484, hub_host="10.0.0.2", test_ms=500) as made:
        yield made


def until(holds: Callable[[], object], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def test_a_board_is_started_with_all_that_it_was_delivered_with(board: BoardProcess, firmware: Firmware) -> None:
    board.power_on()
    assert firmware.asked == {
        "kind": "native", "program": Path("/build/native"), "name": "board-1", "hub_port": 7484,
        "hub_host": "10.0.0.2", "sensor_port": firmware.asked["sensor_port"], "test_ms": 500,
    }  # fmt: skip
    assert board.is_running
    assert board.has_line


def test_readings_arrive_as_a_sensor_writes_them(board: BoardProcess) -> None:
    board.power_on()
    assert board.send([Reading(1_000, 20_500_000), Reading(2_000, -62_500)]) == 2
    until(lambda: "-62500" in board.log_end(), "both have arrived")
    assert board.log_end().splitlines() == ["begun", "1000,20500000", "2000,-62500"]
    assert sensor_line(Reading(1_000, 20_500_000)) == "1000,20500000\n"


def test_a_power_cut_ends_it_and_it_starts_again(board: BoardProcess) -> None:
    board.power_on()
    first = board.pid
    board.power_off()
    assert (board.pid, board.is_running, board.has_line) == (None, False, False)
    with pytest.raises(LabError, match=r"board 'board-1' is off: power_on\(\) it first"):
        board.sensor_text("1,2\n")
    board.power_on()
    assert board.pid != first
    board.send([Reading(1, 2)])
    until(lambda: board.log_end().endswith("1,2"), "the new line is the one that is written to")


def test_off_twice_is_off(board: BoardProcess) -> None:
    board.power_off()
    board.power_on()
    board.power_off()
    board.power_off()
    assert not board.is_running


def test_leaving_the_block_ends_it(firmware: Firmware, tmp_path: Path) -> None:
    with BoardProcess("native", "board-1", tmp_path, 7484) as board:
        board.power_on()
        pid = board.pid
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(str(firmware.asked["sensor_port"]))))


def test_one_that_ends_instead_says_what_it_printed(board: BoardProcess, firmware: Firmware) -> None:
    firmware.code = "import sys; sys.exit('no flash')"
    begun = time.monotonic()
    with pytest.raises(LabError, match=r"the native board did not start \(it did not open its sensor line\).*no flash"):
        board.power_on()
    assert time.monotonic() - begun < SECONDS  # nobody waits for the line of one that has ended
    assert board.pid is None


def test_one_that_never_opens_its_line_is_ended(
    board: BoardProcess, firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.3)
    firmware.code = "import time; time.sleep(60)"
    with pytest.raises(LabError, match="did not open its sensor line"):
        board.power_on()
    assert not board.is_running


# Without waiting


def test_to_start_and_to_take_the_line_wait_for_nothing(board: BoardProcess, firmware: Firmware) -> None:
    firmware.code = "import time; time.sleep(60)"
    begun = time.monotonic()
    board.start()
    assert not board.take_line()
    assert board.offer(b"1,2\n") == 0
    assert time.monotonic() - begun < 5


def test_what_a_line_takes_now_is_said(board: BoardProcess, firmware: Firmware) -> None:
    firmware.words = ["deaf"]
    board.power_on()
    given = board.offer(bytes(64 << 20))  # more than any socket holds
    assert 0 < given < 64 << 20
    assert board.offer(b"more") == 0
    assert board.has_line  # full is not gone


def test_a_line_that_is_closed_takes_nothing_and_another_may_come(board: BoardProcess) -> None:
    board.power_on()
    board.sensor_text("end\n")

    def is_noticed() -> bool:
        board.offer(b"1,2\n")
        return not board.has_line

    until(is_noticed, "the other end is closed")
    assert board.offer(b"1,2\n") == 0
    assert board.is_running


def test_one_that_ended_is_seen_to_have_ended(board: BoardProcess) -> None:
    board.power_on()
    board.sensor_text("stop\n")
    until(lambda: not board.is_running, "it ended by itself")
    assert board.pid is not None  # until it is switched off
    board.power_off()
    assert board.pid is None


def test_it_ends_with_who_started_it(firmware: Firmware, tmp_path: Path) -> None:
    firmware.words = ["deaf"]  # that its line is closed does not end it
    child = os.fork()
    if child == 0:  # pragma: no cover - a process that is killed tells nothing
        board = BoardProcess("native", "board-1", tmp_path, 7484).__enter__()
        board.power_on()
        (tmp_path / "pid").write_text(str(board.pid))
        time.sleep(60)
        os._exit(0)
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "it was started")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    board_pid = int((tmp_path / "pid").read_text())
    until(lambda: not Path(f"/proc/{board_pid}/exe").exists(), "the kernel ends it")


def test_a_board_that_never_started_printed_nothing(board: BoardProcess) -> None:
    assert not board.log_end()
