"""Tasks on the workers of a Dask scheduler.

Dask does a task again, elsewhere, when its worker dies. What it does not do is here: a scheduler that comes back within
`PATIENCE` is given the data and the open tasks anew, and a task that has ended its worker three times is named, not
those that waited behind it on the same worker.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from distributed.scheduler import KilledWorker

from forecaster.errors import ServiceUnavailable
from forecaster.workers.report import lost, peak_bytes, require_any
from forecaster.workers.session import AWAY, LOOK, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from distributed import Future

    from forecaster.tasks import Outcome, Task
    from forecaster.trials import Fold

# Seconds: a pod that is moved to another machine is back within minutes.
PATIENCE = 300.0
# Losses of all data on the cluster between two outcomes; more of them are no accident.
SETBACKS = 10
_log = logging.getLogger(__name__)


class Cluster:
    """See `Workers`.

    Args:
        address: of the scheduler.
        folds: sent to each worker at the beginning, not with each task; one that comes later, or whose copy Dask has
            dropped while nobody waited for it, fetches them from another.
        patience: seconds for which a scheduler, or all its workers, may stay away during the search.

    Raises:
        ConfigError: a worker's versions, code or arithmetic differ from those here.
        ServiceUnavailable: no scheduler answers, or it has no workers.
    """

    def __init__(self, address: str, folds: Sequence[Fold], patience: float = PATIENCE) -> None:
        self._address, self._folds, self._patience = address, list(folds), patience
        self._tasks: dict[int, Task] = {}
        self._futures: dict[int, Future[Any]] = {}
        self._peaks: dict[str, int] = {}
        self._starts: Counter[int] = Counter()
        self._setbacks = 0
        self._session = Session(address, self._folds, self._starts)
        self.count = self._session.threads

    @property
    def peak_bytes(self) -> int:
        """See `Workers`."""
        return peak_bytes() + sum(self._peaks.values())

    def submit(self, task: Task) -> None:
        """See `Workers`."""
        self._tasks[task.number] = task
        self._send(task)

    def next(self) -> Outcome:
        """See `Workers`."""
        require_any(self._tasks)
        seen = time.monotonic()
        while True:
            settled = [number for number, future in self._futures.items() if future.status != "pending"]
            try:
                if len(self._futures) < len(self._tasks):
                    seen = self._again(None)
                elif settled:
                    return self._outcome(settled[0])
                else:
                    self._session.wait(list(self._futures.values()))
                    seen = time.monotonic() if self._session.has_workers() else seen
            except AWAY as error:
                seen = self._again(error)
            if time.monotonic() - seen > self._patience:
                what = f"Dask scheduler {self._address!r} has no workers"
                raise self._stayed_away(what)

    def close(self) -> None:
        """See `Workers`; what a worker has begun it ends, and nobody asks for it."""
        self._futures.clear()  # Dask forgets what nobody holds
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _outcome(self, number: int) -> Outcome:
        """What a task came to; raises one of `AWAY` if it was lost on the way."""
        try:
            worker, done = self._futures[number].result()
        except AWAY:
            raise
        except KilledWorker as error:
            task = self._forget(number)
            raise (lost(task) if self._starts[number] else _refused(error)) from None
        except Exception:
            self._forget(number)
            raise
        self._forget(number)
        self._setbacks = 0
        self._peaks[worker] = max(done.peak_bytes, self._peaks.get(worker, 0))
        outcome: Outcome = done.outcome
        return outcome

    def _forget(self, number: int) -> Task:
        del self._futures[number]
        return self._tasks.pop(number)

    def _send(self, task: Task) -> None:
        with suppress(*AWAY):  # `next` finds it unsent
            self._futures[task.number] = self._session.send(task)

    def _again(self, cause: BaseException | None) -> float:
        """Reach the scheduler anew, and give it the data and the tasks that are not done; when that was."""
        self._setbacks += 1
        if self._setbacks > SETBACKS:
            what = f"Dask scheduler {self._address!r} or all its workers were lost {SETBACKS} times in a row"
            msg = f"{what}: look at their logs"
            raise ServiceUnavailable(msg) from cause
        _log.warning("Dask scheduler %r or its workers were lost, trying for %g s", self._address, self._patience)
        deadline = time.monotonic() + self._patience
        self._futures.clear()
        self._session.close()
        while True:
            try:
                self._session = Session(self._address, self._folds, self._starts)
                break
            except ServiceUnavailable as error:
                if time.monotonic() > deadline:
                    raise self._stayed_away(str(error)) from cause
            time.sleep(LOOK)
        for task in self._tasks.values():
            self._send(task)
        return time.monotonic()

    def _stayed_away(self, what: str) -> ServiceUnavailable:
        kept = "what was trained is kept, run the command again when it is back"
        return ServiceUnavailable(f"{what}; waited {self._patience:g} s: {kept}")


def _refused(error: KilledWorker) -> ServiceUnavailable:
    """Workers that end as soon as they are sent a task: they came after the others were looked at."""
    what = f"Dask workers end before they begin a task, the last of them at {error.last_worker.address!r}"
    msg = f"{what}: look at its log, and whether it has this checkout, see docs/cluster.md"
    return ServiceUnavailable(msg)
