from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployers.exceptions import DeployerError, GateFailed, InputError, ServiceUnavailable
from deployers.hub import training as module
from deployers.hub.jobs import Job
from deployers.hub.training import Training
from tests.hub_parts import settings

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.001)


def job() -> Job:
    return Job("20260101T000000-0123abcd", "train", {}, 1)


def command(tmp_path: Path, code: str, *arguments: str, **more: Any) -> Training:
    train = {"kind": "command", "command": (PYTHON, "-c", code, *arguments), **more}
    return Training(settings(tmp_path, train=train), {"PATH": os.environ["PATH"], "EDGELOOP_TRAIN_TOKEN": "s3cret"})


class Side:
    """A training side that answers in turn, or breaks."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, text="run 7 has begun")


def calls(tmp_path: Path, side: Side, kind: str = "webhook", word: str = "s3cret") -> Training:
    train = {"kind": kind, "url": "https://train.example/api/v1/run_templates/1/runs", "attempts": 3}
    return Training(settings(tmp_path, train=train), {"EDGELOOP_TRAIN_TOKEN": word}, httpx.MockTransport(side))


def test_a_hub_without_a_training_side_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected kind command, webhook or zenml"):
        Training(settings(tmp_path)).require()


def test_a_command_runs_and_its_output_is_the_log(tmp_path: Path) -> None:
    found = job()
    training = command(tmp_path, "import sys; print('epoch 1'); print('warned', file=sys.stderr); print('é', end='')")
    training.require()
    assert asyncio.run(training.run(found, {})) == {"exit_code": 0}
    assert {"epoch 1", "warned", "é"} <= set(found.lines)


def test_a_command_runs_in_its_folder_without_shell_or_secrets(tmp_path: Path) -> None:
    found = job()
    code = "import os, sys; print(os.getcwd()); print(sys.argv[1]); print('EDGELOOP_TRAIN_TOKEN' in os.environ)"
    training = command(tmp_path, code, "$HOME; rm -rf /")
    asyncio.run(training.run(found, {"ignored": "; reboot"}))
    assert list(found.lines)[1:] == [str(tmp_path), "$HOME; rm -rf /", "False"]


def test_a_command_that_fails_has_failed(tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match="exit code 3"):
        asyncio.run(command(tmp_path, "raise SystemExit(3)").run(job(), {}))


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    found = job()
    with pytest.raises(ServiceUnavailable, match="longer than 1 s"):
        asyncio.run(command(tmp_path, code, seconds=1).run(found, {}))
    assert gone(int(found.lines[-1]))


def gone(pid: int) -> bool:
    """Whether a process ends; one that nobody waits for counts as ended."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_a_command_ends_when_its_job_is_stopped(tmp_path: Path) -> None:
    async def run() -> int:
        found = job()
        code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        task = asyncio.create_task(command(tmp_path, code).run(found, {}))
        while len(found.lines) < 2:  # noqa: ASYNC110 - another process writes them
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        return int(found.lines[-1])

    assert gone(asyncio.run(run()))


def test_the_log_of_a_command_is_bounded(tmp_path: Path) -> None:
    found = job()
    asyncio.run(
        command(tmp_path, "print('x' * 100 + '\\n', end='') or [print(i) for i in range(100000)]", log_bytes=1024).run(
            found, {}
        )
    )
    assert len(found.lines) <= 500
    assert "left out" in found.lines[-1]


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    found = job()
    asyncio.run(command(tmp_path, "print('x' * 1000000, end='')").run(found, {}))
    assert all(len(line) <= 500 for line in found.lines)


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program"])
def test_a_program_that_is_not_there_is_refused_before_there_is_a_job(tmp_path: Path, program: str) -> None:
    training = Training(settings(tmp_path, train={"kind": "command", "command": (program,)}))
    with pytest.raises(ServiceUnavailable, match=rf"{program}.*not on this machine"):
        training.require()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable, match=r"cannot be started.*none"):
        asyncio.run(command(tmp_path, "", folder="none").run(job(), {}))


def test_a_webhook_is_called_with_its_parameters(tmp_path: Path) -> None:
    side = Side(202)
    found = asyncio.run(calls(tmp_path, side).run(job(), {"horizon": 6}))
    assert found == {"status": 202, "answer": "run 7 has begun"}
    (request,) = side.asked
    assert json.loads(request.content) == {"event": "train", "parameters": {"horizon": 6}}
    assert request.headers["authorization"] == "Bearer s3cret"


def test_a_webhook_needs_no_token(tmp_path: Path) -> None:
    side = Side()
    training = calls(tmp_path, side, word="")
    training.require()
    asyncio.run(training.run(job(), {}))
    assert "authorization" not in side.asked[0].headers


@pytest.mark.parametrize(("parameters", "sent"), [({}, {}), ({"a": 1}, {"parameters": {"a": 1}})])
def test_zenml_is_asked_to_run_a_template(tmp_path: Path, parameters: dict[str, Any], sent: dict[str, Any]) -> None:
    side = Side(200)
    training = calls(tmp_path, side, "zenml")
    training.require()
    asyncio.run(training.run(job(), parameters))
    assert json.loads(side.asked[0].content) == {"run_configuration": sent}
    assert side.asked[0].headers["authorization"] == "Bearer s3cret"


def test_zenml_without_a_token_is_refused_before_there_is_a_job(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable, match="EDGELOOP_TRAIN_TOKEN"):
        calls(tmp_path, Side(), "zenml", word="").require()


def test_a_call_is_repeated_until_it_is_answered(tmp_path: Path) -> None:
    side, found = Side(httpx.ConnectError("refused"), 503, 200), job()
    assert asyncio.run(calls(tmp_path, side).run(found, {}))["status"] == 200
    assert len(side.asked) == 3
    assert "ConnectError: refused" in found.lines


def test_a_side_that_never_answers_is_unavailable(tmp_path: Path) -> None:
    side = Side(httpx.ReadTimeout("slow"), 502, 429)
    with pytest.raises(ServiceUnavailable, match=r"'train.example' did not take the call in 3 attempts"):
        asyncio.run(calls(tmp_path, side).run(job(), {}))
    assert len(side.asked) == 3


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422])
def test_a_refusal_is_not_repeated_and_shows_no_secret(tmp_path: Path, status: int) -> None:
    side = Side(status)
    with pytest.raises(GateFailed, match=str(status)) as caught:
        asyncio.run(calls(tmp_path, side).run(job(), {}))
    assert len(side.asked) == 1
    assert "s3cret" not in str(caught.value)
    assert isinstance(caught.value, DeployerError)


def test_variables_reach_a_command_beside_what_it_is_given_anyway(tmp_path: Path) -> None:
    found, variables = job(), {"EDGELOOP_RETRAIN_SERIES": "board-1; rm -rf /"}
    code = "import os; print(sorted(name for name in os.environ if not name.startswith('LC_')), os.environ.get('{}'))"
    training = command(tmp_path, code.format("EDGELOOP_RETRAIN_SERIES"))
    asyncio.run(training.run(found, {}, variables))
    assert found.lines[-1] == "['EDGELOOP_RETRAIN_SERIES', 'PATH'] board-1; rm -rf /"


def test_all_that_a_command_prints_is_heard_however_little_is_kept(tmp_path: Path) -> None:
    heard = bytearray()
    training = command(tmp_path, "print('x' * 5000); print('{}')", log_bytes=1024)
    asyncio.run(training.run(job(), {}, heard=heard.extend))
    assert heard == b"x" * 5000 + b"\n{}\n"


def test_the_exit_code_of_a_command_that_fails_is_kept(tmp_path: Path) -> None:
    found = job()
    with pytest.raises(GateFailed):
        asyncio.run(command(tmp_path, "raise SystemExit(3)").run(found, {}))
    assert found.result == {"exit_code": 3}
