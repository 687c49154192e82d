"""The dashboard's program around the two servers: ports, policy, and that nothing outlives it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from forecaster.errors import ConfigError
from pipelines import dashboard
from pipelines.home import Home
from tests.dashboard_visits import children, gone

if TYPE_CHECKING:
    from collections.abc import Iterator

CHILD = "import subprocess, sys; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); child.wait()"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as held:
        held.bind((dashboard.LOOPBACK, 0))
        held.listen()
        yield held.getsockname()[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = Home(tmp_path)
    made.mlflow_artifacts.mkdir(parents=True)
    return made


# Ports


def test_a_free_port_of_loopback_is_found() -> None:
    with dashboard.listen(0, "--port") as found:
        address, port = found.getsockname()
        assert (address, port > 0) == ("127.0.0.1", True)
        with socket.create_connection((address, port), timeout=5) as asking:
            assert asking.getpeername() == (address, port)


def test_a_taken_port_is_named_with_what_to_do(taken: int) -> None:
    with pytest.raises(ConfigError, match=rf"port {taken} of 127\.0\.0\.1 cannot be used .*PORT=, or --port, 0 for"):
        dashboard.listen(taken, "PORT=, or --port")


def test_a_port_is_free_again_as_soon_as_it_is_left() -> None:
    with dashboard.listen(0, "--port") as first:
        port = first.getsockname()[1]
    with dashboard.listen(port, "--port") as second:
        assert second.getsockname()[1] == port


def test_the_command_ends_with_bad_input_where_a_port_is_taken(taken: int, home: Home) -> None:
    command = [sys.executable, "-m", "pipelines.dashboard", "--port", str(taken), "--no-mlflow"]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command, cwd=Path(dashboard.__file__).parents[1], capture_output=True, text=True,
        env={**kept, "EDGELOOP_HOME": str(home.root)}, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == ConfigError.exit_code
    assert done.stderr.startswith(f"error: port {taken} of 127.0.0.1 cannot be used")
    assert done.stdout == ""


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_what_is_no_port_is_refused(port: str) -> None:
    answer = CliRunner().invoke(dashboard.main, ["--port", port])
    assert answer.exit_code == 2
    assert port in answer.output


# What the server is told


def test_the_server_asks_for_no_login_and_answers_no_page_of_another_site() -> None:
    told = dashboard.server_environment("http://127.0.0.1:8237")
    assert told["ZENML_SERVER_AUTH_SCHEME"] == "NO_AUTH"
    assert told["ZENML_SERVER_CORS_ALLOW_ORIGINS"] == "http://127.0.0.1:8237"


@pytest.mark.parametrize("kind", ["script-src", "connect-src", "style-src", "font-src", "frame-src"])
def test_the_policy_lets_a_page_reach_its_own_server_alone(kind: str) -> None:
    (directive,) = [each.strip() for each in dashboard.POLICY.split(";") if each.strip().startswith(kind)]
    assert "'self'" in directive
    assert "http" not in directive
    assert "*" not in directive


def test_only_logos_come_from_outside() -> None:
    assert dashboard.POLICY.count("http") == 1
    assert f"img-src 'self' data: {dashboard.LOGOS};" in dashboard.POLICY


def test_every_answer_carries_the_policy() -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(dashboard.Guard(app)({"type": "http"}, None, send))  # type: ignore[arg-type]
    assert sent[0]["headers"] == [(b"a", b"b"), (b"content-security-policy", dashboard.POLICY.encode())]
    assert sent[1] == {"type": "http.response.body", "body": b"x"}


# MLflow beside it


@pytest.mark.parametrize("uri", ["http://mlflow.example:5000", "https://mlflow.example"])
def test_mlflows_own_server_is_named_and_nothing_is_started(
    uri: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started something"))
    with dashboard.mlflow_pages(home, 0) as address:
        assert address == uri


def test_mlflow_serves_the_homes_database_on_loopback(home: Home) -> None:
    command = dashboard.mlflow_command(home.mlflow_uri, 8238, home.mlflow_artifacts)
    assert command[command.index("--backend-store-uri") + 1] == home.mlflow_uri
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "8238"


def test_mlflow_ends_with_its_workers_and_takes_its_log_with_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "mlflow_command", lambda *_: [sys.executable, "-c", CHILD])
    with dashboard.mlflow_pages(home, 0) as address:
        assert address.startswith("http://127.0.0.1:")
        (server,) = [each for each in children(os.getpid()) if "sleep" in _command(each)]
        log = home.root / "mlflow" / f"server-{address.rpartition(':')[2]}.log"
        while not log.read_text():
            assert not gone([server], 0.05)
        worker = int(log.read_text())
        assert Path(f"/proc/{worker}").exists()
    assert gone([server, worker])
    assert list((home.root / "mlflow").iterdir()) == [home.mlflow_artifacts]


def test_mlflows_port_is_checked_before_anything_starts(taken: int, home: Home) -> None:
    with pytest.raises(ConfigError, match=rf"port {taken} .*--mlflow-port"), dashboard.mlflow_pages(home, taken):
        pytest.fail("began")


def test_an_mlflow_that_ends_early_is_told_with_its_last_words(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    dying = "import sys; print('first'); sys.exit('no such table: runs')"
    monkeypatch.setattr(dashboard, "mlflow_command", lambda *_: [sys.executable, "-c", dying])
    with dashboard.mlflow_pages(home, 0):
        for each in threading.enumerate():
            if each.name.endswith("(_tell_early_end)"):
                each.join(60)
    assert capfd.readouterr().err == "MLflow ended with code 1: no such table: runs\n"


def _command(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")


# The first visit


class Zenml:
    """What `welcome` asks of ZenML's client."""

    def __init__(self, kind: str, opted: bool | None, known: dict[str, Any]) -> None:
        from types import SimpleNamespace

        self.zen_store = SimpleNamespace(type=kind, url="https://zenml.example")
        self.active_user = SimpleNamespace(id="u", email_opted_in=opted, user_metadata=known)
        self.updated: list[dict[str, Any]] = []

    def __call__(self) -> Zenml:
        return self

    def update_user(self, user: str, **values: Any) -> None:
        self.updated.append(values)


DONE = {"finished_onboarding_survey": True}


@pytest.mark.parametrize(
    ("opted", "known", "updates"),
    [
        (None, {}, [{"updated_email_opt_in": False, "updated_metadata": DONE}]),
        (None, {"role": "x"}, [{"updated_email_opt_in": False, "updated_metadata": {"role": "x", **DONE}}]),
        (True, {}, [{"updated_email_opt_in": True, "updated_metadata": DONE}]),
        (False, DONE, []),
    ],
)
def test_the_survey_is_behind_the_user_and_what_he_said_stays(
    opted: bool | None, known: dict[str, Any], updates: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    zenml = Zenml("sql", opted, known)
    monkeypatch.setattr("zenml.client.Client", zenml)
    assert dashboard.welcome() is None
    assert zenml.updated == updates


def test_a_home_on_a_zenml_server_gives_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    zenml = Zenml("rest", None, {})
    monkeypatch.setattr("zenml.client.Client", zenml)
    assert dashboard.welcome() == "https://zenml.example"
    assert zenml.updated == []
