"""A channel's own task: order, retries, gathering, and what is kept when."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from deployers.exceptions import ServiceUnavailable
from deployers.hub.alerts import sender as module
from deployers.hub.alerts.channel import Channel
from deployers.hub.alerts.ledger import Ledger
from deployers.hub.alerts.sender import Sender
from deployers.hub.store.alerting import Key, Told
from tests.alerting import START_MS, change, seen
from tests.connected_twin import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from deployers.hub.alerts.ledger import Change
    from deployers.hub.monitor.told import Seen

pytestmark = pytest.mark.anyio


def offer(sender: Sender, seen: Sequence[Seen], now_ms: int) -> None:
    """A look."""
    sender.offer(seen, now_ms)
    sender.wake()


class Line(Channel):
    """A channel of the test: takes, refuses or hangs as it is told to."""

    name, server = "line", "here:1"

    def __init__(self) -> None:
        self.taken: list[list[str]] = []
        self.attempts = 0
        self.error: Exception | None = None
        self.hangs = False
        self.remark = ""
        self.is_behind = self.closed = False

    async def send(self, changes: Sequence[Change]) -> str:
        self.attempts += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.taken.append([f"{each.series} {each.kind}" for each in changes])
        return self.remark

    def show(self, _seen: Sequence[Any]) -> bool:
        return self.is_behind

    async def close(self) -> None:
        self.closed = True


class Kept:
    """What is kept of what was told."""

    def __init__(self) -> None:
        self.rows: dict[Key, Told | None] = {}
        self.error: Exception | None = None

    async def __call__(self, changed: Mapping[Key, Told | None]) -> None:
        if self.error is not None:
            raise self.error
        self.rows.update(changed)


class Time:
    """Passes when somebody sleeps, and brings what is to happen; stands for `asyncio` and `time` of the module."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.events: list[tuple[float, Callable[[], None]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.now + seconds
        while self.events and self.events[0][0] <= until:
            self.now, happens = self.events.pop(0)
            happens()
        self.now = until
        await asyncio.sleep(0)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    for name in ("asyncio", "time"):
        monkeypatch.setattr(module, name, found)
    return found


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
async def sender(line: Line, kept: Kept) -> AsyncIterator[Sender]:
    found = Sender(line, Ledger({}, "alarm", 24), kept, lambda: START_MS / 1000, seconds=30, retry_seconds=0.01)
    found.start()
    yield found
    await found.stop()


async def test_what_changes_together_is_one_message_and_kept_once_sent(line: Line, kept: Kept, sender: Sender) -> None:
    offer(sender, [seen("a", "alarm"), seen("b", "alarm")], START_MS)
    await until(lambda: kept.rows)
    assert line.taken == [["a raised", "b raised"]]
    assert kept.rows == {Key(name, "stuck"): Told(2, START_MS, 1) for name in "ab"}
    offer(sender, [seen("a", "ok", heard_ms=2)], START_MS)
    await until(lambda: kept.rows[Key("a", "stuck")] is None)
    told = sender.as_dict()
    assert (told["sent"], told["waiting"], told["failures"], told["last_success_ms"]) == (3, 0, 0, START_MS)


async def test_a_server_that_comes_back_is_told_everything_in_order(line: Line, kept: Kept, sender: Sender) -> None:
    line.error = ServiceUnavailable("the server is away: start it")
    for at, level in enumerate(("alarm", "ok", "alarm")):
        offer(sender, [seen(level=level, heard_ms=at)], START_MS + at)
    await until(lambda: line.attempts >= 3)
    told = sender.as_dict()
    assert (told["waiting"], told["last_error"], told["last_success_ms"]) == (3, "the server is away: start it", None)
    assert told["failures"] >= 3
    assert kept.rows == {}
    line.error = None
    await until(lambda: kept.rows)
    assert line.taken == [["board-1 raised", "board-1 resolved", "board-1 raised"]]
    assert kept.rows == {Key("board-1", "stuck"): Told(2, START_MS + 2, 2)}


async def test_an_error_that_nobody_foresaw_does_not_end_the_task(line: Line, kept: Kept, sender: Sender) -> None:
    line.error = ZeroDivisionError("division by zero")
    offer(sender, [seen(level="alarm")], START_MS)
    await until(lambda: line.attempts >= 2)
    line.error = None
    await until(lambda: kept.rows)
    assert sender.as_dict()["last_error"] == "division by zero"


async def test_waits_grow_to_a_limit(line: Line, kept: Kept, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS_MAX", 40)
    line.error = ServiceUnavailable("away")
    sender = Sender(line, Ledger({}, "alarm", 24), kept, retry_seconds=10)
    sender.start()
    offer(sender, [seen(level="alarm")], START_MS)
    await until(lambda: len(time.slept) >= 5)
    await sender.stop()
    assert time.slept[:5] == [10, 20, 40, 40, 40]


async def test_a_server_that_hangs_is_given_up_and_tried_again(line: Line, kept: Kept) -> None:
    sender = Sender(line, Ledger({}, "alarm", 24), kept, seconds=0.02, retry_seconds=0.01)
    sender.start()
    line.hangs = True
    offer(sender, [seen(level="alarm")], START_MS)
    await until(lambda: sender.as_dict()["failures"] >= 2)
    assert sender.as_dict()["last_error"] == "'here:1' did not take it within 0.02 s: look at it, or at the network"
    line.hangs = False
    await until(lambda: kept.rows)
    assert line.taken == [["board-1 raised"]]
    await sender.stop()


async def test_what_was_sent_but_could_not_be_kept_is_kept_later_and_not_sent_again(
    line: Line, kept: Kept, sender: Sender
) -> None:
    kept.error = ServiceUnavailable("disk full")
    offer(sender, [seen("a", "alarm")], START_MS)
    await until(lambda: line.taken)
    offer(sender, [seen("a", "alarm")], START_MS)
    kept.error = None
    await until(lambda: kept.rows)
    assert line.taken == [["a raised"]]


async def test_a_long_list_goes_in_parts(
    line: Line, kept: Kept, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER_MAX", 2)
    offer(sender, [seen(name, "alarm") for name in "abc"], START_MS)
    await until(lambda: len(kept.rows) == 3)
    assert line.taken == [["a raised", "b raised"], ["c raised"]]


async def test_a_message_waits_until_nothing_more_comes(line: Line, kept: Kept, time: Time) -> None:
    line.gather_seconds = 60
    sender = Sender(line, Ledger({}, "alarm", 24), kept)
    time.events = [
        (time.now + 50 * at, lambda at=at: offer(sender, [seen(f"b-{at}", "alarm")], START_MS)) for at in (1, 2, 3)
    ]
    sender.start()
    offer(sender, [seen("b-0", "alarm")], START_MS)
    await until(lambda: line.taken)
    assert line.taken == [[f"b-{at} raised" for at in range(4)]]
    assert time.now == 1000 + 3 * 50 + 60
    await sender.stop()


async def test_a_message_does_not_wait_for_ever(line: Line, kept: Kept, time: Time) -> None:
    line.gather_seconds = 60
    sender = Sender(line, Ledger({}, "alarm", 24), kept)
    time.events = [
        (time.now + 50 * at, lambda at=at: offer(sender, [seen(f"b-{at}", "alarm")], START_MS)) for at in range(1, 40)
    ]
    sender.start()
    offer(sender, [seen("b-0", "alarm")], START_MS)
    await until(lambda: line.taken)
    assert time.now == 1000 + 15 * 60
    assert len(line.taken[0]) == 1 + 15 * 60 // 50
    await sender.stop()


async def test_states_alone_are_sent_and_again_where_that_failed(line: Line, sender: Sender) -> None:
    offer(sender, [seen()], START_MS)
    await asyncio.sleep(0.05)
    assert line.attempts == 0
    line.is_behind, line.error = True, ServiceUnavailable("away")
    offer(sender, [seen()], START_MS)
    line.is_behind = False
    await until(lambda: line.attempts >= 2)
    line.error = None
    await until(lambda: line.taken)
    assert line.taken == [[]]


async def test_a_trial_is_sent_beside_what_waits_and_says_what_went_wrong(line: Line, sender: Sender) -> None:
    assert await sender.try_out(change("", "test", "ok")) is None
    assert line.taken == [[" test"]]
    line.error = ServiceUnavailable("the server\nis away")
    assert await sender.try_out(change("", "test", "ok")) == "the server is away"


async def test_a_remark_is_shown_though_it_was_sent(line: Line, sender: Sender) -> None:
    line.remark = "night@example.org was refused"
    assert await sender.try_out(change("", "test", "ok")) is None
    told = sender.as_dict()
    assert (told["last_error"], told["failures"], told["last_success_ms"]) == (line.remark, 0, START_MS)


async def test_a_sender_that_stops_keeps_what_it_has_told(line: Line, kept: Kept) -> None:
    sender = Sender(line, Ledger({}, "alarm", 24), kept)
    kept.error = ServiceUnavailable("busy")
    sender.start()
    offer(sender, [seen(level="alarm")], START_MS)
    await until(lambda: sender.as_dict()["sent"])
    kept.error = None
    await sender.stop()
    assert list(kept.rows) == [Key("board-1", "stuck")]


async def test_a_sender_that_stops_lets_go_of_its_server(line: Line, kept: Kept) -> None:
    sender = Sender(line, Ledger({}, "alarm", 24), kept)
    sender.start()
    line.hangs = True
    offer(sender, [seen(level="alarm")], START_MS)
    await until(lambda: line.attempts)
    await sender.stop()
    assert line.closed
    assert kept.rows == {}
