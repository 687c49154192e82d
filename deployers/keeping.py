"""What boards send, on its way to be kept: in order, bounded, and acknowledged only when it is kept."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from deployers.protocol.messages import Forecast, Reading

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from deployers.protocol.session import Arrived

_log = logging.getLogger(__name__)

# Frames of one board that wait to be kept; a board has at most 16 forecasts and their readings under way.
KEEPING_MAX = 64


class Sink(Protocol):
    """Where readings and forecasts go.

    After a lost connection the same may come again: a reading is known by its board and time, a forecast by the
    reading it was made at. Several calls for one board may be under way at a time, so that one commit can serve them.
    """

    async def keep_readings(self, board: str, first: int, readings: tuple[Reading, ...]) -> None:
        """Keep readings numbered from `first` on; they are acknowledged to the board when this returns."""
        ...

    async def keep_forecast(self, board: str, forecast: Forecast) -> None:
        """Keep a forecast; it is called before its reading arrives, which is not acknowledged before this returns."""
        ...


@dataclass(slots=True)
class Counters:
    """Of one board, since the hub started.

    Attributes:
        connections: sessions that were opened.
        readings: kept; with those that came again after a lost connection.
        forecasts: kept, likewise.
        received_bytes: from the board, without those of its handshakes.
        sent_bytes: to the board, likewise.
    """

    connections: int = 0
    readings: int = 0
    forecasts: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0


class Connection(Protocol):
    """What is told once something is kept."""

    def acknowledge(self, through: int) -> None:
        """All readings with a lower number are kept."""
        ...

    def abort(self) -> None:
        """Something could not be kept: nothing after it may be acknowledged on this connection."""
        ...

    def resume(self, reason: str) -> None:
        """There is room again."""
        ...


class Keeping:
    """What one board sent and the sink has not kept yet; it outlives a connection, and so does its bound.

    Args:
        board: the board's id.
        sink: where it goes.
        most: frames under way at a time.
    """

    def __init__(self, board: str, sink: Sink, most: int | None = None) -> None:
        self.counters = Counters()
        self.heard: float | None = None  # by the event loop's clock
        self._board, self._sink, self._most = board, sink, KEEPING_MAX if most is None else most
        self._under_way: deque[tuple[asyncio.Task[None], Connection, int | None]] = deque()
        self._when_free: Connection | None = None

    def is_full(self) -> bool:
        """No more may be read from the board for now."""
        return len(self._under_way) >= self._most

    def tell_when_free(self, link: Connection) -> None:
        """Call `resume` of the newest link that asked, once there is room again."""
        self._when_free = link

    def add(self, link: Connection, event: Arrived | Forecast) -> None:
        """Begin to keep what came on this link, which is told to acknowledge it."""
        if isinstance(event, Forecast):
            kept: Awaitable[None] = self._sink.keep_forecast(self._board, event)
            through = None
            self.counters.forecasts += 1
        else:
            kept = self._sink.keep_readings(self._board, event.first, event.readings)
            through = event.first + len(event.readings)
            self.counters.readings += len(event.readings)
        task = asyncio.ensure_future(kept)
        self._under_way.append((task, link, through))
        task.add_done_callback(self._on_kept)

    async def finish(self, seconds: float) -> None:
        """Wait for what is under way."""
        if tasks := [task for task, _, _ in self._under_way]:
            await asyncio.wait(tasks, timeout=seconds)

    def _on_kept(self, _: object) -> None:
        """An acknowledgement covers everything before it: it waits for what came before."""
        while self._under_way and self._under_way[0][0].done():
            task, link, through = self._under_way.popleft()
            if task.cancelled() or (error := task.exception()) is not None:
                why = "cancelled" if task.cancelled() else repr(error)
                _log.error("board %r: what it sent was not kept (%s), it will send it again", self._board, why)
                link.abort()
            elif through is not None:
                link.acknowledge(through)
        if self._when_free is not None and not self.is_full():
            link, self._when_free = self._when_free, None
            link.resume("keeping")
