"""Waiting for a run that is under way elsewhere: its progress, its limit, its loss, Ctrl-C."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from zenml.enums import ExecutionStatus

from forecaster.errors import ConfigError, ServiceUnavailable
from pipelines import waiting

INITIALIZING, RUNNING, COMPLETED = ExecutionStatus.INITIALIZING, ExecutionStatus.RUNNING, ExecutionStatus.COMPLETED
LOOK = waiting.SECONDS_BETWEEN_LOOKS


class Platform:
    """A run that is found in these states, the last one for ever, and what becomes of it.

    The clock moves only while one sleeps.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *statuses: ExecutionStatus) -> None:
        self.statuses, self.slept, self.updates = list(statuses), [], []
        self.steps = {"collect": step("1", COMPLETED), "clean": step("2", RUNNING)}
        monkeypatch.setattr(waiting.time, "sleep", self.sleep)
        monkeypatch.setattr(waiting.time, "monotonic", lambda: sum(self.slept))
        monkeypatch.setattr(waiting, "Client", lambda: self)
        self.zen_store = SimpleNamespace(update_run_step=self.update, update_run=self.update)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def update(self, identity: str, update: Any) -> None:
        self.updates.append((identity, update.status, update.exception_info.message))

    def get_pipeline_run(self, name: str) -> Any:
        assert name == "data-1"
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return SimpleNamespace(id="id of data-1", status=status, steps=self.steps)


def step(identity: str, status: ExecutionStatus) -> SimpleNamespace:
    return SimpleNamespace(id=identity, status=status)


def not_lost() -> None:
    return None


def test_a_run_that_has_ended_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = Platform(monkeypatch, COMPLETED)
    monkeypatch.setenv(waiting.LIMIT, "nothing that is read here")
    assert waiting.ended("data-1", not_lost).status == COMPLETED
    assert platform.slept == []
    assert capsys.readouterr() == ("", "")


def test_a_run_that_was_only_handed_over_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = Platform(monkeypatch, INITIALIZING, INITIALIZING, RUNNING, RUNNING, COMPLETED)
    assert waiting.ended("data-1", not_lost).status == COMPLETED
    assert platform.slept == [LOOK] * 3
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "run data-1: waits for its scheduler, 0 s",
        f"run data-1: 1 steps done, now clean, {LOOK} s",
    ]


def test_a_run_that_nobody_begins_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(monkeypatch, INITIALIZING)
    with pytest.raises(
        ServiceUnavailable, match=r"^run 'data-1' was handed over.*nothing began it in 600 s: is the sch"
    ):
        waiting.ended("data-1", not_lost)
    assert sum(platform.slept) == pytest.approx(waiting.SECONDS_TO_BEGIN, abs=2 * LOOK)


def test_a_run_has_until_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(monkeypatch, RUNNING)
    monkeypatch.setenv(waiting.LIMIT, "30")
    with pytest.raises(
        ServiceUnavailable, match=r"'data-1' has not ended in 30 s \(EDGELOOP_WAIT_SECONDS\): it goes on"
    ):
        waiting.ended("data-1", not_lost)
    assert sum(platform.slept) == pytest.approx(30, abs=2 * LOOK)
    assert platform.updates == []


@pytest.mark.parametrize("given", ["soon", "0", "-3", "nan"])
def test_a_limit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    Platform(monkeypatch, RUNNING)
    monkeypatch.setenv(waiting.LIMIT, given)
    with pytest.raises(
        ConfigError, match=f"'EDGELOOP_WAIT_SECONDS' is '{given}', expected a number of seconds above 0"
    ):
        waiting.ended("data-1", not_lost)


def test_without_a_limit_a_run_has_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(monkeypatch, RUNNING)
    monkeypatch.delenv(waiting.LIMIT, raising=False)
    monkeypatch.setattr(waiting, "SECONDS_BETWEEN_LOOKS", 3600)
    with pytest.raises(ServiceUnavailable, match="not ended in 86400 s"):
        waiting.ended("data-1", not_lost)
    assert sum(platform.slept) == 25 * 3600


def test_a_lost_run_fails_with_the_platforms_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(monkeypatch, RUNNING)
    questions = []

    def lost() -> str | None:
        questions.append(sum(platform.slept))
        return "step 'clean' failed in Airflow: killed" if len(questions) == 2 else None

    with pytest.raises(
        ServiceUnavailable, match=r"^run 'data-1' was lost, step 'clean' failed in Airflow: killed; what it"
    ):
        waiting.ended("data-1", lost)
    assert questions == [waiting.SECONDS_BETWEEN_QUESTIONS, 2 * waiting.SECONDS_BETWEEN_QUESTIONS]
    told = "step 'clean' failed in Airflow: killed"
    failed = ExecutionStatus.FAILED
    assert platform.updates == [("2", failed, told), ("id of data-1", failed, told)]


def test_what_a_step_said_of_itself_counts_more(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(monkeypatch, RUNNING)

    def lost() -> str:
        platform.statuses = [ExecutionStatus.FAILED]  # ZenML was told while Airflow was asked
        return "step 'clean' failed in Airflow: exit code 1"

    assert waiting.ended("data-1", lost).status == ExecutionStatus.FAILED
    assert platform.updates == []


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform(monkeypatch, RUNNING)

    def press(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(waiting.time, "sleep", press)
    with pytest.raises(
        KeyboardInterrupt, match=r"^interrupted while run 'data-1' was under way: it goes on.*run.py show"
    ):
        waiting.ended("data-1", not_lost)
    assert platform.updates == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_progress_is_one_line_in_place() -> None:
    output = Terminal()
    progress = waiting.Progress("data-1", output)
    at_work = {name: step(name, RUNNING) for name in ("clean", "split")}
    for waited in (1.4, 3.6):
        progress.show(SimpleNamespace(status=RUNNING, steps=at_work), waited)
    progress.close()
    line = "\r\x1b[Krun data-1: 0 steps done, now clean and split, {} s"
    assert output.getvalue() == line.format(1) + line.format(4) + "\n"


def test_progress_that_said_nothing_ends_no_line() -> None:
    output = Terminal()
    waiting.Progress("data-1", output).close()
    assert output.getvalue() == ""
