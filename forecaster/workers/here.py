"""Tasks in this process, one after the other."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

from forecaster.tasks import run_task
from forecaster.workers.report import peak_bytes, require_any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecaster.tasks import Outcome, Task
    from forecaster.trials import Fold


class Here:
    """See `Workers`; a task runs when its outcome is asked for."""

    def __init__(self, folds: Sequence[Fold]) -> None:
        self.count = 1
        self._folds = folds
        self._tasks: deque[Task] = deque()

    @property
    def peak_bytes(self) -> int:
        """See `Workers`."""
        return peak_bytes()

    def submit(self, task: Task) -> None:
        """See `Workers`."""
        self._tasks.append(task)

    def next(self) -> Outcome:
        """See `Workers`."""
        require_any(self._tasks)
        return run_task(self._folds, self._tasks.popleft())

    def close(self) -> None:
        """See `Workers`."""
        self._tasks.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
