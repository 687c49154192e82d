"""Changes by MQTT, and beside them the newest state of every series, retained, with whether the hub is connected.

The connection stays open: the broker says by the hub's last will that it has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any

import aiomqtt

from deployers.exceptions import ServiceUnavailable
from deployers.hub.alerts.channel import ANSWER_SECONDS, Channel, secret, tls
from deployers.hub.alerts.discovery import OFFLINE, ONLINE, Topics, state_of
from deployers.hub.alerts.wording import as_json, one_line
from deployers.hub.monitor.levels import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deployers.hub.alerts.ledger import Change
    from deployers.hub.alerts.settings import MqttSection
    from deployers.hub.alerts.wording import Wording
    from deployers.hub.monitor.levels import Level
    from deployers.hub.monitor.told import Seen

_log = logging.getLogger(__name__)
# Whatever it would warn of is raised, too.
_library = logging.getLogger("mqtt")
_library.setLevel(logging.ERROR)

TOGETHER_MAX = 1000  # states published before a change has its turn; the others follow at the next look
GOODBYE_SECONDS = 1.0  # the socket is closed once the farewell is written, whether it is answered or not
AT_ONCE = 20  # messages under way, as many as the client's own bound; the order of those is the broker's


class Mqtt(Channel):
    """States and changes at a broker.

    Args:
        section: which broker.
        words: how the hub speaks.
        level: the least that is a problem.
        environment: where the password is.
    """

    name = "mqtt"

    def __init__(
        self, section: MqttSection, words: Wording, level: Level, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._section, self._words, self._environment = section, words, environment
        self._least = LEVELS.index(level)
        self.server = f"{section.host}:{section.port}"
        self.topics = Topics(words, section.topic, section.discovery)
        self._wanted: dict[str, str] = {}
        self._unpublished: dict[str, None] = {}  # topics, in the order in which they came
        self._known: set[str] = set()
        self._client: aiomqtt.Client | None = None
        self._listening: asyncio.Task[None] | None = None
        self._using = asyncio.Lock()
        self._set(self.topics.of_hub())

    def show(self, seen: Sequence[Seen]) -> bool:
        """Note the states; whether one of them has changed, or the connection has gone."""
        for each in seen:
            if each.series not in self._known:
                self._known.add(each.series)
                self._set(self.topics.of_series(each.series))
            is_problem = LEVELS.index(each.row["state"]) >= self._least
            self._set({self.topics.state(each.series): state_of(each, is_problem=is_problem)})
        return self._is_lost() or bool(self._unpublished)

    async def send(self, changes: Sequence[Change]) -> str:
        """Publish the changes, and what else is new; connects where there is no connection."""
        async with self._using:
            try:
                client = await self._connected()
                for part in _parts(list(self._unpublished)[:TOGETHER_MAX]):
                    await self._publish_states(client, {topic: self._wanted[topic] for topic in part})
                for change in changes:
                    await self._publish(client, self.topics.alerts, as_json(self._words.as_dict(change)))
            except aiomqtt.MqttError as error:
                await self._drop()
                raise self._explained(error) from None
            except BaseException:
                # Who gives up waiting leaves a connection in an unknown state.
                await self._drop()
                raise
        return ""

    async def close(self) -> None:
        """Say that the hub goes, and disconnect."""
        async with self._using:
            if self._client is not None and not self._is_lost():
                with contextlib.suppress(aiomqtt.MqttError):
                    await self._publish(self._client, self.topics.status, OFFLINE, retain=True)
            await self._drop()

    def _set(self, contents: Mapping[str, dict[str, Any]]) -> None:
        for topic, content in contents.items():
            text = as_json(content)
            if self._wanted.get(topic) != text:
                self._wanted[topic] = text
                self._unpublished[topic] = None

    def _is_lost(self) -> bool:
        return self._client is None or self._listening is None or self._listening.done()

    async def _connected(self) -> aiomqtt.Client:
        if self._client is not None and not self._is_lost():
            return self._client
        await self._drop()
        section, will = self._section, aiomqtt.Will(self.topics.status, OFFLINE, qos=1, retain=True)
        password = (
            secret(self._environment, section.password_env, f"the password of {section.user!r}")
            if section.user
            else None
        )
        client = aiomqtt.Client(
            section.host,
            section.port,
            username=section.user or None,
            password=password,
            will=will,
            timeout=ANSWER_SECONDS,
            logger=_library,
            tls_context=tls() if section.tls else None,
        )
        client.pending_calls_threshold = AT_ONCE
        self._client = client  # before it is open: one that comes to be half open is closed, too
        await client.__aenter__()
        self._listening = asyncio.create_task(_until_lost(client), name="mqtt connection")
        await self._publish(client, self.topics.status, ONLINE, retain=True)
        return client

    async def _publish_states(self, client: aiomqtt.Client, texts: Mapping[str, str]) -> None:
        await asyncio.gather(*(self._publish(client, *each, retain=True) for each in texts.items()))
        for topic, text in texts.items():
            if self._wanted[topic] == text:
                self._unpublished.pop(topic, None)

    async def _publish(self, client: aiomqtt.Client, topic: str, text: str, *, retain: bool = False) -> None:
        await client.publish(topic, text, qos=1, retain=retain)

    async def _drop(self) -> None:
        """Close the connection; a broker that starts anew may know nothing, so everything is published again."""
        client, listening = self._client, self._listening
        self._client, self._listening = None, None
        self._unpublished = dict.fromkeys(self._wanted)
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        if client is not None:
            client.timeout = GOODBYE_SECONDS
            with contextlib.suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)

    def _explained(self, error: aiomqtt.MqttError) -> ServiceUnavailable:
        user = f" as user {self._section.user!r}" if self._section.user else ""
        return ServiceUnavailable(
            f"broker {self.server!r} does not take it{user} ({one_line(str(error))}): look at [alerts.mqtt] and at "
            f"the variable {self._section.password_env!r}, or start it"
        )


async def _until_lost(client: aiomqtt.Client) -> None:
    """Ends when the connection does; nothing is subscribed to."""
    try:
        async for _ in client.messages:
            pass
    except aiomqtt.MqttError as error:
        _log.info("the connection to the broker is lost: %s", one_line(str(error)))


def _parts(items: list[str]) -> list[list[str]]:
    return [items[at : at + AT_ONCE] for at in range(0, len(items), AT_ONCE)]
