"""Waiting for the hub on its own machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deployers import waiting

PROGRAM = Path(waiting.__file__)


class Late(BaseHTTPRequestHandler):
    """Is not ready the first two times."""

    asked = 0

    def do_GET(self) -> None:
        Late.asked += 1
        self.send_response(503 if Late.asked < 3 else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address():
    Late.asked = 0
    server = HTTPServer(("127.0.0.1", 0), Late)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/health"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def free() -> str:
    server = HTTPServer(("127.0.0.1", 0), Late)
    server.server_close()
    return f"http://127.0.0.1:{server.server_port}/health"


def test_a_hub_that_answers_at_last_is_waited_for(address) -> None:
    assert waiting.main([address, "10", "unit"]) == 0
    assert Late.asked == 3


def test_a_proxy_is_not_asked(address, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert waiting.main([address, "5", "unit"]) == 0


def test_a_hub_that_does_not_answer_is_told_with_its_last_words(free, tmp_path, capsys) -> None:
    (tmp_path / "log").write_text("one\ntwo\nthree\nno key\n")
    (tmp_path / "pid").write_text(str(os.getpid()))
    assert waiting.main([free, "0.2", str(tmp_path / "pid"), str(tmp_path / "log")]) == 1
    told = capsys.readouterr().out
    assert told.startswith(f"error: the hub does not answer at {free} (")
    assert "within 0.2 s), its last words: two | three | no key" in told


def test_a_hub_that_has_ended_is_not_waited_for(free, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(waiting, "GRACE_SECONDS", 0.0)
    began = time.monotonic()
    assert "its process has ended" in waiting.wait(free, 60, [str(tmp_path / "none"), ""])
    (tmp_path / "pid").write_text("999999999")
    assert "its process has ended" in waiting.wait(free, 60, [str(tmp_path / "pid"), ""])
    assert time.monotonic() - began < 10


def test_systemd_starts_it_again_for_ever(free, monkeypatch) -> None:
    monkeypatch.setattr(waiting, "GRACE_SECONDS", 0.0)
    assert "within 0.3 s" in waiting.wait(free, 0.3, ["edgeloop-hub.service"])


def test_a_log_that_is_not_there_is_said(tmp_path) -> None:
    assert "No such file" in waiting.last_words(["pid", str(tmp_path / "none")])
    (tmp_path / "empty").touch()
    assert waiting.last_words(["pid", str(tmp_path / "empty")]) == "none"


def test_systemd_s_journal_is_asked(monkeypatch) -> None:
    asked: list[list[str]] = []

    def answer(words: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(words)
        return subprocess.CompletedProcess(words, 0, b"it is gone\n")

    monkeypatch.setattr(waiting.subprocess, "run", answer)
    assert waiting.last_words(["edgeloop-hub.service"]) == "it is gone"
    assert "--unit=edgeloop-hub.service" in asked[0]


def test_it_needs_nothing_but_python(address) -> None:
    words = [sys.executable, "-I", "-S", str(PROGRAM), address, "10", "unit"]
    assert subprocess.run(words, check=False, timeout=30).returncode == 0
