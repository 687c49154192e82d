"""The hub as a process: what only a real server with real sockets shows."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployers.hub import server
from deployers.hub.settings import Settings
from tests.certificate import certificate
from tests.served_hub import SECONDS, Served, run, until


def health(connection: socket.socket) -> None:
    """Ask for it on a connection that stays open, and read all of the answer."""
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: hub\r\n\r\n")
    found = b""
    while not found.endswith(b"}"):
        part = connection.recv(65536)
        assert part, found
        found += part
    assert found.startswith(b"HTTP/1.1 200 ")


def answer(connection: socket.socket) -> bytes:
    """Everything that comes until the server ends the connection."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            found += data
    return found


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("hub"))
    served.prepare()
    served.start()
    yield served
    served.stop()


def test_it_answers_with_a_token_and_is_not_ready_without_a_model(hub: Served) -> None:
    assert httpx.get(f"{hub.url}/ready").status_code == 503
    assert httpx.get(f"{hub.url}/devices", headers=hub.headers()).json() == {"devices": []}
    assert httpx.get(f"{hub.url}/devices").status_code == 401
    assert "server" not in httpx.get(f"{hub.url}/health").headers


def test_ctl_reads_its_status(hub: Served) -> None:
    ran = run("ctl", hub.config, "status")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["active"] is None


def head(hub: Served, *lines: str) -> bytes:
    token = hub.headers()["Authorization"]
    return "\r\n".join(["POST /deploy HTTP/1.1", "Host: hub", f"Authorization: {token}", *lines, "", ""]).encode()


def test_a_body_that_never_comes_is_given_up(hub: Served) -> None:
    with hub.connect() as connection:
        connection.sendall(head(hub, "Content-Length: 100") + b"{")
        began = time.monotonic()
        found = answer(connection)
    assert found.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in found
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("begun", [b"", b"G", b"GET /health HTTP/1.1\r\nHost: ", b"\r\n", b"POST /deploy HTTP/1.1\r\n"])
def test_headers_that_never_come_are_given_up(hub: Served, begun: bytes) -> None:
    with hub.connect() as connection:
        connection.sendall(begun)
        began = time.monotonic()
        assert answer(connection) == b""
    assert time.monotonic() - began < 10


def test_headers_that_drip_are_given_up(hub: Served) -> None:
    with hub.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - began < 10:
                connection.sendall(b"X-Drip: 1\r\n")
                time.sleep(0.1)
    assert time.monotonic() - began < 10


def test_a_second_request_on_a_connection_is_watched_too(hub: Served) -> None:
    with hub.connect() as connection:
        health(connection)
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        assert answer(connection) == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.1\r\nX: " + b"x" * 10_000,
        b"GET /" + b"x" * 10_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
        b"POST /deploy HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /deploy HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0" * 100,
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(hub: Served, sent: bytes) -> None:
    with hub.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        found = answer(connection)
    assert found == b"" or found.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))
    assert hub.is_up()


def test_a_chunked_body_that_grows_beyond_the_limit_is_cut(hub: Served) -> None:
    with hub.connect() as connection:
        connection.sendall(head(hub, "Transfer-Encoding: chunked"))
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(1000):
                connection.sendall(chunk)
        found = answer(connection)
    assert found == b"" or found.startswith(b"HTTP/1.1 413 ")
    large = httpx.post(f"{hub.url}/deploy", content=b"x" * 2049, headers=hub.headers())
    assert (large.status_code, large.json()["code"]) == (413, "too_large")


def test_connections_beyond_the_bound_are_cut_and_the_others_stay(hub: Served) -> None:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(hub.connect()) for _ in range(19)]
        health(held[0])
        more = [stack.enter_context(hub.connect()) for _ in range(20)]
        health(held[0])
        assert answer(more[-1]) == b""
    until(hub.is_up)


def test_sql_in_a_query_string_is_only_text(hub: Served) -> None:
    query = {"series": "x'; DROP TABLE reading; --", "limit": "1"}
    found = httpx.get(f"{hub.url}/temperatures", params=query, headers=hub.headers())
    assert found.status_code in {200, 422}
    assert httpx.get(f"{hub.url}/temperatures", headers=hub.headers()).status_code == 200


def test_no_secret_is_in_the_log(hub: Served) -> None:
    secret = hub.headers()["Authorization"].removeprefix("Bearer ")
    assert secret not in hub.log
    assert all(json.loads(line)["level"] for line in hub.log.splitlines())


def test_it_ends_in_order_and_within_ten_seconds_though_clients_hang(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.prepare()
    served.start()
    assert stat.S_IMODE((tmp_path / "run" / "hub.url").stat().st_mode) == 0o600
    with served.connect() as idle, served.connect() as sending:
        sending.sendall(head(served, "Content-Length: 100"))
        idle.sendall(b"GET")
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(SECONDS) == 0
    assert time.monotonic() - began < 10
    assert not (tmp_path / "run" / "hub.url").exists()
    assert "shutdown complete" in served.log


def refused(tmp_path: Path, settings: str, code: int) -> str:
    served = Served(tmp_path, settings)
    served.config.parent.mkdir(parents=True, exist_ok=True)
    served.config.write_text(settings, encoding="utf-8")
    ran = run("serve", served.config)
    assert ran.returncode == code, ran.stderr
    return ran.stderr.splitlines()[-1]


def test_it_does_not_start_where_it_would_be_unsafe(tmp_path: Path) -> None:
    assert "rest.tls_certificate" in refused(tmp_path, "rest.host = '0.0.0.0'", 2)
    assert "tokens.toml' cannot be read" in refused(tmp_path, "", 2)
    run("token", tmp_path / "config" / "hub.toml", "--name", "x", "--role", "read")
    (tmp_path / "config" / "tokens.toml").chmod(0o644)
    assert "chmod 600" in refused(tmp_path, "", 2)


def test_it_does_not_start_on_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served = Served(tmp_path, f"rest.port = {port}\nboards.port = 0")
        served.prepare()
        assert f"port {port}" in refused(tmp_path, served.settings, 5)


def test_a_setting_that_only_a_part_can_judge_ends_the_process(tmp_path: Path) -> None:
    served = Served(tmp_path, "rest.port = 0\nstore.url = 'mysql://x/y'")
    served.prepare()
    assert "mysql" in refused(tmp_path, served.settings, 2)


def test_a_token_is_printed_once_and_replaced_by_name(tmp_path: Path) -> None:
    config = tmp_path / "config" / "hub.toml"
    config.parent.mkdir()
    config.write_text("", encoding="utf-8")
    ran = run("token", config, "--name", "page", "--role", "read")
    token = ran.stdout.strip()
    assert token.startswith("edgeloop_")
    assert token not in (config.parent / "tokens.toml").read_text(encoding="utf-8")
    assert run("token", config, "--name", "pa ge", "--role", "read").returncode == 2
    assert run("token", config, "--name", "page", "--role", "admin").returncode == 2


def test_migrate_and_export_work_without_a_hub(tmp_path: Path) -> None:
    config = tmp_path / "config" / "hub.toml"
    config.parent.mkdir()
    config.write_text("", encoding="utf-8")
    assert run("migrate", config).returncode == 0
    assert (tmp_path / "data" / "hub.db").exists()
    ran = run("export", config, "--out", str(tmp_path / "out.csv"))
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out.csv").exists()
    ran = run("export", config, "--out", "/nowhere/out.csv")
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "'/nowhere/out.csv' cannot be written" in ran.stderr


def test_the_supervisor_brings_a_killed_hub_back(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.prepare()
    words = [sys.executable, "-m", "deployers.hub", "supervise", "--config", str(served.config)]
    supervisor = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        pid_file = tmp_path / "run" / "hub.pid"
        served.process = supervisor
        (tmp_path / "log").touch()
        until(served.is_up)
        pid = int(pid_file.read_text(encoding="ascii"))
        os.kill(pid, signal.SIGKILL)
        until(lambda: pid_file.exists() and pid_file.read_text(encoding="ascii").strip() not in {"", str(pid)})
        until(served.is_up)
        again = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        assert again.returncode == 11
    finally:
        supervisor.terminate()
        assert supervisor.wait(SECONDS) == 0
    assert not pid_file.exists()


TLS = "rest.tls_certificate = 'config/hub.pem'\nrest.tls_key = 'config/hub.key'\nrest.port = 0\nboards.port = 0\n"


def test_tls_is_spoken_from_1_2_on(tmp_path: Path) -> None:
    served = Served(tmp_path, TLS)
    served.prepare()
    pem, _ = certificate(tmp_path / "config")
    served.start()
    try:
        assert served.url.startswith("https://")
        ran = run("ctl", served.config, "status")
        assert ran.returncode == 0, ran.stderr
        context: Any = ssl.create_default_context(cafile=str(pem))
        with served.connect() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            assert secure.version() == "TLSv1.3"
    finally:
        assert served.stop() == 0


def test_older_tls_is_refused(tmp_path: Path) -> None:
    pem, key = certificate(tmp_path)
    context = server.tls(pem, key)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_key_that_others_may_read_or_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    from deployers.exceptions import InputError

    pem, key = certificate(tmp_path)
    key.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        server.tls(pem, key)
    key.chmod(0o600)
    key.write_bytes(b"no key")
    with pytest.raises(InputError, match="two PEM files"):
        server.tls(pem, key)


def test_an_address_of_another_machine_is_named() -> None:
    from deployers.exceptions import ServiceUnavailable
    from deployers.hub.settings import Rest

    with pytest.raises(ServiceUnavailable, match=r"192\.0\.2\.1"):
        server.listen(Rest(host="192.0.2.1", insecure=True))


def test_settings_are_printed_as_the_hub_understands_them(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text("root = '/srv'", encoding="utf-8")
    ran = run("settings", config)
    assert Settings.model_validate(json.loads(ran.stdout)).root == Path("/srv")
