from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from deployers.hub.limits import CALLERS_MAX, Buckets, Door, network
from deployers.hub.metrics import Metrics
from tests.hub_parts import settings, tokens

App = Callable[[Any, Any, Any], Awaitable[None]]


async def reads_all(_scope: Any, receive: Any, send: Any) -> None:
    """An application that reads the whole body and answers with its length."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Entrance:
    """A door with an application behind it, and requests by hand."""

    def __init__(self, tmp_path: Path, app: App = reads_all, **rest: Any) -> None:
        self.hub = SimpleNamespace(
            settings=settings(tmp_path, rest=rest),
            tokens=tokens(),
            metrics=Metrics(),
            is_ready=True,
            states={"store": "up", "models": "starting"},
        )
        self.clock = Clock()
        self.door = Door(app, self.hub, self.clock)  # type: ignore[arg-type]

    async def ask(self, method: str = "POST", path: str = "/x", role: str | None = "write", **given: Any) -> Any:
        """One request; a part of the body that is a number is a wait of so many seconds."""
        parts = list(given.get("parts", [b""]))
        headers = [*given.get("headers", ())]
        if role is not None:
            headers.append((b"authorization", b"Bearer " + role.encode()))
        client = given.get("client", ("10.0.0.1", 1))
        scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": client}
        sent: list[Any] = []

        async def receive() -> Any:
            if not parts:
                return {"type": "http.disconnect"}
            part = parts.pop(0)
            if isinstance(part, float):
                await asyncio.sleep(part)
                part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.door(scope, receive, send)
        return sent

    def status(self, *arguments: Any, **given: Any) -> int:
        return int(asyncio.run(self.ask(*arguments, **given))[0]["status"])


def header(sent: Any, name: bytes) -> bytes | None:
    return next((value for key, value in sent[0]["headers"] if key == name), None)


@given(st.lists(st.floats(0, 5), max_size=60), st.floats(0.5, 50), st.integers(1, 20))
def test_no_more_gets_through_than_the_burst_and_the_rate(gaps: list[float], rate: float, burst: int) -> None:
    buckets, now, taken = Buckets(rate, burst), 0.0, 0
    for gap in gaps:
        now += gap
        taken += buckets.take("a", now) == 0
        assert taken <= burst + rate * now + 1e-6


def test_a_caller_that_waits_as_told_gets_through() -> None:
    buckets = Buckets(2.0, 1)
    assert buckets.take("a", 0.0) == 0
    wait = buckets.take("a", 0.0)
    assert wait == pytest.approx(0.5)
    assert buckets.take("a", wait) == 0
    assert buckets.take("b", wait) == 0  # another caller has its own


def test_buckets_are_bounded_and_the_oldest_goes_first() -> None:
    buckets = Buckets(0.001, 1, callers=3)
    for caller in "abcd":
        assert buckets.take(caller, 0.0) == 0
    assert len(buckets) == 3
    assert buckets.take("d", 0.0) > 0
    assert buckets.take("a", 0.0) == 0  # it was forgotten
    assert CALLERS_MAX <= 10_000


def test_rate_zero_is_no_limit() -> None:
    assert all(Buckets(0.0, 1).take("a", 0.0) == 0 for _ in range(10))


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("10.0.0.1", 5), "10.0.0.1"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::", 5), "2001:db8:1:2::/64"),
        (("testclient", 5), "testclient"),
        (None, "unknown"),
    ],
)
def test_an_address_stands_for_its_owner(client: Any, expected: str) -> None:
    assert network({"client": client}) == expected


def test_one_token_has_one_limit_wherever_it_comes_from(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path, requests_per_second=1, burst=2)
    asked = [entrance.status(client=(f"10.0.0.{last}", 1)) for last in range(3)]
    assert asked == [200, 200, 429]
    assert entrance.status(role="read") == 200
    entrance.clock.now += 1
    assert entrance.status() == 200


def test_a_limited_caller_is_told_when_to_come_again(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path, requests_per_second=0.5, burst=1)
    entrance.status()
    sent = asyncio.run(entrance.ask())
    assert header(sent, b"retry-after") == b"2"
    assert header(sent, b"content-type") == b"application/problem+json"


def test_wrong_tokens_are_limited_and_right_ones_from_there_are_not(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path)
    asked = [entrance.status(role=f"guess {number}") for number in range(25)]
    assert asked == [401] * 20 + [429] * 5
    assert entrance.status() == 200
    assert entrance.status(role="guess", client=("10.0.0.2", 1)) == 401


def test_a_body_without_a_token_is_not_read(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path)
    sent = asyncio.run(entrance.ask(role=None, parts=[b"x", 60.0, b"y"]))
    assert sent[0]["status"] == 401
    assert header(sent, b"connection") == b"close"
    assert entrance.status("GET", role=None) == 200  # the route decides


@pytest.mark.parametrize(("size", "status"), [(1024, 200), (1025, 413)])
def test_a_body_beyond_the_limit_is_refused_by_its_length(tmp_path: Path, size: int, status: int) -> None:
    entrance = Entrance(tmp_path, body_bytes_max=1024)
    length = [(b"content-length", str(size).encode())]
    assert entrance.status(headers=length, parts=[bytes(size)]) == status


def test_a_body_that_says_it_is_too_large_is_not_waited_for(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path, body_bytes_max=1024)
    assert entrance.status(headers=[(b"content-length", b"1025")], parts=[b"x", 60.0, b"y"]) == 413


@pytest.mark.parametrize(("sizes", "status"), [((600, 424), 200), ((600, 425), 413), ((100,) * 20, 413)])
def test_a_chunked_body_beyond_the_limit_is_refused_as_it_comes(
    tmp_path: Path, sizes: tuple[int, ...], status: int
) -> None:
    entrance = Entrance(tmp_path, body_bytes_max=1024)
    chunked = [(b"transfer-encoding", b"chunked")]
    sent = asyncio.run(entrance.ask(headers=chunked, parts=[bytes(size) for size in sizes]))
    assert sent[0]["status"] == status
    assert header(sent, b"connection") == (None if status == 200 else b"close")


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_body_that_does_not_end_is_given_up(tmp_path: Path, method: str) -> None:
    entrance = Entrance(tmp_path, body_seconds=0.05)
    headers = [(b"content-length", b"100")]
    sent = asyncio.run(entrance.ask(method, headers=headers, parts=[b"x", 60.0, b"y"]))
    assert sent[0]["status"] == 408
    assert header(sent, b"connection") == b"close"
    dripping = [part for _ in range(50) for part in (b"x", 0.01)]
    assert entrance.status(method, headers=headers, parts=[*dripping, b"x"]) == 408


def test_waiting_for_a_client_to_leave_is_not_limited(tmp_path: Path) -> None:
    async def streams(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    assert Entrance(tmp_path, streams, body_seconds=0.001).status(parts=[b""]) == 200


def test_a_client_that_does_not_take_an_answer_is_given_up(tmp_path: Path) -> None:
    async def floods(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    entrance = Entrance(tmp_path, floods, send_seconds=0.02)

    async def stuck(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None}
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(entrance.door(scope, lambda: asyncio.sleep(0), stuck))  # type: ignore[arg-type]
    assert time.monotonic() - began < 5


def test_only_so_many_are_answered_at_a_time_but_health_always_is(tmp_path: Path) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.05)
        await reads_all(scope, receive, send)

    entrance = Entrance(tmp_path, slow, concurrency_max=2)

    async def many() -> list[int]:
        asked = await asyncio.gather(
            entrance.ask(), entrance.ask(), entrance.ask(), entrance.ask("GET", "/health", role=None)
        )
        return [int(sent[0]["status"]) for sent in asked]

    assert asyncio.run(many()) == [200, 200, 503, 200]
    assert entrance.status() == 200


def test_nothing_but_health_is_answered_before_the_parts_are_up(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path)
    entrance.hub.is_ready = False
    assert [entrance.status("GET", path) for path in ("/health", "/ready", "/jobs")] == [200, 200, 503]


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("inside"), 500), (HTTPException(418), 418), (RecursionError(), 500)]
)
def test_an_error_behind_the_door_becomes_an_answer(tmp_path: Path, error: Exception, status: int) -> None:
    async def fails(*_: Any) -> None:
        raise error

    sent = asyncio.run(Entrance(tmp_path, fails).ask())
    assert sent[0]["status"] == status
    assert b"inside" not in sent[1]["body"]


def test_an_error_in_the_middle_of_an_answer_cuts_it(tmp_path: Path) -> None:
    async def fails(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        asyncio.run(Entrance(tmp_path, fails).ask())


def test_refused_requests_are_counted_too(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path)
    entrance.status("BREW", role=None)
    found = entrance.hub.metrics.registry.get_sample_value(
        "edgeloop_requests_total", {"method": "", "route": "unmatched", "status": "401"}
    )
    assert found == 1


def test_what_is_no_request_is_passed_on(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def notes(scope: Any, *_: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Entrance(tmp_path, notes).door({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
