"""Who changes a board: one at a time. Who carries a challenger there gives way to all others, who never wait for it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from deployers.exceptions import Conflict
from deployers.link import LinkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from deployers.hub.device import Record

Result = TypeVar("Result")


class BoardBusyError(LinkError, Conflict):
    """Another request that changes this board is under way."""


@contextlib.asynccontextmanager
async def changing(board: str, record: Record, what: str) -> AsyncIterator[None]:
    """Change a board, and nobody else meanwhile; a challenger on its way there is left where it is.

    Raises:
        BoardBusyError: somebody else does, who does not give way.
    """
    while record.giving_way is not None:
        await _ended(record.giving_way)
    _require_free(board, record, what)
    record.busy = what
    try:
        yield
    finally:
        record.busy = None


async def giving_way(board: str, record: Record, what: str, work: Coroutine[Any, Any, Result]) -> Result:
    """Change a board until somebody else wants to.

    Raises:
        BoardBusyError: somebody else does, now or before the end.
    """
    try:
        _require_free(board, record, what)
    except BoardBusyError:
        work.close()
        raise
    task = asyncio.get_running_loop().create_task(work)
    record.busy, record.giving_way = what, task
    # Called before anybody who waits for the task goes on.
    task.add_done_callback(lambda _: _let_go(record))
    try:
        await asyncio.wait({task})
    finally:
        await _ended(task)
    if task.cancelled():
        msg = f"board {board!r} is wanted for something else than {what!r}: it has its turn afterwards"
        raise BoardBusyError(msg)
    return task.result()


async def _ended(task: asyncio.Task[Any]) -> None:
    """End a task, and wait until its callbacks were called as well: also of one that has just ended."""
    task.cancel()
    await asyncio.wait({task})


def _require_free(board: str, record: Record, what: str) -> None:
    if record.busy is not None:
        msg = f"board {board!r} is busy with {record.busy!r}: wait for its end before {what!r}"
        raise BoardBusyError(msg)


def _let_go(record: Record) -> None:
    record.busy = record.giving_way = None
