"""Why a run failed, where the error did not come back by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from zenml.enums import ExecutionStatus

from forecaster.errors import ForecasterError, ServiceUnavailable
from pipelines import reasons


def step(name: str, source: str | None = None, message: str | None = None) -> SimpleNamespace:
    info = SimpleNamespace(source=source, message=message) if source or message else None
    return SimpleNamespace(id=f"id of {name}", name=name, exception_info=info)


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Steps that were marked as failed."""
    found: list[str] = []
    monkeypatch.setattr("zenml.orchestrators.publish_utils.publish_failed_step_run", found.append)
    return found


def run(monkeypatch: pytest.MonkeyPatch, failed: list[Any] = [], running: list[Any] = []) -> None:  # noqa: B006
    """A client that knows one run, `r`, with these steps."""
    steps = {ExecutionStatus.FAILED: failed, ExecutionStatus.RUNNING: running}

    def listed_steps(pipeline_run_id: str, status: ExecutionStatus, hydrate: bool) -> SimpleNamespace:
        assert (pipeline_run_id, hydrate) == ("id of r", True)
        return SimpleNamespace(items=steps[status])

    def listed_runs(name: str) -> SimpleNamespace:
        return SimpleNamespace(items=[SimpleNamespace(id="id of r", name="r")] if name == "r" else [])

    client = SimpleNamespace(list_pipeline_runs=listed_runs, list_run_steps=listed_steps)
    monkeypatch.setattr(reasons, "Client", lambda: client)


def test_an_error_of_a_step_elsewhere_is_told_with_its_step(monkeypatch: pytest.MonkeyPatch, marked: list[str]) -> None:
    run(monkeypatch, [step("collect", "botocore.exceptions.ClientError", "access\n denied")], [step("clean")])
    error = reasons.reason("r", RuntimeError("Pipeline run has failed"))
    assert type(error) is ForecasterError
    assert str(error) == "step 'collect' of run 'r' failed, ClientError: access denied"
    assert marked == []


def test_an_error_that_came_back_itself_stays(monkeypatch: pytest.MonkeyPatch, marked: list[str]) -> None:
    run(monkeypatch, [step("collect", "builtins.KeyError", "'x'")])
    assert reasons.reason("r", KeyError("x")) is None


def test_a_step_that_never_reported_is_lost_and_marked(monkeypatch: pytest.MonkeyPatch, marked: list[str]) -> None:
    run(monkeypatch, running=[step("train")])
    error = reasons.reason("r", RuntimeError("Pipeline run has failed"))
    assert type(error) is ServiceUnavailable
    assert str(error).startswith("step 'train' of run 'r' ended without a report, as one that is killed")
    assert str(error).endswith("what was stored before it is not made again")
    assert marked == ["id of train"]


def test_a_step_that_was_killed_before_its_first_report_is_known_by_name(
    monkeypatch: pytest.MonkeyPatch, marked: list[str]
) -> None:
    run(monkeypatch)
    error = reasons.reason("r", RuntimeError("Pipeline run has failed due to failure in step(s): train, convert"))
    assert type(error) is ServiceUnavailable
    assert str(error).startswith("step 'train' and 'convert' of run 'r' ended without a report")
    assert marked == []


def test_beside_a_step_that_failed_for_no_known_reason_others_may_still_run(
    monkeypatch: pytest.MonkeyPatch, marked: list[str]
) -> None:
    run(monkeypatch, [step("collect")], [step("clean")])
    assert reasons.reason("r") is None
    assert marked == []


@pytest.mark.parametrize("name", ["r", "another"])
def test_without_a_trace_there_is_no_reason(monkeypatch: pytest.MonkeyPatch, marked: list[str], name: str) -> None:
    run(monkeypatch)
    assert reasons.reason(name) is None
    assert marked == []
