"""Waits for a run that an orchestrator took up and works on elsewhere, and says how it stands."""

from __future__ import annotations

import os
import sys
import time
from typing import IO, TYPE_CHECKING

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.models import ExceptionInfo, PipelineRunUpdate, StepRunUpdate
from zenml.utils.time_utils import utc_now

from forecaster.errors import ConfigError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from zenml.models import PipelineRunResponse

LIMIT, DAY = "EDGELOOP_WAIT_SECONDS", 86400.0
SECONDS_TO_BEGIN, SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_QUESTIONS = 600, 2, 10
GO_ON = (
    "it goes on without this command: python run.py show tells how it stands, and once it has ended the same command "
    "takes from the cache what it stored"
)


def ended(run_name: str, lost: Callable[[], str | None]) -> PipelineRunResponse:
    """The run once it has ended.

    Args:
        run_name: the run's name in ZenML.
        lost: asks the platform why the run will not end, where only the platform knows; None if it may.

    Raises:
        ServiceUnavailable: nobody began it, the platform lost it, or it took longer than `EDGELOOP_WAIT_SECONDS`.
        KeyboardInterrupt: Ctrl-C, with how to go on.
    """
    run = Client().get_pipeline_run(run_name)
    if run.status.is_finished:
        return run
    wait = _Wait(run_name, _limit(), Progress(run_name, sys.stderr))
    try:
        while not (run := Client().get_pipeline_run(run_name)).status.is_finished:
            wait.look(run, lost)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        msg = f"interrupted while run {run_name!r} was under way: {GO_ON}"
        raise KeyboardInterrupt(msg) from None
    finally:
        wait.progress.close()
    return run


class _Wait:
    """One wait: its clock, and what makes it end before the run does."""

    def __init__(self, run_name: str, limit: float, progress: Progress) -> None:
        self.run_name, self.limit, self.progress = run_name, limit, progress
        self.began = time.monotonic()
        self.asked = self.began

    def look(self, run: PipelineRunResponse, lost: Callable[[], str | None]) -> None:
        """Say how the run stands; raise if it is not worth waiting for any longer."""
        now = time.monotonic()
        waited = now - self.began
        self.progress.show(run, waited)
        if now - self.asked >= SECONDS_BETWEEN_QUESTIONS:
            self.asked = now
            self._ask(lost)
        if run.status == ExecutionStatus.INITIALIZING and waited > SECONDS_TO_BEGIN:
            msg = f"run {self.run_name!r} was handed over, but nothing began it in {SECONDS_TO_BEGIN} s: is the"
            msg += " scheduler of this stack's orchestrator running? (python run.py stacks check NAME)"
            raise ServiceUnavailable(msg)
        if waited > self.limit:
            msg = f"run {self.run_name!r} has not ended in {self.limit:g} s ({LIMIT}): {GO_ON}"
            raise ServiceUnavailable(msg)

    def _ask(self, lost: Callable[[], str | None]) -> None:
        reason = lost()
        # What a step said of itself is worth more than what its platform says: it may have come meanwhile.
        if reason is None or Client().get_pipeline_run(self.run_name).status.is_finished:
            return
        mark_failed(self.run_name, reason)
        msg = f"run {self.run_name!r} was lost, {reason}; what it stored stays, the same command goes on from there"
        raise ServiceUnavailable(msg)


class Progress:
    """One line that says how a run stands: in place on a terminal, else one more line whenever something changed."""

    def __init__(self, run_name: str, output: IO[str]) -> None:
        self.run_name, self.output = run_name, output
        self.said = ""

    def show(self, run: PipelineRunResponse, waited: float) -> None:
        """Say it."""
        text = f"run {self.run_name}: {_state(run)}"
        if self.output.isatty():
            print(f"\r\x1b[K{text}, {waited:.0f} s", end="", file=self.output, flush=True)
        elif text != self.said:
            print(f"{text}, {waited:.0f} s", file=self.output, flush=True)
        self.said = text

    def close(self) -> None:
        """End the line on a terminal."""
        if self.said and self.output.isatty():
            print(file=self.output, flush=True)


def mark_failed(run_name: str, reason: str) -> None:
    """Tell ZenML what it cannot know: that a run's steps were ended from outside."""
    client, failed = Client(), ExecutionStatus.FAILED
    run, info = client.get_pipeline_run(run_name), ExceptionInfo(traceback=reason, message=reason)
    for step in run.steps.values():
        if not step.status.is_finished:
            update = StepRunUpdate(status=failed, end_time=utc_now(), exception_info=info)
            client.zen_store.update_run_step(step.id, update)
    client.zen_store.update_run(run.id, PipelineRunUpdate(status=failed, exception_info=info))


def _state(run: PipelineRunResponse) -> str:
    if run.status == ExecutionStatus.INITIALIZING:
        return "waits for its scheduler"
    steps = run.steps
    done = sum(step.status.is_finished for step in steps.values())
    at_work = [name for name, step in steps.items() if not step.status.is_finished]
    return f"{done} steps done" + (f", now {' and '.join(at_work)}" if at_work else "")


def _limit() -> float:
    given = os.environ.get(LIMIT)
    try:
        limit = float(given) if given else DAY
    except ValueError:
        limit = 0.0
    if not limit > 0:
        msg = f"environment variable {LIMIT!r} is {given!r}, expected a number of seconds above 0"
        raise ConfigError(msg)
    return limit
