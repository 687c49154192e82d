"""The one thread that writes: whatever waits is committed together.

A COMMIT costs a wait for the disk, whether it carries one row or a thousand. So callers line up, and the thread takes
the whole line into each transaction. A lone caller is served at once; under load transactions begin at least
`GATHER_SECONDS` apart, which costs a little time and saves most of the work.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from deployers.exceptions import ServiceUnavailable
from deployers.hub.store.writes import Cache, perform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from deployers.hub.store.database import Database
    from deployers.hub.store.writes import Work

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.01
ROWS_WAITING = 20_000  # more wait in their callers: a board that is not answered sends no more
ROWS_TOGETHER = 5_000  # in one transaction, unless one caller alone has more


@dataclass
class Counters:
    """What was written so far.

    Attributes:
        transactions: committed ones.
        rows: in them, new ones or not.
        failed: transactions that were not committed.
        waiting: rows that wait to be written.
        different: readings that came again with another value.
    """

    transactions: int = 0
    rows: int = 0
    failed: int = 0
    waiting: int = 0
    different: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    work: Work
    done: asyncio.Future[Any]


class Writer:
    """A thread with one connection.

    Args:
        database: where to write.
        clock: seconds since 1970, for the times at which rows were received.
        loop: of the callers.
    """

    def __init__(self, database: Database, clock: Callable[[], float], loop: asyncio.AbstractEventLoop) -> None:
        self.counters = Counters()
        self._database, self._loop = database, loop
        self._cache = Cache(clock)
        self._jobs: deque[_Job] = deque()
        self._work_there, self._room = threading.Event(), asyncio.Event()
        self._closing = False
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="store-write", daemon=True)

    def start(self) -> None:
        """Begin to take work."""
        self._thread.start()

    async def stop(self) -> None:
        """Write what waits, then end."""
        self._closing = True  # set by the loop, which callers run in: none slips in behind the last look at the line
        self._work_there.set()
        self._room.set()
        await asyncio.to_thread(self._thread.join)

    async def submit(self, work: Work) -> Any:
        """What the work gives, after its COMMIT.

        Raises:
            ServiceUnavailable: the database does not take it now, or the store is closing; nothing of it is stored.
            DeployerError: what the work itself refuses.
        """
        while self.counters.waiting and self.counters.waiting + work.rows > ROWS_WAITING:
            self._room.clear()
            await self._room.wait()
        if self._closing:
            msg = f"store {self._database.name!r} is closing: send it again when the hub is back"
            raise ServiceUnavailable(msg)
        job = _Job(work, self._loop.create_future())
        self.counters.waiting += work.rows
        self._jobs.append(job)
        self._work_there.set()
        return await job.done

    def _run(self) -> None:
        last = -GATHER_SECONDS
        while not (self._closing and not self._jobs):
            self._work_there.wait()
            if not self._closing:
                time.sleep(max(0.0, last + GATHER_SECONDS - time.monotonic()))
            last = time.monotonic()
            # Before the line is looked at: who comes later sets it again.
            self._work_there.clear()
            batch = self._next_batch()
            if self._jobs or self._closing:
                self._work_there.set()
            if batch:
                outcomes = self._commit(batch)
                self._loop.call_soon_threadsafe(self._settle, batch, outcomes)
        self._drop()

    def _next_batch(self) -> list[_Job]:
        batch, rows = list[_Job](), 0
        while self._jobs and (not batch or rows + self._jobs[0].work.rows <= ROWS_TOGETHER):
            batch.append(self._jobs.popleft())
            rows += batch[-1].work.rows
        return batch

    def _commit(self, batch: Sequence[_Job]) -> list[Any]:
        """One outcome a job; an error is an outcome as well."""
        try:
            if self._connection is None:
                self._connection = self._database.connect()
            with self._database.transaction(self._connection):
                outcomes = perform(self._connection, [job.work for job in batch], self._cache)
        except Exception as error:  # noqa: BLE001 - it belongs to the callers, and the thread must go on
            self.counters.failed += 1
            self._drop()
            if len(batch) > 1 and not _is_outage(error):
                # One of them is at fault, and the others need not suffer.
                return [self._commit([job])[0] for job in batch]
            return [self._database.explain(error) for _ in batch]
        self.counters.transactions += 1
        self.counters.rows += sum(job.work.rows for job in batch)
        return outcomes

    def _settle(self, batch: Sequence[_Job], outcomes: Sequence[Any]) -> None:
        for job, outcome in zip(batch, outcomes, strict=True):
            self.counters.waiting -= job.work.rows
            if job.done.done():  # its caller has gone
                continue
            if isinstance(outcome, Exception):
                job.done.set_exception(outcome)
            else:
                job.done.set_result(outcome)
        self._room.set()

    def _drop(self) -> None:
        """Forget the connection and what was learned over it: the next transaction begins anew."""
        self._cache.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):  # it may be gone already, which is why it is dropped
                connection.close()


def _is_outage(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError)
