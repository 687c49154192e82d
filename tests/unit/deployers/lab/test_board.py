"""A board with a hub's end of its link, for code without an event loop: what is waited for, and what ends the wait."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deployers.lab import board as module
from deployers.lab.blocking import BlockingLink, BlockingListener, LoopThread
from deployers.lab.board import Diary, VirtualBoard
from deployers.lab.programs import LabError
from deployers.link import LinkLostError
from deployers.listener import BoardListener
from deployers.protocol.messages import Forecast, Reading

KEY = bytes(32)
READINGS = (Reading(1_000, 20_000_000), Reading(2_000, 20_500_000))


def run(what: Any) -> None:
    asyncio.run(what)


# The diary


def test_a_reading_that_is_sent_again_is_kept_once() -> None:
    diary = Diary()
    run(diary.keep_readings("b", 5, READINGS))
    run(diary.keep_readings("b", 6, READINGS[1:]))
    assert diary.readings == {5: READINGS[0], 6: READINGS[1]}


def test_who_waits_for_readings_goes_on_when_they_are_there() -> None:
    diary = Diary()
    timer = threading.Timer(0.1, lambda: run(diary.keep_readings("b", 0, READINGS)))
    timer.start()
    diary.wait_for(2, 20.0)
    timer.join()
    diary.wait_for(1, 0.0)  # more than enough


def test_readings_that_do_not_come_are_counted() -> None:
    diary = Diary()
    run(diary.keep_readings("b", 0, READINGS))
    with pytest.raises(LabError, match=r"2 readings arrived within 0.1 s, expected 3"):
        diary.wait_for(3, 0.1)


# The event loop in its thread


def test_an_error_of_the_loop_is_raised_where_it_was_waited_for() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with LoopThread() as loop:
        with pytest.raises(ZeroDivisionError):
            loop.run(fails())
        assert loop.run(asyncio.sleep(0, "goes on")) == "goes on"


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_the_loop_ends_with_its_block() -> None:
    with LoopThread():
        assert "event loop" in threads()
    assert "event loop" not in threads()


def test_the_loop_ends_though_the_listener_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = BoardListener.stop

    async def fails(listener: BoardListener) -> None:
        await stop(listener)
        raise OSError

    listener = BlockingListener({"b": KEY}.get, Diary())
    listener.__enter__()
    monkeypatch.setattr("deployers.listener.BoardListener.stop", fails)
    with pytest.raises(OSError):  # noqa: PT011 - it has no text
        listener.__exit__()
    assert "event loop" not in threads()


def test_the_loop_ends_though_the_listener_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_: object) -> None:
        await asyncio.sleep(0)
        raise OSError

    monkeypatch.setattr("deployers.listener.BoardListener.start", fails)
    with pytest.raises(OSError):  # noqa: PT011
        BlockingListener({"b": KEY}.get, Diary()).__enter__()
    assert "event loop" not in threads()


def test_a_board_that_does_not_connect_is_not_waited_for_longer_than_was_said() -> None:
    begun = time.monotonic()
    with BlockingListener({"b": KEY}.get, Diary()) as listener, pytest.raises(LinkLostError):
        listener.wait_for("b", 0.1)
    assert time.monotonic() - begun < 20


def test_a_board_without_a_link_can_be_dropped() -> None:
    with BlockingListener({"b": KEY}.get, Diary()) as listener:
        listener.drop("b")


def test_every_request_waits_for_its_answer() -> None:
    class Link:
        hello, is_open = "hello", True

        def __getattr__(self, name: str) -> Any:
            async def answer(*given: object) -> object:
                await asyncio.sleep(0)
                return (name, *given)

            return answer

    with LoopThread() as loop:
        link = BlockingLink(Link(), loop)  # type: ignore[arg-type]
        assert (link.hello, link.is_open) == ("hello", True)
        assert link.request("KIND", b"body") == ("request", "KIND", b"body")  # type: ignore[arg-type, comparison-overlap]
        assert link.status() == ("status",)
        assert link.log() == ("log",)
        for done in (link.set_time(5), link.install(), link.confirm(3), link.revert(3)):
            assert done is None


# The board


def test_a_key_of_another_length_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="link key of 3 bytes: expected 32"):
        VirtualBoard("native", key=b"key", state_folder=tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_a_board_that_cannot_start_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="kind of board 'stm32'"):
        VirtualBoard("stm32", key=KEY, state_folder=tmp_path).__enter__()
    assert "event loop" not in threads()


def test_a_board_that_does_not_connect_shows_what_it_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.1)

    def opens_its_line(process: Any) -> None:
        (tmp_path / "board.log").write_text("no hub\n")

    monkeypatch.setattr("deployers.lab.process.BoardProcess.power_on", opens_its_line)
    with pytest.raises(LabError, match=r"the native board did not start \(.*\), it printed 'no hub'"):
        VirtualBoard("native", key=KEY, state_folder=tmp_path).__enter__()


def test_a_board_feeds_what_it_is_given_and_returns_the_forecasts_made_since(tmp_path: Path) -> None:
    board = VirtualBoard("native", key=KEY, state_folder=tmp_path)
    old, new = (Forecast(reading, 1_000 * reading, 3, 0, (20.0,)) for reading in (4, 5))
    run(board.diary.keep_readings(board.name, 4, READINGS[:1]))
    run(board.diary.keep_forecast(board.name, old))

    def send(readings: Any) -> int:
        run(board.diary.keep_readings(board.name, 5, tuple(readings)))
        run(board.diary.keep_forecast(board.name, new))
        return len(readings)

    board.send = send  # type: ignore[method-assign]
    assert board.feed(READINGS[1:]) == [new]


@pytest.mark.parametrize("kind", ["native"])
def test_a_real_board_is_cut_off_and_comes_back(tmp_path: Path, kind: str) -> None:
    with VirtualBoard(kind, key=KEY, state_folder=tmp_path) as board:
        assert board.feed(READINGS) == []  # no model, no forecast
        assert list(board.diary.readings.values()) == list(READINGS)
        link = board.link
        board.power_off()
        assert not link.is_open
        with pytest.raises(LabError, match="'board-1' is off"):
            board.send(READINGS)
        board.power_on()
        assert board.link.is_open
        assert board.counters.readings >= len(READINGS)
    assert "event loop" not in threads()
