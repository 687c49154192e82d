"""Facts: what the program on the Jetson says, and what is refused because of it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployers.connectors.base import Completed
from deployers.connectors.fake import FakeConnector
from deployers.connectors.local import LocalConnector
from deployers.exceptions import MissingTool, RemoteFailed
from deployers.facts import gather, health_address, read_facts, require_python
from tests.jetson_facts import BARE, facts, jetson, link


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def healthy():
    server = HTTPServer(("127.0.0.1", 0), Healthy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_program_tells_what_is_here(tmp_path, healthy) -> None:
    root = tmp_path / "r"
    (root / "code" / "abc").mkdir(parents=True)
    (root / "code" / "current").symlink_to("abc")
    (root / "venv" / "good" / "bin").mkdir(parents=True)
    (root / "venv" / "good" / "bin" / "python").symlink_to(sys.executable)
    (root / "venv" / "bad").mkdir()
    (root / "venv" / "current").symlink_to("good")
    (root / "venv" / "good" / "lib" / "python3.11" / "site-packages" / "tensorflow").mkdir(parents=True)
    (root / "config" / "boards").mkdir(parents=True)
    (root / "config" / "boards" / "b.key").write_bytes(b"k")
    (root / "run").mkdir()
    (root / "run" / "started").write_text("5tarted")
    entry = jetson(connection="local", python=sys.executable, root=str(root), rest_port=healthy, service="supervise")
    found = gather(LocalConnector(), entry)
    assert found.python_version == sys.version_info[:3]
    assert (found.venv, found.implementation, found.machine) == (True, "CPython", os.uname().machine)
    assert (found.code, found.environment, found.started, found.tensorflow) == ("abc", "good", "5tarted", True)
    assert found.entries["config/boards/b.key"].sha256 == hashlib.sha256(b"k").hexdigest()
    assert [found.entries[name].kind for name in (".", "venv/good", "venv/bad")] == ["folder", "folder", "broken"]
    assert (found.health, found.ready, found.supervised) == (True, True, False)
    assert found.uid == os.getuid()
    assert found.disk_free > 0 < found.memory


def test_a_bare_machine_has_nothing(tmp_path) -> None:
    entry = jetson(connection="local", python=sys.executable, root=str(tmp_path / "a" / "b"), rest_port=9)
    found = gather(LocalConnector(), entry)
    assert (found.entries, found.code, found.environment, found.health, found.ready) == ({}, "", "", False, False)


def test_root_is_not_asked_for_where_it_is_not_wanted(tmp_path) -> None:
    entry = jetson(connection="local", python=sys.executable, root=str(tmp_path), account="jetson", service="supervise")
    assert not gather(LocalConnector(), entry).elevated


def test_a_supervisor_counts_only_if_it_is_one(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "supervisor.pid").write_text(str(os.getpid()))
    entry = jetson(connection="local", python=sys.executable, root=str(tmp_path), rest_port=9)
    assert not gather(LocalConnector(), entry).supervised


def test_a_python_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingTool, match=r"kitchen: no program 'python3\.77' there, .*apt-get install python3"):
        gather(LocalConnector(), jetson(python="python3.77"))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"machine": 3}', "Welcome!\n"])
def test_an_answer_that_is_none_is_refused(text) -> None:
    fake = FakeConnector(answer=lambda _: Completed(0, text.encode()))
    with pytest.raises(RemoteFailed, match="kitchen: its facts cannot be read"):
        gather(fake, jetson())


@given(st.text(max_size=100))
def test_no_answer_is_an_internal_error(text: str) -> None:
    with pytest.raises(RemoteFailed):
        read_facts("kitchen", text)


def test_what_a_profile_prints_before_is_passed_over() -> None:
    assert read_facts("kitchen", f"Welcome to Ubuntu\n\n{BARE.model_dump_json()}\n") == BARE


def test_a_field_that_is_not_known_is_refused() -> None:
    with pytest.raises(RemoteFailed, match="colour"):
        read_facts("kitchen", json.dumps({**BARE.model_dump(), "colour": 1}))


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 11, 9), (3, 12, 3)])
def test_a_python_that_fits_is_taken(version) -> None:
    require_python("kitchen", facts(python_version=version))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"python_version": (3, 6, 9), "pythons": ()}, r"is CPython 3\.6\.9, expected CPython 3\.11 to 3\.12"),
        ({"python_version": (3, 10, 12)}, r"name it in the inventory: python = 'python3\.11'"),
        ({"python_version": (3, 13, 0), "pythons": ("python3.13",)}, r"apt-get install python3\.11 python3\.11-venv"),
        ({"implementation": "PyPy"}, "is PyPy 3.11.9, expected CPython"),
        ({"venv": False}, r"cannot make environments, .*: apt-get install python3\.11-venv"),
    ],
)  # fmt: skip
def test_a_python_that_does_not_fit_is_refused_with_what_to_do(changes, said) -> None:
    with pytest.raises(MissingTool, match=said):
        require_python("kitchen", facts(**changes))


def test_the_current_versions_are_links() -> None:
    found = facts(entries={"code/current": link("abc"), "venv/current": link("/r/venv/def")}, health=True)
    assert (found.code, found.environment, found.ready) == ("abc", "def", True)


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "http://127.0.0.1:8484/health"),
        ({"rest_host": "0.0.0.0", "rest_port": 80}, "http://127.0.0.1:80/health"),  # noqa: S104 - nothing is bound
        ({"rest_host": "::"}, "http://[::1]:8484/health"),
        ({"rest_host": "192.0.2.7"}, "http://192.0.2.7:8484/health"),
        ({"hub": {"rest": {"tls_certificate": "c.pem"}}}, "https://127.0.0.1:8484/health"),
    ],
)
def test_the_hub_is_asked_where_it_listens(changes, address) -> None:
    assert health_address(jetson(**changes)) == address
