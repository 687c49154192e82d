"""One connection to a Dask scheduler: its workers are looked at, and given the data."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from distributed import Client, Future, Security, get_worker, wait
from distributed.client import ClosedClientError
from distributed.comm.core import connect
from distributed.utils import sync

from forecaster.errors import ConfigError, ServiceUnavailable
from forecaster.workers.environment import differences, environment
from forecaster.workers.report import DEATHS, Report, lost, report

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Sequence

    from forecaster.tasks import Task
    from forecaster.trials import Fold

# Seconds. A scheduler answers at once or is not there; a worker may have to compile the kernels first.
ANSWER, CHECK, LOOK = 10.0, 120.0, 1.0
# A cluster that goes away shows in each of these, depending on who notices first.
AWAY = (OSError, TimeoutError, CancelledError, ClosedClientError)
CERTIFICATES = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__TLS__CLIENT__CERT and …__TLS__CLIENT__KEY"


class Session:
    """A context would end it too early: it lasts until it is closed or the scheduler goes away.

    Args:
        address: of the scheduler.
        folds: given to each worker.
        starts: counts how often each task was begun; those of earlier sessions are in it.

    Raises:
        ConfigError: a worker's versions, code or arithmetic differ from those here; certificates are missing.
        ServiceUnavailable: no scheduler answers, it has no workers, or they do not answer.

    Attributes:
        threads: of all workers.
    """

    def __init__(self, address: str, folds: Sequence[Fold], starts: Counter[int]) -> None:
        self._address, self._starts = address, starts
        _quiet()
        self._client = _client(address)
        self._topic = f"edgeloop-{self._client.id}"
        try:
            workers = self._workers()
            self.threads = sum(workers.values())
            self._require_same(workers)
            [self._data] = self._client.scatter([folds], broadcast=True, hash=False)
            self._client.subscribe_topic(self._topic, self._begun)
        except BaseException as error:
            self.close()
            if isinstance(error, AWAY):
                msg = f"Dask scheduler {address!r} or a worker of it went away ({error}): look at its log"
                raise ServiceUnavailable(msg) from error
            raise

    def send(self, task: Task) -> Future[Any]:
        """Have a worker do a task; it gives the worker's name and its report."""
        arguments = (self._data, task, environment(), self._topic, self._starts[task.number])
        return self._client.submit(_work, *arguments, key=f"{self._topic}-{task.number}", pure=False)

    def wait(self, futures: Sequence[Future[Any]]) -> None:
        """Wait for one of them, or a moment."""
        with suppress(TimeoutError), self._client.as_current():
            wait(futures, timeout=LOOK, return_when="FIRST_COMPLETED")

    def has_workers(self) -> bool:
        """Whether the scheduler has any; raises one of `AWAY` if it does not answer."""
        return bool(self._client.nthreads())

    def close(self) -> None:
        """Let go of everything."""
        with suppress(*AWAY):
            self._client.close(ANSWER)

    def _begun(self, event: tuple[float, int]) -> None:
        self._starts[event[1]] += 1

    def _workers(self) -> dict[str, int]:
        """Addresses of the workers and their threads."""
        try:
            self._client.wait_for_workers(1, timeout=ANSWER)
        except TimeoutError:
            msg = f"Dask scheduler {self._address!r} has no workers: start some, dask worker {self._address}"
            raise ServiceUnavailable(msg) from None
        return dict(self._client.nthreads())

    def _require_same(self, workers: Iterable[str]) -> None:
        """Ask each worker what its outcomes depend on.

        A worker that is sent a function it does not have ends at once, so that is asked first.
        """
        for address, answer in self._client.run(resolve_name, f"{__name__}:__name__", on_error="return").items():
            if isinstance(answer, AWAY):
                raise answer
            if answer != __name__:
                what = f"Dask worker {address!r} cannot run the project's code ({answer})"
                msg = f"{what}: install this checkout and locks/pipelines.txt there, see docs/cluster.md"
                raise ConfigError(msg)
        asked = {
            address: self._client.submit(environment, workers=[address], priority=1000, pure=False)
            for address in workers
        }
        with self._client.as_current():
            wait(list(asked.values()), timeout=CHECK)
        for address, future in asked.items():
            _require_none(address, differences(future.result(), environment()))


def _quiet() -> None:
    """The errors here tell what Dask logs when a connection is lost; a worker has no session and goes on logging."""
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


async def _greet(address: str) -> None:
    """Connect once: the client itself would wait for ever for the greeting of who listens and says nothing."""
    connecting = connect(address, ANSWER, **Security().get_connection_args("client"))
    (await asyncio.wait_for(connecting, ANSWER)).abort()


def _client(address: str) -> Client:
    try:
        with ThreadPoolExecutor(1) as thread:  # there may be a running loop in this one
            thread.submit(asyncio.run, _greet(address)).result()
        return Client(address, timeout=ANSWER, set_as_default=False, name="edgeloop-search")
    except TypeError as error:  # Dask's answer to tls:// without certificates
        msg = f"Dask scheduler {address!r} wants certificates: set {CERTIFICATES}, see docs/cluster.md"
        raise ConfigError(msg) from error
    except OSError as error:
        what = f"Dask scheduler {address!r} does not answer ({str(error) or 'silence'})"
        msg = f"{what}: start it with dask scheduler, or give --workers the address it prints"
        raise ServiceUnavailable(msg) from error


def _work(folds: Sequence[Fold], task: Task, expected: dict[str, str], topic: str, starts: int) -> tuple[str, Report]:
    """What a Dask worker does; one that came after the others were looked at is looked at here.

    The scheduler says how often the task was begun, and `starts` how often before this session: the client would learn
    of a task that ends its workers when it has been given to the next one.
    """
    worker = get_worker()
    _require_none(worker.address, differences(environment(), expected))
    own = f"{topic}-{task.number}"
    # Not the worker's own log_event, which returns before the scheduler has it: the training may end the worker.
    sync(worker.loop, worker.scheduler.log_event, topic=[topic, own], msg=task.number)
    if starts + len(sync(worker.loop, worker.scheduler.events, topic=own)) > DEATHS:
        raise lost(task)
    return str(worker.name), report(folds, task)


def _require_none(address: str, found: str) -> None:
    if found:
        msg = f"Dask worker {address!r} would give other results: {found}"
        raise ConfigError(msg)
