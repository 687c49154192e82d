"""`run.py stacks` as one types it: what is printed, what is told as JSON, and the exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import run
from forecaster.errors import StackError
from stacks import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[3]
CREATED = ["orchestrator", "artifact_store", "experiment_tracker", "model_registry", "stack"]
AWAY = {"ZENML_STORE_URL": "http://127.0.0.1:9", "ZENML_STORE_API_KEY": "ZENKEY_x"}
# Each command as if typed: its own standard output, standard error, environment and exit code.
SCRIPT = """
import __main__, fcntl, json, os, sys
from pathlib import Path
import run
__main__.__file__ = run.__file__  # where ZenML looks for our classes

answers, folder = {}, Path(sys.argv[2])
before = dict(os.environ)
for name, (words, variables) in json.loads(sys.argv[1]).items():
    os.environ.clear()
    os.environ.update(before | variables)
    for number, stream in ((1, "out"), (2, "err")):
        with (folder / f"{name}.{stream}").open("wb") as file:
            os.dup2(file.fileno(), number)
    lock = (folder / "home" / "lock").open("a") if name.startswith("busy") else None
    if lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        answers[name] = run.cli.main(["stacks", *words], standalone_mode=False) or 0
    except SystemExit as left:
        answers[name] = left.code
    if lock:
        lock.close()
from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration
answers["the user's choice stays"] = GlobalConfiguration().get_active_stack_id() == Client().get_stack("default").id
(folder / "answers").write_text(json.dumps(answers))
"""


class Answered:
    """What a command said, and how it left."""

    def __init__(self, code: int, text: str, errors: str) -> None:
        self.code, self.text, self.errors = code, text, errors

    @property
    def json(self) -> dict[str, Any]:
        [line] = self.text.splitlines()
        return dict(json.loads(line))


class Refusing(BaseHTTPRequestHandler):
    """MLflow that lets in whoever has the token."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers.get("Authorization") == "Bearer valid" else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing is told to standard error."""


@pytest.fixture(scope="module")
def mlflow() -> Iterator[str]:
    """Address of an MLflow server that asks for a token."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("commands")
    (place / "home").mkdir()
    return place


def typed(folder: Path, calls: dict[str, tuple[list[str], dict[str, str]]]) -> dict[str, Answered]:
    """`run.py stacks …` for each call, one after the other, on the home in the folder."""
    home = str(folder / "home")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(calls), str(folder)],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "HOME": home, "EDGELOOP_HOME": home},
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, (folder / f"{list(calls)[-1]}.err").read_text()
    codes = json.loads((folder / "answers").read_text())
    assert codes.pop("the user's choice stays")
    read = lambda name, stream: (folder / f"{name}.{stream}").read_text()  # noqa: E731
    return {name: Answered(code, read(name, "out"), read(name, "err")) for name, code in codes.items()}


@pytest.fixture(scope="module")
def told(folder: Path, mlflow: str) -> dict[str, Answered]:
    """What each command said; the user's active stack stayed."""
    no_docker = {"DOCKER_HOST": f"unix://{folder}/nothing"}
    tracked = {**no_docker, "MLFLOW_TRACKING_URI": mlflow}
    return typed(folder, {
        "list": (["list", "--json"], {}),
        "dry run": (["apply", "local", "--dry-run"], {}),
        "apply": (["apply", "local"], {}),
        "again": (["apply", "local", "--json"], {}),
        "show": (["show", "local"], {}),
        "elsewhere": (["apply", "local", "--json"], {"MLFLOW_TRACKING_URI": "http://me:hunter2@there:5000"}),
        "listed": (["list"], {}),
        "busy apply": (["apply", "local"], {}),
        "busy show": (["show", "local"], {}),
        "unset": (["apply", "docker"], {}),
        "show unset": (["show", "docker", "--json"], {}),
        "check local": (["check", "local"], {}),
        "check docker": (["check", "docker", "--json"], no_docker),
        "check ssh": (["check", "ssh"], {"EDGELOOP_REGISTRY": "localhost:1", "EDGELOOP_MLFLOW_SECRET": "mlflow"}),
        "expired": (["check", "docker", "--json"], {**tracked, "MLFLOW_TRACKING_TOKEN": "expired"}),
        "valid": (["check", "docker", "--json"], {**tracked, "MLFLOW_TRACKING_TOKEN": "valid"}),
        **{f"unknown {command}": ([command, "dokcer", "--json"], {}) for command in ("show", "apply", "check")},
    })  # fmt: skip


def test_list_tells_every_file_and_what_it_waits_for(told: dict[str, Answered]) -> None:
    rows = {row["file"]: row for row in told["list"].json["stacks"]}
    assert {"local", "docker", "airflow", "ssh", None} <= set(rows)
    assert (rows["local"]["state"], rows["local"]["orchestrator"]) == ("not registered", "local")
    assert rows["docker"]["missing"] == ["MLFLOW_TRACKING_URI"]
    assert rows["airflow"]["schedules"] is True
    assert rows[None]["state"] == "known to ZenML only"


def test_list_is_a_table_with_the_active_stack(told: dict[str, Answered]) -> None:
    lines = told["listed"].text.splitlines()
    assert any("local" in line and "edgeloop-local" in line and "differs from its file" in line for line in lines)
    assert any("default (active)" in line for line in lines)


def test_a_dry_run_says_what_would_change_and_changes_nothing(told: dict[str, Answered]) -> None:
    assert told["dry run"].code == 0
    assert told["dry run"].text.splitlines()[-1] == "Stack edgeloop-local: 5 changes to make"
    assert told["apply"].text.splitlines()[-1] == "Stack edgeloop-local: 5 changes made"


def test_apply_tells_each_change_before_it_is_made(told: dict[str, Answered]) -> None:
    lines = told["apply"].text.splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [["create", kind] for kind in CREATED]


def test_a_second_apply_has_nothing_to_do(told: dict[str, Answered]) -> None:
    assert told["again"].json == {"file": "local", "stack": "edgeloop-local", "dry_run": False, "changes": []}


def test_apply_changes_only_what_differs_and_tells_no_password(told: dict[str, Answered]) -> None:
    [change] = told["elsewhere"].json["changes"]
    assert (change["action"], change["key"], change["after"]) == ("update", "tracking_uri", "http://there:5000")
    assert "hunter2" not in told["elsewhere"].text + told["elsewhere"].errors


def test_show_tells_components_and_configuration(told: dict[str, Answered]) -> None:
    assert re.search(r"tracking_uri:[\s│]+sqlite:///", told["show"].text)  # a long path begins a line of its own
    assert "Stack edgeloop-local (local.yaml)" in told["show"].text
    assert "to apply" not in told["show"].text


@pytest.mark.parametrize("command", ["show", "apply", "check"])
def test_an_unknown_stack_is_refused_with_a_near_name(told: dict[str, Answered], command: str) -> None:
    said = told[f"unknown {command}"]
    assert said.code == 4
    assert said.json["error"]["kind"] == "StackError"
    assert "did you mean 'docker'?" in said.errors


def test_apply_wants_its_variables(told: dict[str, Answered]) -> None:
    assert (told["unset"].code, told["unset"].text) == (4, "")
    assert told["unset"].errors.splitlines()[-1] == (
        "error: environment variable 'MLFLOW_TRACKING_URI' is not set, the stack file needs it"
    )


def test_apply_keeps_off_a_home_in_which_a_run_works(told: dict[str, Answered]) -> None:
    assert told["busy apply"].code == 6
    assert told["busy show"].code == 0


def test_show_works_before_the_variables_are_set(told: dict[str, Answered]) -> None:
    said = told["show unset"].json
    assert said["components"]["experiment_tracker"]["configuration"]["tracking_uri"] == "<MLFLOW_TRACKING_URI>"
    assert (said["missing"], said["changes"]) == (["MLFLOW_TRACKING_URI"], None)


def findings(said: Answered) -> dict[str, dict[str, Any]]:
    return {finding["what"]: finding for finding in said.json["findings"]}


def test_check_finds_nothing_missing_for_the_local_stack(told: dict[str, Answered]) -> None:
    said = told["check local"]
    assert said.code == 0, said.text
    assert said.text.splitlines()[-1] == "Stack local: nothing is missing"
    assert "integration mlflow: can be imported" in said.text


def test_check_says_what_is_missing_and_how_to_get_it(told: dict[str, Answered]) -> None:
    said = told["check docker"]
    found = findings(said)
    assert (said.code, said.json["exit_code"]) == (4, 4)
    assert said.json["missing"] == sum(finding["ok"] is False for finding in found.values())
    assert found["variable MLFLOW_TRACKING_URI"]["ok"] is False
    assert "such as http://127.0.0.1:5000" in found["variable MLFLOW_TRACKING_URI"]["how"]
    assert found["Docker daemon"]["ok"] is False
    assert "docker.io" in found["Docker daemon"]["how"]
    assert found["image"]["ok"] is None
    assert (found["MLflow server"]["ok"], found["MLflow server"]["found"]) == (None, "waits for MLFLOW_TRACKING_URI")


def test_check_of_a_remote_stack_wants_a_server_and_secrets(told: dict[str, Answered]) -> None:
    assert told["check ssh"].code == 4
    for line in (
        "missing      ZenML: a local database, which the steps of this stack cannot reach",
        "→ zenml login URL",
        "missing      secret edgeloop-s3: ZenML has no such secret",
        "→ zenml secret create edgeloop-s3 --aws_access_key_id=… --aws_secret_access_key=…",
        "missing      secret mlflow: ZenML has no such secret",
        "not checked  SSH server: waits for EDGELOOP_SSH_HOST",
        "missing      image: http://localhost:1/v2/edgeloop-pipelines/manifests/",
    ):
        assert line in told["check ssh"].text


@pytest.mark.parametrize(("token", "ok"), [("expired", False), ("valid", True)])
def test_check_tells_an_expired_token(told: dict[str, Answered], mlflow: str, token: str, ok: bool) -> None:
    found = findings(told[token])
    assert found["MLflow"]["ok"] is ok
    assert found["MLflow server"]["ok"] is True
    if not ok:
        assert found["MLflow"]["found"] == f"{mlflow} refuses these credentials (401)"
        assert "MLFLOW_TRACKING_TOKEN" in found["MLflow"]["how"]


def test_a_zenml_server_that_is_away_is_told(folder: Path) -> None:
    home = str(folder / "away")
    environment = {"PATH": os.environ["PATH"], "HOME": home, "EDGELOOP_HOME": home, **AWAY}
    words = [sys.executable, "run.py", "stacks", "apply", "local"]
    done = subprocess.run(
        words, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 5
    assert "the ZenML server does not answer" in done.stderr


def test_check_tells_why_zenml_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused() -> None:
        msg = "the ZenML server refuses the token"
        raise StackError(msg)

    monkeypatch.setattr(checks, "connected", refused)
    answer = checks.check_stack("local", tmp_path)
    [finding] = [one for one in answer["findings"] if one["what"] == "ZenML"]
    assert (finding["ok"], finding["found"]) == (False, "the ZenML server refuses the token")
    assert finding["how"].startswith("zenml login URL")
    assert answer["exit_code"] == 4


def finding(name: str, **flavors: Any) -> checks.Finding:
    stack = SimpleNamespace(components={"artifact_store": SimpleNamespace(flavor="s3")})
    return checks._integration(SimpleNamespace(**flavors), stack, name)  # type: ignore[arg-type]  # noqa: SLF001


def test_an_integration_that_zenml_does_not_have_is_told_with_a_near_one() -> None:
    assert finding("kubernets").found == "ZenML has none of this name, did you mean 'kubernetes'?"


@pytest.mark.parametrize(
    ("locked", "how"),
    [
        ("s3fs==1\nboto3==2 \\\naws-profile-manager==3\n", "scripts/setup.sh .venv-stacks locks/stacks.txt"),
        ("s3fs==1\n", "zenml integration install s3"),
        (None, "zenml integration install s3"),
    ],
)
def test_an_integration_without_its_libraries_says_where_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, locked: str | None, how: str
) -> None:
    monkeypatch.setattr(checks, "PLATFORMS", tmp_path / "lock")
    monkeypatch.setattr(checks, "_installed", lambda package: False)
    if locked is not None:
        (tmp_path / "lock").write_text(locked)
    lacks = ["No module named 's3fs'"]
    said = finding("s3", integration=lambda kind, flavor: "s3", obstacles=lambda kind, flavor: lacks)
    assert (said.ok, said.found) == (False, "No module named 's3fs'")
    assert said.how.startswith(how)


def secret(values: dict[str, str] | None, *keys: str) -> checks.Finding:
    def get_secret(name: str, **_: Any) -> SimpleNamespace:
        if values is None:
            raise KeyError(name)
        return SimpleNamespace(secret_values=values)

    return checks._secret(SimpleNamespace(get_secret=get_secret), "s3", set(keys))  # type: ignore[arg-type]  # noqa: SLF001


def test_a_secret_is_there_is_absent_or_lacks_a_key() -> None:
    assert secret({"a": "1"}, "a").ok is True
    assert secret({"a": "1"}).ok is True
    assert secret(None, "b", "a").how == "zenml secret create s3 --a=… --b=…"
    lacking = secret({"a": "1"}, "a", "b")
    assert (lacking.ok, lacking.found) == (False, "lacks b")
    assert lacking.how == "zenml secret update s3 --a=… --b=…"


@pytest.mark.parametrize("command", ["list", "show", "apply", "check"])
def test_help_has_examples_and_the_common_options(command: str) -> None:
    answer = CliRunner().invoke(run.cli, ["stacks", command, "--help"])
    assert answer.exit_code == 0
    examples = [line.strip() for line in answer.output.partition("Examples:")[2].splitlines() if line.strip()]
    assert len(examples) >= 2
    assert all(example.startswith(f"python run.py stacks {command}") for example in examples)
    assert "--json" in answer.output
    assert "--debug" in answer.output


@pytest.mark.parametrize("words", [["fly"], ["show"], ["apply", "local", "extra"], ["list", "--colour"]])
def test_a_wrong_word_ends_with_code_2(words: list[str]) -> None:
    answer = CliRunner().invoke(run.cli, ["stacks", *words])
    assert answer.exit_code == 2
    assert "Usage:" in answer.output
