"""Why a run failed, from what its steps left in ZenML, where the error itself did not come back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from zenml.client import Client
from zenml.enums import ExecutionStatus

from forecaster.errors import ForecasterError, ServiceUnavailable

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

# How ZenML's orchestrators name the steps whose containers ended badly.
_TOLD = re.compile(r"failure in step\(s\): ([\w, ]+)")


def reason(run_name: str, error: Exception | None = None) -> ForecasterError | None:
    """What is known of the step that failed away from this process, or that never reported again.

    A step whose container was killed stays `running` in ZenML; here it is marked as failed.

    Args:
        run_name: of a run that has ended, and not well.
        error: what the orchestrator raised; None is returned if that is the step's own error.
    """
    for run in Client().list_pipeline_runs(name=run_name).items:
        failed = _failed(run, error)
        if failed is not None:
            return failed
        if not _steps(run, ExecutionStatus.FAILED):
            return _lost(run, error)
    return None


def _failed(run: PipelineRunResponse, error: Exception | None) -> ForecasterError | None:
    for step in _steps(run, ExecutionStatus.FAILED):
        info = step.exception_info
        if info is None or not info.source:
            continue
        kind = info.source.rpartition(".")[2]
        if kind == type(error).__name__:
            return None
        message = " ".join((info.message or "").split())
        return ForecasterError(f"step {step.name!r} of run {run.name!r} failed, {kind}: {message}")
    return None


def _lost(run: PipelineRunResponse, error: Exception | None) -> ForecasterError | None:
    from zenml.orchestrators.publish_utils import publish_failed_step_run  # noqa: PLC0415 - only now and then

    running = _steps(run, ExecutionStatus.RUNNING)
    for step in running:
        publish_failed_step_run(step.id)
    told = _TOLD.search(str(error))  # one that was killed before its first report has left nothing else
    names = [step.name for step in running] or (told.group(1).split(", ") if told else [])
    if not names:
        return None
    steps = " and ".join(repr(name) for name in names)
    what = f"step {steps} of run {run.name!r} ended without a report, as one that is killed or has no memory left"
    advice = "run the same command again (with --debug to see its log); what was stored before it is not made again"
    return ServiceUnavailable(f"{what}: {advice}")


def _steps(run: PipelineRunResponse, status: ExecutionStatus) -> list[Any]:
    return list(Client().list_run_steps(pipeline_run_id=run.id, status=status, hydrate=True).items)
