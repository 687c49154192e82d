"""One channel with its own task: what waits is sent in order, and again after growing waits where that fails."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deployers.exceptions import DeployerError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from deployers.hub.alerts.channel import Channel
    from deployers.hub.alerts.ledger import Change, Ledger
    from deployers.hub.monitor.told import Seen
    from deployers.hub.store.alerting import Key, Told

_log = logging.getLogger(__name__)

TOGETHER_MAX = 500  # changes in one message
SEND_SECONDS = 30.0
RETRY_SECONDS, RETRY_SECONDS_MAX = 1.0, 300.0
# A message waits so many times as long as it wants to be quiet, and no longer.
QUIET_TIMES = 15


@dataclass
class State:
    """How a channel is.

    Attributes:
        waiting: changes that have not been sent.
        sent, failures: changes sent, and attempts that failed, since the hub started.
        last_success_ms, last_error_ms: when, by the hub's clock; None if never.
        last_error: what it was.
    """

    waiting: int = 0
    sent: int = 0
    failures: int = 0
    last_success_ms: int | None = None
    last_error_ms: int | None = None
    last_error: str = ""


class Sender:
    """Sends what waits for a channel.

    Args:
        channel: where to.
        ledger: what waits.
        keep: keeps what has been told.
        clock: seconds since 1970.
        seconds: how long one message may take.
        retry_seconds: first wait after a failure; it doubles.
    """

    def __init__(  # noqa: PLR0913 - the last two are for tests
        self,
        channel: Channel,
        ledger: Ledger,
        keep: Callable[[Mapping[Key, Told | None]], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        *,
        seconds: float = SEND_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self.channel, self._ledger, self._keep, self._clock = channel, ledger, keep, clock
        self._seconds, self._retry_seconds = seconds, retry_seconds
        self._state = State()
        self._unkept: dict[Key, Told | None] = {}
        self._is_behind = False
        self._first = self._newest = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._forever(), name=f"alerts by {self.channel.name}")

    async def stop(self) -> None:
        """Send no more, and let go of the server; what waits is found again at the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        try:
            await self._keep_told()
        except DeployerError as error:
            _log.warning("alerts by %s may be repeated after the next start: %s", self.channel.name, error)
        await self.channel.close()

    def offer(self, seen: Sequence[Seen], now_ms: int) -> None:
        """Note how some series stand; what is to be said of it waits for `wake`."""
        now, waited = time.monotonic(), self._ledger.waiting
        if self._ledger.look(seen, now_ms):
            self._first, self._newest = self._first if waited else now, now
        self._is_behind |= self.channel.show(seen)

    def wake(self) -> None:
        """All has been offered: send what waits."""
        if self._ledger.waiting or self._is_behind or self._unkept:
            self._wake.set()

    async def try_out(self, change: Change) -> str | None:
        """Send a message for a trial, beside what waits; why it could not be sent."""
        try:
            await self._send([change])
        except ServiceUnavailable as error:
            return " ".join(str(error).split())
        return None

    def as_dict(self) -> dict[str, Any]:
        """For people and programs."""
        self._state.waiting = self._ledger.waiting
        return {"channel": self.channel.name, "server": self.channel.server, **asdict(self._state)}

    async def _forever(self) -> None:
        wait = self._retry_seconds
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ledger.waiting or self._is_behind or self._unkept:
                await self._settle()
                try:
                    await self._turn()
                except DeployerError as error:
                    _log.warning("alerts by %s wait, again in %g s: %s", self.channel.name, wait, error)
                except Exception:  # noqa: BLE001 - the task must outlive whatever a library meets
                    _log.exception("alerts by %s failed, again in %g s", self.channel.name, wait)
                else:
                    wait = self._retry_seconds
                    continue
                await asyncio.sleep(wait)
                wait = min(2 * wait, RETRY_SECONDS_MAX)

    async def _settle(self) -> None:
        """Wait until nothing more comes, so that what happens together is told together."""
        left = self._quiet_in()
        while left > 0:
            await asyncio.sleep(left)
            left = self._quiet_in()

    def _quiet_in(self) -> float:
        """Seconds until what waits may go."""
        quiet = self.channel.gather_seconds
        until = min(self._newest + quiet, self._first + QUIET_TIMES * quiet)
        return until - time.monotonic() if self._ledger.waiting else 0.0

    async def _turn(self) -> None:
        """Send once, and keep what has been told.

        Raises:
            ServiceUnavailable: the channel has not taken it, or the store not what was told.
        """
        changes, was_behind, self._is_behind = self._ledger.next(TOGETHER_MAX), self._is_behind, False
        if changes or was_behind:
            try:
                await self._send(changes)
            except BaseException:
                self._is_behind = was_behind
                raise
            self._unkept |= self._ledger.sent(changes)
            self._state.sent += len(changes)
        await self._keep_told()

    async def _keep_told(self) -> None:
        if self._unkept:
            await self._keep(dict(self._unkept))
            self._unkept.clear()

    async def _send(self, changes: Sequence[Change]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                remark = await self.channel.send(changes)
        except TimeoutError:
            msg = f"{self.channel.server!r} did not take it within {self._seconds:g} s: look at it, or at the network"
            self._failed(msg)
            raise ServiceUnavailable(msg) from None
        except Exception as error:
            self._failed(" ".join(str(error).split()) or type(error).__name__)
            raise
        self._state.last_success_ms = self._now_ms()
        if remark:
            _log.warning("alerts by %s: %s", self.channel.name, remark)
            self._state.last_error, self._state.last_error_ms = remark, self._now_ms()

    def _failed(self, why: str) -> None:
        self._state.failures += 1
        self._state.last_error, self._state.last_error_ms = why, self._now_ms()

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)
