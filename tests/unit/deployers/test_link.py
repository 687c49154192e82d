"""The link over real sockets, against a board in Python."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from deployers.link import BoardLink, BoardListener, LinkError, LinkLostError, LinkRefusedError
from deployers.protocol.messages import Forecast, Message, Reading, Readings, SlotState
from deployers.protocol.session import HubSession
from deployers.protocol.status import Status
from tests.board_twin import KEY, STATE, BoardTwin

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 60.0  # only a failure takes so long
IMAGE = bytes(i * 7 & 255 for i in range(3000))


class Kept:
    def __init__(self) -> None:
        self.readings: list[tuple[str, int, tuple[Reading, ...]]] = []
        self.forecasts: list[Forecast] = []

    def keep_readings(self, board: str, first: int, readings: tuple[Reading, ...]) -> None:
        self.readings.append((board, first, readings))

    def keep_forecast(self, board: str, forecast: Forecast) -> None:
        self.forecasts.append(forecast)


class ConnectedTwin:
    """A board in Python on a socket, served by a thread."""

    def __init__(self, port: int, board: BoardTwin) -> None:
        self.board = board
        self.damage = 0
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.socket.settimeout(SECONDS)
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def send(self, kind: int, message: bytes) -> None:
        with self.changed:
            self.board.send(kind, message)
            self.socket.sendall(self.board.output())

    def wait(self, condition: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: eval(condition, {"board": self.board}), SECONDS), condition  # noqa: S307

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(SECONDS)
        self.socket.close()

    def _serve(self) -> None:
        try:
            with self.changed:
                self.socket.sendall(self.board.output())
            while data := self.socket.recv(4096):
                with self.changed:
                    if self.damage and self.board.session_key:
                        self.damage -= 1
                        data = data[:-1] + bytes([data[-1] ^ 1])
                    self.board.receive(data)
                    self.socket.sendall(self.board.output())
                    self.changed.notify_all()
        except OSError:
            pass


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def listener(kept: Kept) -> Iterator[BoardListener]:
    with BoardListener({"board-1": KEY}.get, kept, clock=lambda: 1234) as listener:
        yield listener


@pytest.fixture
def twin(listener: BoardListener) -> Iterator[ConnectedTwin]:
    twin = ConnectedTwin(listener.port, BoardTwin())
    yield twin
    twin.close()


@pytest.fixture
def link(listener: BoardListener, twin: ConnectedTwin) -> BoardLink:
    return listener.wait_for("board-1", SECONDS)


def test_a_board_connects_and_gets_the_time(link: BoardLink, twin: ConnectedTwin) -> None:
    assert link.hello.board == "board-1"
    twin.wait("board.time_ms == 1234")


def test_readings_and_forecasts_are_kept_and_acknowledged(link: BoardLink, twin: ConnectedTwin, kept: Kept) -> None:
    forecast = Forecast(1, 7, 20, SlotState.CONFIRMED, (1.5, 2.5))
    twin.send(Message.FORECAST, forecast.encode())
    twin.send(Message.READINGS, Readings(0, 0, (Reading(10, 1), Reading(20, 2))).encode())
    twin.wait("board.acknowledged == 2")
    assert kept.readings == [("board-1", 0, (Reading(10, 1), Reading(20, 2)))]
    assert kept.forecasts == [forecast]


def test_an_image_is_transferred_in_chunks(link: BoardLink, twin: ConnectedTwin) -> None:
    assert link.transfer(IMAGE) == 0
    assert twin.board.holds(IMAGE)
    assert len(twin.board.requests) == 1 + 3


def test_a_transfer_goes_on_where_it_was_cut(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.image += IMAGE[:1500]
    assert link.transfer(IMAGE) == 1500
    assert twin.board.holds(IMAGE)
    assert len(twin.board.requests) == 1 + 2


def test_a_board_that_asks_for_nonsense_is_an_error(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.answers[Message.TRANSFER_CHUNK] = (-1, bytes(4))
    with pytest.raises(LinkRefusedError, match="refused TRANSFER_CHUNK with status -1 \\(unknown to this hub\\)"):
        link.transfer(IMAGE)
    twin.board.image += bytes(5000)
    twin.board.answers.clear()
    assert link.transfer(IMAGE) == 5000


def test_requests_carry_their_values(link: BoardLink, twin: ConnectedTwin) -> None:
    assert link.status() == STATE
    link.set_time(5)
    link.install()
    link.confirm(7)
    link.revert(8)
    assert twin.board.requests == [
        (Message.STATUS, b""),
        (Message.TIME, b"\x05" + bytes(7)),
        (Message.INSTALL, b""),
        (Message.CONFIRM, b"\x07\0\0\0"),
        (Message.REVERT, b"\x08\0\0\0"),
    ]


def test_a_refusal_carries_the_status_and_its_name(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.answers[Message.CONFIRM] = (Status.SESSION_NOT_PROVEN, b"")
    with pytest.raises(LinkRefusedError, match=r"refused CONFIRM with status -508 \(SESSION_NOT_PROVEN\)") as caught:
        link.confirm(7)
    assert caught.value.status == Status.SESSION_NOT_PROVEN


def test_a_request_that_was_damaged_on_the_way_is_sent_again(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.wait("board.time_ms == 1234")
    twin.damage = 2
    assert link.status() == STATE
    assert len(twin.board.requests) == 1


def test_the_log_is_read_to_its_end(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.answers[Message.LOG] = (0, bytes(4))
    assert link.log() == ""


def test_a_board_that_does_not_answer_is_an_error(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.receive = lambda data: None  # type: ignore[method-assign]
    with pytest.raises(LinkLostError, match=r"no answer to STATUS after 3 attempts of 0\.05 s"):
        link.request(Message.STATUS, seconds=0.05)


def test_a_lost_connection_ends_the_request(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.receive = lambda data: twin.socket.shutdown(socket.SHUT_RDWR)  # type: ignore[method-assign]
    with pytest.raises(LinkLostError, match="connection to the board has ended"):
        link.status()
    assert not link.is_open


def test_a_board_that_connects_again_takes_the_place_of_its_old_link(
    listener: BoardListener, link: BoardLink, twin: ConnectedTwin
) -> None:
    second = ConnectedTwin(listener.port, BoardTwin())
    newer = listener.wait_for("board-1", SECONDS, other_than=link)
    assert newer is not link
    assert not link.is_open
    assert listener.link("board-1") is newer
    second.close()


def test_a_board_without_its_key_never_counts_as_connected(listener: BoardListener) -> None:
    stranger = ConnectedTwin(listener.port, BoardTwin(key=bytes(32)))
    with pytest.raises(LinkLostError, match=r"board 'board-1' did not connect within 0.2 s"):
        listener.wait_for("board-1", 0.2)
    assert listener.link("board-1") is None
    stranger.close()


def strangers(listener: BoardListener, count: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", listener.port), SECONDS) for _ in range(count)]


def is_dropped(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def test_garbage_of_one_board_ends_its_connection_and_no_other(
    listener: BoardListener, link: BoardLink, twin: ConnectedTwin, kept: Kept
) -> None:
    (stranger,) = strangers(listener, 1)
    with contextlib.suppress(OSError), stranger:
        stranger.sendall(b"EL garbage of one board" * 1000)
        assert is_dropped(stranger)
    twin.send(Message.READINGS, Readings(0, 0, (Reading(10, 1),)).encode())
    twin.wait("board.acknowledged == 1")
    assert link.status() == STATE


def test_a_board_that_says_nothing_or_little_is_dropped_in_time(
    listener: BoardListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.link.HANDSHAKE_SECONDS", 0.2)
    monkeypatch.setattr("deployers.link.SEND_SECONDS", 0.1)
    silent, slow = strangers(listener, 2)
    with silent, slow:
        for _ in range(20):
            with contextlib.suppress(OSError):
                slow.send(b"E")
            time.sleep(0.02)
        assert is_dropped(silent)
        assert is_dropped(slow)


def test_a_board_that_takes_nothing_loses_its_link_and_the_request_ends(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.link.SEND_SECONDS", 0.1)
    here, there = socket.socketpair()
    session = HubSession({"board-1": KEY}.get, bytes(16), lambda: 0)
    board = BoardTwin()
    link = BoardLink(here, session, kept)
    while data := board.output():
        session.receive(data)
        board.receive(session.output())
    thread = threading.Thread(target=link.serve, args=(lambda _: None,), daemon=True)
    thread.start()
    end = time.monotonic() + SECONDS
    while thread.is_alive() and time.monotonic() < end:
        with contextlib.suppress(LinkLostError):
            link.request(Message.TRANSFER_CHUNK, bytes(1000), seconds=0)
    assert not thread.is_alive()
    assert not link.is_open
    there.close()


def test_strangers_who_stay_keep_no_board_out(listener: BoardListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployers.link.STRANGERS_MAX", 3)
    first, *others = strangers(listener, 6)
    twin = ConnectedTwin(listener.port, BoardTwin())
    assert listener.wait_for("board-1", SECONDS).is_open
    assert is_dropped(first)
    twin.close()
    for stranger in [first, *others]:
        stranger.close()


def test_a_connection_that_cannot_be_taken_does_not_end_the_listening(
    listener: BoardListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_threads(*_: object, **__: object) -> threading.Thread:
        monkeypatch.undo()
        msg = "can't start new thread"
        raise RuntimeError(msg)

    before = threading.Thread
    monkeypatch.setattr("deployers.link.threading.Thread", no_threads)
    (refused,) = strangers(listener, 1)
    assert is_dropped(refused)
    assert threading.Thread is before
    twin = ConnectedTwin(listener.port, BoardTwin())
    assert listener.wait_for("board-1", SECONDS).is_open
    twin.close()
    refused.close()


def test_a_link_that_has_said_nothing_has_no_hello() -> None:
    here, there = socket.socketpair()
    link = BoardLink(here, HubSession({}.get, bytes(16), lambda: 0), Kept())
    with pytest.raises(LinkError, match="has not said hello"):
        _ = link.hello
    link.close()
    there.close()
