"""What the tasks share that look at something again and again, beside readings and forecasts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from deployers.exceptions import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)


async def attempted(turn: Callable[[], Awaitable[Any]], who: str) -> Any:
    """One turn of a task that outlives whatever happens in it; None if it failed, which is logged.

    Args:
        turn: the work.
        who: does it, for the log.
    """
    try:
        return await turn()
    except ServiceUnavailable as error:
        _log.warning("%s waits: %s", who, error)
    except Exception:  # noqa: BLE001 - readings and forecasts go on whatever is met here
        _log.exception("%s failed to look, and tries again", who)
    return None


async def woken(wake: asyncio.Event, seconds: float) -> None:
    """Wait until it is set, at most so long, and clear it."""
    # Not by wait_for, which in Python 3.11 may take a cancellation for a timeout.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
    wake.clear()
