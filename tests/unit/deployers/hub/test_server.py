from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployers.exceptions import InputError, ServiceUnavailable
from deployers.hub import server
from deployers.hub.app import create_app
from deployers.hub.server import Patient, serve
from deployers.hub.settings import Rest, Settings
from tests.hub_parts import Parts, headers, settings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    interval = sys.getswitchinterval()
    # A signal that comes too late, after the hub has ended by itself, must not end the tests.
    handled = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, handled)
    sys.setswitchinterval(interval)


@pytest.fixture
def parts() -> Parts:
    return Parts(1, active=1, boards=["a"])


@pytest.fixture
def given(tmp_path: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 1)
    monkeypatch.setattr(server, "create_app", lambda found: create_app(found, **parts.given()))
    return settings(tmp_path, rest={"port": 0})


def during(given: Settings, body: Callable[[str], Any], ends: bool = True) -> Any:
    """Serve here while another thread does something with the hub's address, and then ends it as systemd does."""
    found: list[Any] = []

    def visit() -> None:
        path, end = given.root / "run" / "hub.url", time.monotonic() + 20
        while time.monotonic() < end:
            try:
                url = path.read_text(encoding="utf-8")
                httpx.get(f"{url}/health")
                break
            except (FileNotFoundError, httpx.TransportError):
                time.sleep(0.01)
        try:
            found.append(body(url))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=visit)
    if ends:
        visitor.start()
    serve(given)
    if ends:
        visitor.join()
        return found[0]
    return None


def test_it_serves_until_sigterm_and_leaves_signals_as_they_were(given: Settings, parts: Parts) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert during(given, lambda url: httpx.get(f"{url}/ready").status_code) == 200
    assert signal.getsignal(signal.SIGTERM) is before
    assert not parts.store.is_open
    assert not (given.root / "run" / "hub.url").exists()
    assert sys.getswitchinterval() == pytest.approx(server.SWITCH_SECONDS)


def test_a_part_that_cannot_start_ends_it_with_its_error(given: Settings, parts: Parts) -> None:
    parts.catalogue.failure = InputError("runtime 'x'")
    with pytest.raises(InputError, match="runtime 'x'"):
        during(given, lambda _: None, ends=False)


def talk(url: str, *sent: bytes | float) -> bytes:
    """Send bytes, and wait where there is a number; everything that comes back."""
    host, port = url.partition("://")[2].split(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        for each in sent:
            if isinstance(each, float):
                time.sleep(each)
            else:
                connection.sendall(each)
        try:
            while data := connection.recv(65536):
                found += data
        except ConnectionResetError:
            pass
    return found


GET = b"GET /health HTTP/1.1\r\nHost: hub\r\n\r\n"


def test_a_connection_that_says_nothing_or_half_of_it_ends(given: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "header_seconds", 0.2)
    began = time.monotonic()

    def ask(url: str) -> list[bytes]:
        return [
            talk(url),
            talk(url, b"GET /heal"),
            talk(url, b"\r\n"),
            talk(url, GET, 0.1, b"GET /health HTTP/1.1\r\n"),
        ]

    silent, half, empty, second = during(given, ask)
    assert (silent, half, empty) == (b"", b"", b"")
    assert second.count(b"HTTP/1.1 200") == 1
    assert time.monotonic() - began < 15


def test_requests_in_parts_and_one_after_the_other_are_answered(
    given: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Patient, "header_seconds", 0.5)
    parted = [GET[:10], 0.05, GET[10:], 0.7, GET, GET]  # longer on one connection than the headers of one may take
    assert during(given, lambda url: talk(url, *parted)).count(b"HTTP/1.1 200") == 3


def test_a_request_may_take_longer_than_its_headers(
    given: Settings, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Patient, "header_seconds", 0.2)

    async def slowly(_board: str) -> str:
        await asyncio.sleep(0.8)
        return "one"

    monkeypatch.setattr(parts.boards, "log", slowly)
    found = during(given, lambda url: httpx.get(f"{url}/devices/a/log", headers=headers("read")).json())
    assert found == {"board": "a", "lines": ["one"]}


def test_headers_beyond_their_bound_are_refused(given: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "header_bytes", 100)
    found = during(given, lambda url: (talk(url, GET), talk(url, b"GET /health HTTP/1.1\r\nX: " + b"x" * 200)))
    assert found[1].startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in found[1]


def test_a_connection_beyond_the_bound_is_cut(given: Settings) -> None:
    few = given.model_copy(update={"rest": Rest(port=0, connections_max=1)})

    def ask(url: str) -> bytes:
        host, port = url.partition("://")[2].split(":")
        with socket.create_connection((host, int(port)), timeout=20) as first:
            time.sleep(0.1)
            found = talk(url)
            first.sendall(GET)
            return found + first.recv(65536)

    assert during(few, ask).startswith(b"HTTP/1.1 200 ")


class Ending:
    """A server that is told to end, and takes a while."""

    def __init__(self, seconds: float) -> None:
        self.handled: list[int] = []
        self._seconds = seconds

    def handle_exit(self, number: int, _frame: Any) -> None:
        self.handled.append(number)

    def run(self, sockets: Any) -> None:
        self.handle_exit(signal.SIGTERM, None)
        self.handle_exit(signal.SIGTERM, None)
        time.sleep(self._seconds)


@pytest.mark.parametrize(("seconds", "expected"), [(0.3, [1]), (0.0, [])])
def test_an_end_that_takes_too_long_is_made(
    monkeypatch: pytest.MonkeyPatch, seconds: float, expected: list[int]
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(server.os, "_exit", ended.append)
    monkeypatch.setattr(server, "END_SECONDS", 0.1)
    found: Any = Ending(seconds)
    server._run(found, None)  # type: ignore[arg-type]  # noqa: SLF001 - the part of `serve` that holds the signals
    time.sleep(0.15)
    assert ended == expected
    assert found.handled == [signal.SIGTERM] * 2


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceUnavailable, match=f"port {port} .*give another"):
            server.listen(Rest(port=port))


def test_it_listens_on_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with server.listen(Rest(host="::1", port=0)) as found:
            assert found.family == socket.AF_INET6
    except ServiceUnavailable:
        pytest.skip("no IPv6 here")
