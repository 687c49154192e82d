"""Tasks in processes of this machine.

Threads would share the data, since the kernels let go of the interpreter's lock, and on two cores they are as quick.
But what an update does around its kernels holds that lock, more of it the smaller the network, so that a few threads
are all it serves; and a training that takes too much memory would take the search with it.

They are forked by a server that has imported the libraries, so that a worker begins in a fraction of the time and with
a fraction of the memory of one that is spawned. Forking this process is no way: TensorFlow's and ZenML's threads may
hold locks.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, get_context
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

from forecaster.workers.report import DEATHS, Report, lost, peak_bytes, report, require_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from multiprocessing.connection import Connection

    from forecaster.tasks import Outcome, Task
    from forecaster.trials import Fold

CHECKOUT = str(Path(__file__).resolve().parents[2])
# Each worker has one core.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
# Of a worker's process.
_folds: list[Fold] = []


class Processes:
    """See `Workers`. Each process has a thread here that gives it its tasks and replaces it when it dies.

    A pool for each process, not one for all: a pool does not say which task ended it, and loses all its processes.

    Args:
        count: of the processes at most; each is started with its first task. There are no more of them than cores:
            trainings that share a core take more of it than one after the other, and their rung ends later.
        folds: sent to each process once.
    """

    def __init__(self, count: int, folds: Sequence[Fold]) -> None:
        self.count = count = min(count, len(os.sched_getaffinity(0)))
        self._pickled = pickle.dumps(list(folds))
        self._context = get_context("forkserver")
        self._read, self._write = self._context.Pipe(duplex=False)
        self._threads = ThreadPoolExecutor(count, "search-worker")
        self._pools: dict[int, ProcessPoolExecutor] = {}
        self._peaks: dict[int, int] = {}
        self._pending: set[int] = set()
        self._closing = False
        self._done: SimpleQueue[tuple[Task, Future[Outcome]]] = SimpleQueue()
        _start_server()

    @property
    def peak_bytes(self) -> int:
        """See `Workers`."""
        return peak_bytes() + sum(self._peaks.values())

    def submit(self, task: Task) -> None:
        """See `Workers`."""
        self._pending.add(task.number)
        self._threads.submit(self._run, task).add_done_callback(lambda future: self._done.put((task, future)))

    def next(self) -> Outcome:
        """See `Workers`."""
        require_any(self._pending)
        task, future = self._done.get()
        self._pending.remove(task.number)
        return future.result()

    def close(self) -> None:
        """See `Workers`."""
        self._closing = True
        self._write.close()  # each worker ends when it notices
        self._threads.shutdown(cancel_futures=True)
        for pool in self._pools.values():
            pool.shutdown()
        self._read.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, task: Task) -> Outcome:
        """Have the process of this thread do a task."""
        me = threading.get_ident()
        for _ in range(DEATHS):
            try:
                done = self._process(me).submit(_work, task).result()
            except BrokenProcessPool:
                self._pools.pop(me).shutdown()
                if self._closing:
                    raise
                continue
            self._peaks[me] = max(done.peak_bytes, self._peaks.get(me, 0))
            return done.outcome
        raise lost(task)

    def _process(self, thread: int) -> ProcessPoolExecutor:
        if thread not in self._pools:
            arguments = (self._read, self._pickled)
            self._pools[thread] = ProcessPoolExecutor(1, self._context, _begin, arguments)
        return self._pools[thread]


def _start_server() -> None:
    """Start the process that forks the workers, if there is none yet."""
    forkserver.set_forkserver_preload(["__main__", "forecaster.workers.server"])
    path = [CHECKOUT, *filter(None, [os.environ.get("PYTHONPATH")])]
    with _environment(ONE_THREAD | {"PYTHONPATH": os.pathsep.join(path)}):
        forkserver.ensure_running()


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set these variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _begin(life: Connection, folds: bytes) -> None:
    """The first thing a worker does.

    Args:
        life: nothing comes from it but its end, when the search closes its workers or is killed.
        folds: pickled.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the search ends its workers
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    _folds[:] = pickle.loads(folds)  # noqa: S301 - from the process that started this one


def _end_with(life: Connection) -> None:
    with suppress(EOFError, OSError):
        life.recv_bytes()
    os._exit(0)


def _work(task: Task) -> Report:
    return report(_folds, task)
