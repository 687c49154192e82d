"""States and changes at a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import aiomqtt
import pytest

from deployers.exceptions import ServiceUnavailable
from deployers.hub.alerts import mqtt as module
from deployers.hub.alerts.mqtt import Mqtt
from deployers.hub.alerts.settings import MqttSection
from tests.alerting import HOSTILE, WORDS, Broker, change, seen
from tests.connected_twin import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio
# As Home Assistant's own discovery takes topics apart: component, node and object.
DISCOVERED = re.compile(r"homeassistant/\w+/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config")
BASE = "edgeloop/jetson-1"
PASSWORD = {"EDGELOOP_MQTT_PASSWORD": "s3cret"}


def mqtt(broker: Broker, environment: dict[str, str] = PASSWORD, **fields: Any) -> Mqtt:
    return Mqtt(MqttSection(**{"host": "127.0.0.1", "port": broker.port, **fields}), WORDS, "alarm", environment)


class Heard:
    """What a subscriber is given: the newest of each topic, which of them were retained, and all in order."""

    def __init__(self) -> None:
        self.newest: dict[str, Any] = {}
        self.retained: set[str] = set()
        self.all: list[tuple[str, Any]] = []

    async def listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic, said = str(message.topic), bytes(message.payload).decode()
            content = json.loads(said) if said.startswith("{") else said
            self.newest[topic] = content
            self.all.append((topic, content))
            if message.retain:
                self.retained.add(topic)


@contextlib.asynccontextmanager
async def listening(broker: Broker) -> AsyncIterator[Heard]:
    """Somebody who subscribes to everything now."""
    heard = Heard()
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("#", qos=1)
        task = asyncio.create_task(heard.listen(client))
        yield heard
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_home_assistant_is_told_of_each_series_and_of_the_hub(broker: Broker) -> None:
    with broker.started():
        channel = mqtt(broker)
        assert channel.show([seen(level="alarm"), seen("room/window")])
        await channel.send([])
        assert not channel.show([seen(level="alarm"), seen("room/window")])
        async with listening(broker) as heard:
            await until(lambda: len(heard.newest) == 10)
        await channel.close()
    assert heard.retained == set(heard.newest), "who comes later is told, too"
    node, name = "edgeloop_jetson-1", "board-1"
    config = heard.newest[f"homeassistant/binary_sensor/{node}/{name}_problem/config"]
    assert config == {
        "name": "Problem",
        "unique_id": f"{node}_{name}_problem",
        "device_class": "problem",
        "state_topic": f"{BASE}/series/board-1",
        "value_template": "{{ value_json.problem }}",
        "payload_on": "ON",
        "payload_off": "OFF",
        "json_attributes_topic": f"{BASE}/series/board-1",
        "json_attributes_template": "{{ {'level': value_json.level, 'test': value_json.test, "
        "'reason': value_json.reason, 'since': value_json.since} | tojson }}",
        "availability_topic": f"{BASE}/status",
        "device": {
            "identifiers": [f"{node}_{name}"],
            "name": "board-1",
            "manufacturer": "edgeloop",
            "model": "series",
            "via_device": node,
            "configuration_url": "https://jetson-1.example/",
        },
        "origin": {"name": "edgeloop"},
    }
    skill = heard.newest[f"homeassistant/sensor/{node}/{name}_skill/config"]
    assert (skill["state_class"], skill["value_template"]) == ("measurement", "{{ value_json.skill }}")
    temperature = heard.newest[f"homeassistant/sensor/{node}/{name}_temperature/config"]
    assert (temperature["device_class"], temperature["unit_of_measurement"]) == ("temperature", "°C")
    hub = heard.newest[f"homeassistant/binary_sensor/{node}/connection/config"]
    assert (hub["device_class"], hub["state_topic"], hub["payload_on"]) == ("connectivity", f"{BASE}/status", "online")
    assert hub["device"]["identifiers"] == [config["device"]["via_device"]]
    assert heard.newest[f"{BASE}/status"] == "online"
    assert heard.newest[f"{BASE}/series/board-1"] == {
        "problem": "ON",
        "series": "board-1",
        "level": "alarm",
        "test": "stuck",
        "reason": "stuck at 21 °C, board-1",
        "since": "2024-05-01T12:00:00",
        "skill": 0.25,
        "celsius": 21.5,
        "time": "1970-01-01T00:00:00.001000",
    }


async def test_states_below_the_level_are_no_problem_and_only_what_changed_is_published(broker: Broker) -> None:
    with broker.started():
        channel = mqtt(broker, discovery="")
        channel.show([seen(level="warning"), seen("b")])
        async with listening(broker) as heard:
            await channel.send([])
            await until(lambda: len(heard.all) == 3)
            assert heard.newest[f"{BASE}/series/board-1"]["problem"] == "OFF"
            assert channel.show([seen(level="alarm"), seen("b")])
            await channel.send([])
            await until(lambda: len(heard.all) == 4)
            assert heard.all[-1][1]["problem"] == "ON"
        await channel.close()


async def test_a_great_many_states_go_in_parts(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOGETHER_MAX", 30)
    names = [f"board-{at}" for at in range(50)]
    with broker.started():
        channel = mqtt(broker, discovery="")
        await until_shown(channel, names)
        async with listening(broker) as heard:
            await until(lambda: len(heard.newest) == 1 + len(names))
        await channel.close()


async def until_shown(channel: Mqtt, names: list[str]) -> None:
    for expected in (True, True, False):
        assert channel.show([seen(name) for name in names]) == expected
        if expected:
            await channel.send([])


async def test_a_change_is_told_and_not_retained(broker: Broker) -> None:
    with broker.started():
        channel = mqtt(broker)
        async with listening(broker) as heard:
            await channel.send([change(), change(kind="resolved", level="ok")])
            await until(lambda: len([topic for topic, _ in heard.all if topic == f"{BASE}/alerts"]) == 2)
        assert [said["event"] for topic, said in heard.all if topic == f"{BASE}/alerts"] == ["raised", "resolved"]
        async with listening(broker) as late:
            await until(lambda: f"{BASE}/status" in late.newest)
        assert f"{BASE}/alerts" not in late.newest
        await channel.close()


async def test_a_hub_that_stops_says_so_and_one_that_dies_is_said_to(broker: Broker) -> None:
    with broker.started():
        channel = mqtt(broker)
        await channel.send([])
        async with listening(broker) as heard:
            await until(lambda: heard.newest.get(f"{BASE}/status") == "online")
            await channel.close()
            await until(lambda: heard.newest[f"{BASE}/status"] == "offline")
            await channel.send([])
            await until(lambda: heard.newest[f"{BASE}/status"] == "online")
            client: Any = channel._client  # noqa: SLF001 - the connection is cut as a cable is
            client._client.socket().shutdown(socket.SHUT_RDWR)  # noqa: SLF001
            await until(lambda: heard.newest[f"{BASE}/status"] == "offline")
            await until(lambda: channel.show([]))
            await channel.send([])
            await until(lambda: heard.newest[f"{BASE}/status"] == "online")
        await channel.close()


async def test_a_broker_that_forgot_everything_is_told_everything(broker: Broker) -> None:
    channel = mqtt(broker)
    with broker.started():
        channel.show([seen()])
        await channel.send([])
    await until(lambda: channel.show([seen()]))
    with pytest.raises(ServiceUnavailable, match=r"broker '127.0.0.1:\d+' does not take it"):
        await channel.send([change()])
    with broker.started():
        assert channel.show([seen()])
        await channel.send([change()])
        async with listening(broker) as heard:
            await until(lambda: len(heard.newest) == 6)
        await channel.close()


async def test_names_stay_one_level_of_a_topic_and_two_names_two_topics(broker: Broker) -> None:
    with broker.started():
        channel = mqtt(broker)
        names = (HOSTILE, "a/b", "a_b", "a b")
        channel.show([seen(name) for name in names])
        await channel.send([change(HOSTILE)])
        async with listening(broker) as heard:
            await until(lambda: len(heard.newest) == 2 + 4 * len(names))
        await channel.close()
    states = {topic: said["series"] for topic, said in heard.newest.items() if topic.startswith(f"{BASE}/series/")}
    assert sorted(states.values()) == sorted(names)
    assert all(topic.count("/") == 3 and topic.isascii() for topic in states)
    configs = [(topic, said) for topic, said in heard.newest.items() if topic.startswith("homeassistant/")]
    assert all(DISCOVERED.fullmatch(topic) for topic, _ in configs)
    assert len({said["unique_id"] for _, said in configs}) == len(configs)
    assert all(len(said["device"]["name"].splitlines()) == 1 for _, said in configs)


async def test_a_wrong_password_says_where_the_right_one_belongs(broker: Broker) -> None:
    passwords = _passwords(broker.folder)
    with broker.started("allow_anonymous false", f"password_file {passwords}"):
        with pytest.raises(ServiceUnavailable, match=r"as user 'hub' \(.*EDGELOOP_MQTT_PASSWORD") as refused:
            await mqtt(broker, {"EDGELOOP_MQTT_PASSWORD": "wr0ng"}, user="hub").send([])
        assert "wr0ng" not in str(refused.value)
        right = mqtt(broker, user="hub")
        await right.send([change()])
        await right.close()
    with pytest.raises(ServiceUnavailable, match="'EDGELOOP_MQTT_PASSWORD' is empty, expected the password of 'hub'"):
        await mqtt(broker, {}, user="hub").send([])


def _passwords(folder: Path) -> Path:
    path = folder / "passwords"
    path.touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(path), "hub", "s3cret"], check=True, capture_output=True)
    return path


# The library leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_tls_checks_who_the_broker_is(
    broker: Broker, pem: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("allow_anonymous true", f"certfile {pem[0]}", f"keyfile {pem[1]}")
    with broker.started(*lines):
        channel = mqtt(broker, tls=True)
        await channel.send([change()])
        await channel.close()
        monkeypatch.delenv("SSL_CERT_FILE")
        module.tls.cache_clear()
        with pytest.raises(ServiceUnavailable, match="certificate verify failed"):
            await mqtt(broker, tls=True).send([change()])


async def test_a_broker_that_is_deaf_is_an_error_and_keeps_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(module, "GOODBYE_SECONDS", 0.05)
    ended = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        ended.set()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    channel = Mqtt(MqttSection(host="127.0.0.1", port=port), WORDS, "alarm", {})
    with pytest.raises(ServiceUnavailable, match="timed out"):
        await channel.send([change()])
    async with asyncio.timeout(30):
        await ended.wait()
    server.close()
    await server.wait_closed()


async def test_who_gives_up_waiting_leaves_no_connection_behind() -> None:
    heard, ended = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"\x20\x02\x00\x00")  # takes the connection, and nothing that comes over it
        while await reader.read(1000):
            heard.set()
        ended.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    channel = Mqtt(MqttSection(host="127.0.0.1", port=server.sockets[0].getsockname()[1]), WORDS, "alarm", {})
    sending = asyncio.create_task(channel.send([change()]))
    async with asyncio.timeout(60):
        await heard.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await ended.wait()
    server.close()
    await server.wait_closed()
