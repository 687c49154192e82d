"""What Airflow's REST API says of itself and of a run, put into words."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from forecaster.errors import ServiceUnavailable, StackError
from stacks.airflow import LOGIN, Airflow, at_work, followed
from stacks.schema import Stack
from tests.programs import free_port

DAG, RUN = "data-1", "scheduled__2026-11-15T05:59:56.615723+00:00"
RUNS = f"/api/v2/dags/{DAG}/dagRuns"
TASKS = f"{RUNS}/scheduled__2026-11-15T05%3A59%3A56.615723%2B00%3A00/taskInstances"
LOGS = f"{TASKS}/clean/logs/1"
HEALTHY = {"scheduler": {"status": "healthy"}, "dag_processor": {"status": "healthy"}, "triggerer": {"status": None}}
FAILED = {"dag_runs": [{"dag_run_id": RUN, "state": "failed"}]}
STEPS = [
    {"task_id": "collect", "state": "success", "try_number": 1},
    {"task_id": "clean", "state": "failed", "try_number": 1},
    {"task_id": "store", "state": "upstream_failed", "try_number": 0},
]


class Server:
    """Answers as Airflow does; what it does not know is 404, and without the token it says nothing.

    Attributes:
        answers: path to what is answered there.
        login: status of an attempt to log in.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: dict[str, Any] = {"/api/v2/monitor/health": HEALTHY}
        self.login = 201
        self.logins: list[Any] = []

    def answer(self, path: str, bearer: str | None) -> tuple[int, Any]:
        if path != "/api/v2/monitor/health" and bearer != "Bearer the token":
            return 401, {}
        return (200, self.answers[path]) if path in self.answers else (404, {"detail": "not found"})


@contextmanager
def serving() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.say(*server.answer(self.path, self.headers.get("Authorization")))

        def do_POST(self) -> None:
            server.logins.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.say(server.login, {"access_token": "the token"})

        def say(self, status: int, content: Any) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(http.server_port)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def stack(url: str, flavor: str = "airflow") -> Stack:
    parts = {"orchestrator": {"name": "o", "flavor": flavor}, "artifact_store": {"name": "a", "flavor": "local"}}
    service = {"name": "Airflow", "url": url, "how": "start it"}
    settings = {"docker": {"skip_build": True}, "orchestrator.airflow": {"dag_tags": ["edgeloop"]}}
    content = {"name": "s", "components": parts, "requires": {"services": [service]}, "settings": settings}
    return Stack.model_validate(content)


def airflow(server: Server) -> Airflow:
    return Airflow(server.url, "ada", "a:b")


def test_the_login_is_user_and_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOGIN, "ada:a:b")
    assert Airflow.of(stack("http://127.0.0.1:8080/")) == Airflow("http://127.0.0.1:8080", "ada", "a:b")


@pytest.mark.parametrize("flavor", ["local", "local_docker", "kubernetes"])
def test_other_stacks_have_no_airflow(monkeypatch: pytest.MonkeyPatch, flavor: str) -> None:
    monkeypatch.delenv(LOGIN, raising=False)
    assert Airflow.of(stack("http://127.0.0.1:8080", flavor)) is None
    assert Airflow.of(None) is None


@pytest.mark.parametrize(
    ("given", "said"), [(None, "is not set"), ("", "is not set"), (":", "is not set"), ("ada", "has no colon"),
                        ("ada:", "is not set"), (":pass", "is not set")]
)  # fmt: skip
def test_a_login_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, given: str | None, said: str) -> None:
    monkeypatch.delenv(LOGIN, raising=False)
    if given is not None:
        monkeypatch.setenv(LOGIN, given)
    with pytest.raises(
        StackError, match=f"^environment variable 'EDGELOOP_AIRFLOW_LOGIN' {said}.*USER:PASSWORD"
    ) as told:
        Airflow.of(stack("http://127.0.0.1:8080"))
    assert "pass" not in str(told.value).replace("password", "").replace("PASSWORD", "")


def test_an_airflow_at_work_is_ready(server: Server) -> None:
    airflow(server).ready()
    assert server.logins == [{"username": "ada", "password": "a:b"}]


@pytest.mark.parametrize(("part", "name"), [("scheduler", "scheduler"), ("dag_processor", "DAG processor")])
@pytest.mark.parametrize("state", ["unhealthy", None])
def test_a_part_that_does_not_run_is_named(server: Server, part: str, name: str, state: str | None) -> None:
    server.answers["/api/v2/monitor/health"] = {**HEALTHY, part: {"status": state}}
    with pytest.raises(ServiceUnavailable, match=f"answers, but its {name} does not run .status {state!r}.: start it"):
        airflow(server).ready()


def test_an_airflow_that_does_not_answer_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServiceUnavailable, match=f"^Airflow at {url!r} does not answer .*scripts/airflow.sh start"):
        Airflow(url, "ada", "a:b").ready()


def test_something_else_at_the_address_is_no_airflow(server: Server) -> None:
    server.answers = {"/api/v2/monitor/health": b"<html>a page of something else</html>"}
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        airflow(server).ready()
    server.answers = {}
    with pytest.raises(ServiceUnavailable, match=r"does not answer .404"):
        airflow(server).ready()


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_password_is_told_without_it(server: Server, status: int) -> None:
    server.login = status
    with pytest.raises(StackError, match=f"refuses user 'ada': set {LOGIN} to USER:PASSWORD") as told:
        airflow(server).ready()
    assert "a:b" not in str(told.value)


@pytest.mark.parametrize("state", ["queued", "running", "success"])
def test_a_run_that_may_end_is_not_lost(server: Server, state: str) -> None:
    server.answers[RUNS] = {"dag_runs": [{"dag_run_id": RUN, "state": state}]}
    assert airflow(server).lost(DAG) is None


def test_a_failed_step_is_named_with_its_last_error(server: Server) -> None:
    first, last = ([{"exc_type": "E", "exc_value": words}] for words in ("first", "no\nspace left"))
    log = [
        {"event": "starts"},
        {"event": "failed", "error_detail": first},
        {"error_detail": last},
        "text",
        {"event": ""},
    ]
    server.answers |= {RUNS: FAILED, TASKS: {"task_instances": STEPS}, LOGS: {"content": log}}
    assert airflow(server).lost(DAG) == "step 'clean' failed in Airflow: no space left"


def test_a_killed_container_is_told_as_killed(server: Server) -> None:
    said = "Docker container failed: {'StatusCode': 137}"
    log = [{"event": "failed", "error_detail": [{"exc_value": said}]}]
    server.answers |= {RUNS: FAILED, TASKS: {"task_instances": STEPS}, LOGS: {"content": log}}
    assert (
        airflow(server).lost(DAG)
        == f"step 'clean' failed in Airflow: {said} (killed from outside, or for want of memory)"
    )


@pytest.mark.parametrize("log", [None, {"content": []}, {"content": [{"event": "starts", "error_detail": []}]}])
def test_a_failed_step_without_an_error_is_named(server: Server, log: Any) -> None:
    server.answers |= {RUNS: FAILED, TASKS: {"task_instances": STEPS}} | ({LOGS: log} if log else {})
    assert "step 'clean' failed in Airflow: its log has no exception" in str(airflow(server).lost(DAG))


def test_a_failed_run_without_a_failed_step_is_told(server: Server) -> None:
    server.answers |= {RUNS: FAILED, TASKS: {"task_instances": STEPS[:1]}}
    assert airflow(server).lost(DAG) == "the DAG's run failed in Airflow before a step began"


def test_a_dag_that_airflow_cannot_read_is_told(server: Server) -> None:
    errors = [
        {"filename": "other-1.zip", "stack_trace": "another"},
        {"filename": f"{DAG}.zip", "stack_trace": "Traceback\nModuleNotFoundError: No module named 'docker'\n"},
    ]
    server.answers["/api/v2/importErrors"] = {"import_errors": errors}
    assert airflow(server).lost(DAG) == "Airflow cannot read the DAG: ModuleNotFoundError: No module named 'docker'"


def test_a_dag_that_airflow_has_not_seen_yet_is_not_lost(server: Server) -> None:
    assert airflow(server).lost(DAG) is None


def test_while_airflow_does_not_answer_nothing_is_lost(server: Server) -> None:
    assert Airflow(f"http://127.0.0.1:{free_port()}", "ada", "a:b").lost(DAG) is None
    server.login = 500
    assert airflow(server).lost(DAG) is None


def test_a_look_tells_what_keeps_airflow_from_work(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOGIN, "ada:a:b")
    assert at_work(stack(server.url)) == (True, f"{server.url} takes up DAGs")
    server.answers["/api/v2/monitor/health"] = {**HEALTHY, "scheduler": {"status": "unhealthy"}}
    ok, found = at_work(stack(server.url))
    assert (ok, "its scheduler does not run" in found) == (False, True)
    server.login = 401
    ok, found = at_work(stack(server.url))
    assert (ok, "refuses user 'ada'" in found) == (False, True)
    assert at_work(stack(server.url, "local")) == (False, "stack 's' has no Airflow")


def test_a_run_without_airflow_is_left_as_it_is() -> None:
    options = {"settings": {"docker": {}}}
    same, lost = followed(stack("http://127.0.0.1:8080", "local"), DAG, options)
    assert same is options
    assert lost() is None


def test_a_dag_has_the_name_of_its_run(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOGIN, "ada:a:b")
    used = stack(server.url)
    options, lost = followed(used, DAG, {"settings": used.settings, "steps": {"train": {}}})
    named = {"docker": {"skip_build": True}, "orchestrator.airflow": {"dag_tags": ["edgeloop"], "dag_id": DAG}}
    assert options == {"settings": named, "steps": {"train": {}}}
    assert "dag_id" not in used.settings["orchestrator.airflow"]
    server.answers |= {RUNS: FAILED, TASKS: {"task_instances": []}}
    assert lost() == "the DAG's run failed in Airflow before a step began"


def test_a_run_is_not_begun_while_airflow_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOGIN, "ada:a:b")
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        followed(stack(f"http://127.0.0.1:{free_port()}"), DAG, {})
