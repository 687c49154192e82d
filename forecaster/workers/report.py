"""What a worker says beside an outcome, and what is said of a task that ends its workers."""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.errors import ServiceUnavailable
from forecaster.tasks import run_task

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

    from forecaster.tasks import Outcome, Task
    from forecaster.trials import Fold

# A worker that ends under a task is bad luck once or twice; a third time it is the task.
DEATHS = 3
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Report:
    """An outcome, and how much memory its worker has had at most so far."""

    outcome: Outcome
    peak_bytes: int


def report(folds: Sequence[Fold], task: Task) -> Report:
    """Do a task."""
    return Report(run_task(folds, task), peak_bytes())


def peak_bytes() -> int:
    """Most memory this process has had.

    From /proc where there is one: `ru_maxrss` keeps that of the process this one was started from (getrusage(2)).
    """
    if STATUS.is_file():
        line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def lost(task: Task) -> ServiceUnavailable:
    """The error of a task that has ended its worker too often."""
    candidate = json.dumps(task.candidate.as_dict())
    what = f"the training of candidate {candidate} (task {task.number!r}) has ended its worker {DEATHS} times"
    return ServiceUnavailable(f"{what}: give the workers more memory, or take its sizes out of search.space")


def require_any(tasks: Sized) -> None:
    """Refuse to wait for what nobody does.

    Raises:
        IndexError: there are no tasks.
    """
    if not len(tasks):
        msg = "no task is under way: submit one before next"
        raise IndexError(msg)
