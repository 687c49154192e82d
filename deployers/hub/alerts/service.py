"""All channels of a hub: looks at what the monitor says, and gives it to each of them without waiting for any."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from deployers.exceptions import InputError
from deployers.hub.alerts.ledger import Change, Ledger
from deployers.hub.alerts.mail import Mail
from deployers.hub.alerts.mqtt import Mqtt
from deployers.hub.alerts.sender import Sender
from deployers.hub.alerts.webhook import Webhook
from deployers.hub.alerts.wording import Wording
from deployers.hub.turns import attempted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deployers.hub.alerts.channel import Channel
    from deployers.hub.alerts.settings import AlertsSection
    from deployers.hub.monitor.service import Monitor
    from deployers.hub.settings import Settings
    from deployers.hub.store import Store

EVERY_SECONDS = 10.0
AT_ONCE = 50  # series
TRIED = "This is a test of the alerts, nothing has happened"


class Alerts:
    """Tells people and programs what changes.

    Args:
        settings: with the section `alerts`.
        store: keeps what was told.
        monitor: says how every series stands.
        environment: where passwords and tokens are.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        monitor: Monitor,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._store, self._monitor = settings, store, monitor
        self._environment, self._clock = environment, clock
        self._senders: list[Sender] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to tell, from what has been told before.

        Raises:
            ServiceUnavailable: the store does not answer.
        """
        if self._task is not None or not self._settings.alerts.channels:
            return
        self._senders = [await self._sender(channel) for channel in self._channels()]
        for sender in self._senders:
            sender.start()
        self._task = asyncio.create_task(self._forever(), name="alerts")

    async def stop(self) -> None:
        """Tell no more; what has not been told is found again at the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        senders, self._senders = self._senders, []
        await asyncio.gather(*(sender.stop() for sender in senders))

    async def look(self) -> None:
        """Give every channel what the monitor says now."""
        seen, now_ms = await self._monitor.seen(), self._now_ms()
        for at in range(0, len(seen), AT_ONCE):
            for sender in self._senders:
                sender.offer(seen[at : at + AT_ONCE], now_ms)
            await asyncio.sleep(0)  # requests and boards come between
        for sender in self._senders:
            sender.wake()

    async def try_out(self) -> list[dict[str, Any]]:
        """Send a message over every channel at once; how it went, by channel.

        Raises:
            InputError: there is no channel.
        """
        if not self._senders:
            msg = (
                "no channel of alerts is there, expected [alerts.webhook], [alerts.smtp] or [alerts.mqtt]: "
                "add one to hub.toml, and start the hub again"
            )
            raise InputError(msg)
        change = Change("test", "", "", "ok", None, TRIED, {}, self._now_ms())
        errors = await asyncio.gather(*(sender.try_out(change) for sender in self._senders))
        return [
            {"channel": sender.channel.name, "server": sender.channel.server, "ok": error is None, "error": error}
            for sender, error in zip(self._senders, errors, strict=True)
        ]

    def channels(self) -> list[dict[str, Any]]:
        """How each channel is."""
        return [sender.as_dict() for sender in self._senders]

    def _channels(self) -> list[Channel]:
        section, environment = self._settings.alerts, self._environment
        words = Wording(section.name or socket.gethostname(), section.page or self._settings.url)
        found: list[Channel] = []
        if section.webhook is not None:
            found.append(Webhook(section.webhook, words, environment))
        if section.smtp is not None:
            found.append(Mail(section.smtp, words, environment))
        if section.mqtt is not None:
            found.append(Mqtt(section.mqtt, words, section.level, environment))
        return found

    async def _sender(self, channel: Channel) -> Sender:
        section: AlertsSection = self._settings.alerts
        ledger = Ledger(await self._store.alerts_told(channel.name), section.level, section.repeat_hours)
        return Sender(channel, ledger, lambda changed: self._store.keep_told(channel.name, changed), self._clock)

    async def _forever(self) -> None:
        while True:
            await attempted(self.look, "who tells alerts")
            await asyncio.sleep(EVERY_SECONDS)

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)
