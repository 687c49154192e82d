"""Who trains: this process, processes of this machine, or the workers of a Dask scheduler.

search ──submit──▶ Workers ──▶ run_task(folds, task)      here.py       one after the other, in this process
   ▲                  │                                    processes.py  "N": processes of this machine, one a core
   └─────next─────────┘                                    cluster.py    "tcp://host:port", "tls://host:port": Dask

The same tasks give the same outcomes in each of them, perhaps in another order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from forecaster.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from forecaster.tasks import Outcome, Task
    from forecaster.trials import Fold

# More processes than any machine has cores; a slip of the keyboard must not fill the memory.
MOST_PROCESSES = 256


class Workers(Protocol):
    """Takes tasks and gives their outcomes, whichever is done first; a context that ends what it started.

    Attributes:
        count: how many tasks are worth having in flight.
    """

    count: int

    @property
    def peak_bytes(self) -> int:
        """Most memory that this process and each worker had so far, added up; what they share counts in each."""
        ...

    def submit(self, task: Task) -> None:
        """Have a task done some time; its number is that of no other task."""
        ...

    def next(self) -> Outcome:
        """Wait for the next outcome.

        Raises:
            IndexError: no task is under way.
            ServiceUnavailable: scheduler or workers stayed away, or a task ended its worker again and again.
            ConfigError: a worker that came later would give other results.
        """
        ...

    def close(self) -> None:
        """End it, whatever is under way."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def require_workers(where: str) -> str:
    """The same text, if it says who the workers are.

    Raises:
        ConfigError: it is neither a number of processes nor the address of a Dask scheduler.
    """
    if re.fullmatch(r"(tcp|tls)://[^\s/@]+:\d{1,5}/?", where):
        return where
    if re.fullmatch(r"[0-9]{1,9}", where) and 1 <= int(where) <= MOST_PROCESSES:
        return where
    expected = (
        f"a number of processes from 1 to {MOST_PROCESSES} or a Dask scheduler's tcp://host:port, tls://host:port"
    )
    msg = f"workers {where!r} must be {expected}: give --workers 4, for example"
    raise ConfigError(msg)


def open_workers(where: str, folds: Sequence[Fold]) -> Workers:
    """Start or reach the workers, and give them the data.

    Args:
        where: "1" for this process, a larger number for up to as many processes of this machine, one a core,
            `tcp://host:port` or `tls://host:port` for a Dask scheduler.
        folds: that the tasks name by their numbers.

    Raises:
        ConfigError: `where` says nothing known, or the scheduler's workers would give other results.
        ServiceUnavailable: no scheduler answers there, or it has no workers.
    """
    if "://" in require_workers(where):
        from forecaster.workers.cluster import Cluster  # noqa: PLC0415 - Dask is for who has a cluster

        return Cluster(where, folds)
    if int(where) > 1:
        from forecaster.workers.processes import Processes  # noqa: PLC0415 - one process needs none of it

        return Processes(int(where), folds)
    from forecaster.workers.here import Here  # noqa: PLC0415

    return Here(folds)
