"""The link over real connections, against a board in Python."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from deployers.keeping import KEEPING_MAX
from deployers.link import HANDSHAKE_SECONDS, LOG_BYTES_MAX, BoardLink, LinkError, LinkLostError, LinkRefusedError
from deployers.listener import BoardListener
from deployers.protocol import messages
from deployers.protocol.messages import Forecast, Message, Reading, Readings, SlotState
from deployers.protocol.session import HubSession
from deployers.protocol.status import Status
from deployers.transfer import transfer
from tests.board_twin import KEY, STATE, BoardTwin
from tests.connected_twin import SECONDS, ConnectedTwin, Kept, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

KEYS = {"board-1": KEY, "board-2": bytes(32)}
IMAGE = bytes(i * 7 & 255 for i in range(3000))
FORECAST = Forecast(0, 7, 10, SlotState.CONFIRMED, (1.5, 2.5))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def kept() -> Kept:
    return Kept()


@pytest.fixture
async def listener(kept: Kept) -> AsyncIterator[BoardListener]:
    async with BoardListener(KEYS.get, kept, clock=lambda: 1234) as listener:
        yield listener


@pytest.fixture
async def twin(listener: BoardListener) -> AsyncIterator[ConnectedTwin]:
    async with ConnectedTwin(listener.port) as twin:
        yield twin


@pytest.fixture
async def link(listener: BoardListener, twin: ConnectedTwin) -> BoardLink:
    await twin.opened()
    return await listener.wait_for("board-1", SECONDS)


def readings(first: int, count: int = 1) -> bytes:
    return Readings(0, first, tuple(Reading(10 * number, number) for number in range(first, first + count))).encode()


async def test_a_board_connects_and_gets_the_time(link: BoardLink, twin: ConnectedTwin) -> None:
    assert link.hello.board == link.board == "board-1"
    await twin.wait(lambda board: board.time_ms == 1234)


async def test_readings_and_forecasts_are_kept_and_acknowledged(
    link: BoardLink, twin: ConnectedTwin, kept: Kept
) -> None:
    await twin.send(Message.FORECAST, FORECAST.encode())
    await twin.send(Message.READINGS, readings(0, 2))
    await twin.wait(lambda board: board.acknowledged == 2)
    assert kept.readings == [("board-1", 0, (Reading(0, 0), Reading(10, 1)))]
    assert kept.forecasts == [FORECAST]


async def test_nothing_is_acknowledged_before_it_is_kept_and_several_frames_wait_for_one_commit(
    listener: BoardListener, link: BoardLink, twin: ConnectedTwin, kept: Kept
) -> None:
    kept.gate.clear()
    for number in range(5):
        await twin.send(Message.FORECAST, FORECAST.encode())
        await twin.send(Message.READINGS, readings(number))
    await until(lambda: kept.called == 10)
    assert await link.status() == STATE
    assert (twin.board.acknowledged, kept.readings) == (0, [])
    kept.gate.set()
    await twin.wait(lambda board: board.acknowledged == 5)
    assert (len(kept.readings), len(kept.forecasts)) == (5, 5)
    found = listener.keeping("board-1").counters
    assert (found.connections, found.readings, found.forecasts) == (1, 5, 5)
    assert found.received_bytes > 500
    assert found.sent_bytes > 5 * 28


async def test_a_later_frame_that_is_kept_first_is_not_acknowledged_before_the_earlier(
    link: BoardLink, twin: ConnectedTwin, kept: Kept
) -> None:
    kept.gate.clear()
    await twin.send(Message.FORECAST, FORECAST.encode())
    await until(lambda: kept.called == 1)
    first, kept.gate = kept.gate, asyncio.Event()
    kept.gate.set()
    await twin.send(Message.READINGS, readings(0))
    await until(lambda: kept.readings)
    await link.status()
    assert twin.board.acknowledged == 0
    first.set()
    await twin.wait(lambda board: board.acknowledged == 1)


async def test_what_cannot_be_kept_is_not_acknowledged_and_comes_again(
    listener: BoardListener, link: BoardLink, twin: ConnectedTwin, kept: Kept
) -> None:
    kept.error = OSError("no space left on device")
    await twin.send(Message.READINGS, readings(0))
    await twin.send(Message.READINGS, readings(1))
    assert await twin.ended()
    assert (twin.board.acknowledged, link.is_open) == (0, False)
    kept.error = None
    async with ConnectedTwin(listener.port) as again:
        await again.opened()
        await again.send(Message.READINGS, readings(0, 2))
        await again.wait(lambda board: board.acknowledged == 2)
    assert [first for _, first, _ in kept.readings] == [0]


async def test_an_image_is_transferred_in_chunks(link: BoardLink, twin: ConnectedTwin) -> None:
    seen: list[tuple[int, int]] = []
    assert await transfer(link, IMAGE, lambda *found: seen.append(found)) == 0
    assert twin.board.holds(IMAGE)
    assert (seen[0], seen[-1]) == ((0, 3000), (3000, 3000))


async def test_a_transfer_goes_on_where_it_was_cut(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.image += IMAGE[:1500]
    assert await transfer(link, IMAGE) == 1500
    assert twin.board.holds(IMAGE)
    assert twin.board.received == 1500


async def test_a_board_that_asks_for_nonsense_is_an_error(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.answers[Message.TRANSFER_CHUNK] = (-1, bytes(4))
    with pytest.raises(LinkRefusedError, match="refused TRANSFER_CHUNK with status -1 \\(unknown to this hub\\)"):
        await transfer(link, IMAGE)
    twin.board.image[:] = bytes(5000)
    twin.board.answers.clear()
    assert await transfer(link, IMAGE) == 5000


async def test_most_chunks_are_not_answered(link: BoardLink, twin: ConnectedTwin) -> None:
    image = bytes(20 * 1024)
    assert await transfer(link, image) == 0
    assert twin.board.holds(image)
    assert [kind for kind, _ in twin.board.requests] == [Message.TRANSFER_BEGIN, *[Message.TRANSFER_CHUNK] * 3]


async def test_chunks_that_were_damaged_on_the_way_are_sent_again(link: BoardLink, twin: ConnectedTwin) -> None:
    image = bytes(i * 11 & 255 for i in range(200 * 1024))
    windows: list[int] = []

    def damage(done: int, _: int) -> None:
        windows.append(done)
        twin.damage = 1 if len(windows) % 3 == 1 else 0

    assert await transfer(link, image, damage) == 0
    without_damage = 1 + 25
    assert len(twin.board.requests) > without_damage
    assert twin.board.holds(image)


async def test_a_chunk_that_cannot_be_written_is_refused_by_its_own_name(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.worn_out = 3 * 1024
    with pytest.raises(LinkRefusedError, match="SLOT_FLASH"):
        await transfer(link, bytes(20 * 1024))
    assert len(twin.board.image) == 3 * 1024


async def test_a_board_that_goes_back_forever_is_given_up(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.answers[Message.TRANSFER_CHUNK] = (0, bytes(4))
    twin.board._take_chunk = lambda _: True  # type: ignore[method-assign]  # noqa: SLF001 - it forgets what it was sent

    with pytest.raises(LinkLostError, match="asks for offset 0 again and again"):
        await transfer(link, IMAGE)


async def test_requests_carry_their_values(link: BoardLink, twin: ConnectedTwin) -> None:
    assert await link.status() == STATE
    await link.set_time(5)
    await link.install()
    await link.confirm(7)
    await link.revert(8)
    assert twin.board.requests == [
        (Message.STATUS, b""),
        (Message.TIME, b"\x05" + bytes(7)),
        (Message.INSTALL, b""),
        (Message.CONFIRM, b"\x07\0\0\0"),
        (Message.REVERT, b"\x08\0\0\0"),
    ]


async def test_requests_under_way_at_the_same_time_get_their_own_answers(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.answers[Message.LOG] = (0, bytes(4))
    assert await asyncio.gather(link.status(), link.log(), link.status()) == [STATE, "", STATE]


async def test_a_refusal_carries_the_status_and_its_name(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.answers[Message.CONFIRM] = (Status.SESSION_NOT_PROVEN, b"")
    with pytest.raises(LinkRefusedError, match=r"refused CONFIRM with status -508 \(SESSION_NOT_PROVEN\)") as caught:
        await link.confirm(7)
    assert caught.value.status == Status.SESSION_NOT_PROVEN
    assert caught.value.exit_code == 9


async def test_a_request_that_was_damaged_on_the_way_is_sent_again(link: BoardLink, twin: ConnectedTwin) -> None:
    await twin.wait(lambda board: board.time_ms == 1234)
    twin.damage = 2
    assert await link.status() == STATE
    assert len(twin.board.requests) == 1


async def test_the_log_is_read_to_its_end(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.answers[Message.LOG] = (0, bytes(4))
    assert await link.log() == ""


async def test_a_line_of_which_the_beginning_is_gone_is_left_out(link: BoardLink, monkeypatch) -> None:
    parts = [(7, b"on to the hub\n5 start\n9 mo"), (32, b"del in test\n"), (44, b"")]

    async def answer(_kind: Message, _message: bytes) -> bytes:
        position, part = parts.pop(0)
        return position.to_bytes(4, "little") + part

    monkeypatch.setattr(link, "request", answer)
    assert await link.log() == "5 start\n9 model in test\n"


async def test_a_log_that_never_ends_is_cut(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.answers[Message.LOG] = (0, bytes(4) + b"x" * 900)
    text = await asyncio.wait_for(link.log(), 20)
    assert LOG_BYTES_MAX <= len(text) < LOG_BYTES_MAX + 900


async def test_a_board_that_does_not_answer_is_an_error(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.receive = lambda data: None  # type: ignore[method-assign]
    with pytest.raises(LinkLostError, match=r"no answer to STATUS after 3 attempts of 0\.05 s"):
        await link.request(Message.STATUS, seconds=0.05)


async def test_a_request_that_is_cancelled_in_the_moment_of_its_answer_is_cancelled(
    link: BoardLink, twin: ConnectedTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who makes one request after the other may not be stopped by any number of cancellations."""
    updated, cancelled = link.buffer_updated, []

    def answer_and_cancel(nbytes: int) -> None:
        updated(nbytes)
        cancelled.append(asking.cancel())

    asking = asyncio.create_task(link.status())
    monkeypatch.setattr(link, "buffer_updated", answer_and_cancel)
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert cancelled == [True]


async def test_an_answer_that_comes_too_late_is_no_answer_to_the_next(link: BoardLink, twin: ConnectedTwin) -> None:
    late = twin.board.receive
    held: list[bytes] = []
    twin.board.receive = held.append  # type: ignore[method-assign]
    with pytest.raises(LinkLostError):
        await link.request(Message.STATUS, seconds=0.02)
    twin.board.receive = late  # type: ignore[method-assign]
    twin.board.answers[Message.LOG] = (0, bytes(4))
    late(b"".join(held))
    assert await link.log() == ""


async def test_a_lost_connection_ends_the_request(link: BoardLink, twin: ConnectedTwin) -> None:
    twin.board.receive = lambda data: twin.cut()  # type: ignore[method-assign]
    with pytest.raises(LinkLostError, match="connection to the board has ended"):
        await link.status()
    assert not link.is_open
    with pytest.raises(LinkLostError, match="connection to the board has ended"):
        await link.status()


async def test_a_board_that_connects_again_takes_the_place_of_its_old_link(
    listener: BoardListener, link: BoardLink
) -> None:
    async with ConnectedTwin(listener.port):
        newer = await listener.wait_for("board-1", SECONDS, other_than=link)
        await link.wait_closed()
        assert newer is not link
        assert listener.link("board-1") is newer
        assert listener.online() == {"board-1": newer}
        assert await newer.status() == STATE


async def test_a_board_without_its_key_never_counts_as_connected(listener: BoardListener) -> None:
    async with ConnectedTwin(listener.port, BoardTwin(key=bytes(31))):
        with pytest.raises(LinkLostError, match=r"board 'board-1' did not connect within 0.2 s"):
            await listener.wait_for("board-1", 0.2)
        assert listener.link("board-1") is None


async def strangers(listener: BoardListener, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    return [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(count)]


async def is_dropped(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(SECONDS):
        try:
            while await reader.read(4096):
                pass
        except ConnectionResetError:
            pass
    return True


async def test_garbage_of_one_board_ends_its_connection_and_no_other(
    listener: BoardListener, link: BoardLink, twin: ConnectedTwin
) -> None:
    ((reader, writer),) = await strangers(listener, 1)
    writer.write(b"EL garbage of one board" * 1000)
    assert await is_dropped(reader)
    writer.close()
    await twin.send(Message.READINGS, readings(0))
    await twin.wait(lambda board: board.acknowledged == 1)
    assert await link.status() == STATE


async def test_a_board_that_says_nothing_or_little_is_dropped_in_time(
    listener: BoardListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.link.HANDSHAKE_SECONDS", 0.2)
    (silent, silence), (slow, writer) = await strangers(listener, 2)
    started = time.monotonic()
    dropped = asyncio.ensure_future(is_dropped(slow))
    while not dropped.done():
        writer.write(b"E")
        await asyncio.sleep(0.02)
    assert await is_dropped(silent)
    assert time.monotonic() - started < 5
    silence.close()
    writer.close()


async def test_a_board_that_takes_nothing_loses_its_link_and_the_request_ends(
    link: BoardLink, twin: ConnectedTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.link.SEND_SECONDS", 0.1)
    twin.stop_listening()

    async def ask() -> None:
        while True:
            await link.request(Message.TRANSFER_CHUNK, bytes(1000), seconds=0)

    async def ask_again() -> None:
        while link.is_open:
            with pytest.raises(LinkLostError):
                await ask()

    await asyncio.wait_for(ask_again(), SECONDS)
    assert not link.is_open


async def test_a_board_that_takes_slowly_keeps_its_link(
    link: BoardLink, twin: ConnectedTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.link.SEND_SECONDS", 0.3)
    monkeypatch.setattr("deployers.link.SEND_BYTES_MAX", 1 << 30)
    twin.task.cancel()
    link._transport.write(bytes(12_000_000))  # type: ignore[union-attr]  # noqa: SLF001 - more than the kernel takes
    for _ in range(15):
        await asyncio.sleep(0.1)
        await twin.reader.readexactly(500_000)
    assert link.is_open


async def test_a_board_that_makes_the_hub_answer_and_takes_no_answers_is_dropped_before_they_pile_up(
    link: BoardLink, twin: ConnectedTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployers.link.SEND_BYTES_MAX", 20_000)
    twin.stop_listening()
    link._transport.write(bytes(12_000_000))  # type: ignore[union-attr]  # noqa: SLF001 - more than the kernel takes
    # Each sound frame between the wrong ones begins the count of wrong ones anew.
    for number in range(2000):
        if not link.is_open:
            break
        twin.board.send(Message.READINGS, readings(0))
        twin.board.send(0x7E, b"")
        twin.writer.write(twin.board.output())
        if number % 100 == 0:
            await asyncio.sleep(0)
    await asyncio.wait_for(link.wait_closed(), 5)


async def test_a_store_that_hangs_holds_back_the_board_and_no_memory_fills(
    listener: BoardListener, link: BoardLink, twin: ConnectedTwin, kept: Kept
) -> None:
    listener.keeping("board-1")
    kept.gate.clear()
    flood = asyncio.create_task(twin.send(Message.FORECAST, FORECAST.encode(), times=100_000))
    await until(lambda: kept.called >= KEEPING_MAX)
    await asyncio.sleep(0.2)
    within_one_buffer = 4096 // (len(FORECAST.encode()) + 24) + 1
    assert kept.called <= KEEPING_MAX + within_one_buffer
    assert not flood.done()
    # A new connection of the same board does not make room.
    flood.cancel()
    before = kept.called
    async with ConnectedTwin(listener.port) as again:
        await again.opened()
        await again.send(Message.FORECAST, FORECAST.encode(), times=500)
        await asyncio.sleep(0.1)
        assert kept.called == before
        kept.gate.set()
        await until(lambda: kept.called >= before + 300)


async def test_a_board_that_floods_the_hub_is_read_at_its_pace_and_another_is_served_at_once(kept: Kept) -> None:
    async with (
        BoardListener(KEYS.get, kept, frames_per_second=100.0) as listener,
        ConnectedTwin(listener.port) as hostile,
        ConnectedTwin(listener.port, BoardTwin(bytes(32), "board-2")) as other,
    ):
        await hostile.opened()
        await other.opened()
        link = await listener.wait_for("board-2", SECONDS)
        flood = asyncio.create_task(hostile.send(Message.FORECAST, FORECAST.encode(), times=1_000_000))
        await until(lambda: kept.called >= 100)
        started, called = time.monotonic(), kept.called
        for number in range(20):
            await other.send(Message.READINGS, readings(number))
            await other.wait(lambda board, due=number + 1: board.acknowledged == due)
            assert await link.status() == STATE
            await asyncio.sleep(0.02)
        seconds = time.monotonic() - started
        assert kept.called - called - 20 <= 100 * seconds + 2 * 4096 // (len(FORECAST.encode()) + 24)
        assert seconds < 5
        flood.cancel()


async def test_strangers_who_stay_keep_no_board_out(listener: BoardListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployers.listener.STRANGERS_MAX", 3)
    others = await strangers(listener, 6)
    async with ConnectedTwin(listener.port):
        assert (await listener.wait_for("board-1", SECONDS)).is_open
        async with asyncio.timeout(HANDSHAKE_SECONDS / 2):
            assert await is_dropped(others[0][0])
    for _, writer in others:
        writer.close()


async def test_a_key_that_cannot_be_read_ends_one_connection_and_not_the_listening(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[bytes | OSError] = [OSError("input/output error"), KEY]

    def key_of(board: str) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async with BoardListener(key_of, kept) as listener:
        async with ConnectedTwin(listener.port) as refused:
            assert await refused.ended()
        async with ConnectedTwin(listener.port):
            assert (await listener.wait_for("board-1", SECONDS)).is_open
    assert "input/output error" in caplog.text


async def test_what_is_being_kept_at_the_end_is_waited_for(kept: Kept) -> None:
    async with BoardListener(KEYS.get, kept) as listener, ConnectedTwin(listener.port) as twin:
        await twin.opened()
        kept.gate.clear()
        await twin.send(Message.READINGS, readings(0))
        await until(lambda: kept.called == 1)
        asyncio.get_running_loop().call_later(0.1, kept.gate.set)
        await listener.stop()
        assert len(kept.readings) == 1


async def test_a_link_that_has_said_nothing_has_no_hello(listener: BoardListener) -> None:
    link = BoardLink(HubSession({}.get, bytes(16), lambda: 0), listener.keeping)
    with pytest.raises(LinkError, match="has not said hello"):
        _ = link.hello
    assert link.board is None
    link.abort()


async def test_damage_on_the_way_to_the_hub_is_refused_and_the_reading_comes_again(
    link: BoardLink, twin: ConnectedTwin, kept: Kept
) -> None:
    twin.board.send(Message.READINGS, readings(0))
    frame = bytearray(twin.board.output())
    frame[20] ^= 1
    twin.writer.write(bytes(frame))
    await twin.wait(lambda board: board.refusals == [Status.WIRE_CRC])
    await twin.send(Message.READINGS, readings(0))
    await twin.wait(lambda board: board.acknowledged == 1)
    assert messages.READINGS_MAX == 64
