"""Alerts on a real store and a real monitor, told to real servers: across restarts, kills and servers that are away."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
from typing import TYPE_CHECKING, Any

import pytest

from deployers.exceptions import InputError, ServiceUnavailable
from deployers.hub.alerts import service as module
from deployers.hub.alerts.service import Alerts
from deployers.hub.settings import Settings
from deployers.hub.store import StoredForecast, StoredReading
from tests.alerting import HOUR_MS, START_MS, mail_server
from tests.answering import answering
from tests.connected_twin import until
from tests.monitoring import CADENCE_MS
from tests.programs import free_port
from tests.unit.deployers.hub.monitor.conftest import Field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from deployers.hub.monitor.service import Monitor
    from tests.answering import Answering

pytestmark = pytest.mark.anyio


class Place:
    """A hub without its REST interface, that can be started again and again on one store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.field = folder, Field(f"sqlite:///{folder / 'hub.db'}")
        self.monitor: Monitor | None = None
        self.alerts: Alerts | None = None
        self.time_ms = START_MS

    async def start(self, text: str) -> None:
        """Start it with these tables."""
        settings = Settings.parse(
            f'[alerts]\nname = "jetson-1"\npage = "https://j/"\n{text}', self.folder / "c" / "x.toml"
        )
        self.monitor = await self.field.monitor()
        self.alerts = Alerts(settings, self.field.store, self.monitor, {}, lambda: self.field.now)
        await self.alerts.start()

    async def stop(self) -> None:
        """Stop it."""
        if self.alerts is not None:
            await self.alerts.stop()

    async def measure(self, celsius: float, times: int, *series: str, forecast: bool = False) -> None:
        """Readings at the cadence, one value after the other a hundredth apart."""
        events: list[StoredReading | StoredForecast] = []
        for at in range(times):
            self.time_ms += CADENCE_MS
            micro, received = round(celsius * 1e6) + 10_000 * (at % 2), self.time_ms + 1000
            for name in series or ("board-1",):
                events.append(StoredReading(0, name, self.time_ms, micro, received))
                if forecast:
                    events.append(StoredForecast(name, "hub", self.time_ms, 1, 0, (celsius,) * 3, received))
        await self.field.arrive(events)
        await self.look()

    async def look(self) -> None:
        """What the tasks do after some seconds."""
        assert self.monitor is not None
        assert self.alerts is not None
        while await self.monitor.turn():
            pass
        await self.alerts.look()

    async def told(self) -> None:
        """Wait until nothing waits, and all of it is kept."""
        assert self.alerts is not None
        senders: Any = self.alerts._senders  # noqa: SLF001 - `as_dict` does not say what is not kept
        await until(lambda: all(not each._ledger.waiting and not each._unkept for each in senders))  # noqa: SLF001


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr(module, "EVERY_SECONDS", 3600.0)  # the tests look
    monkeypatch.setattr("deployers.hub.alerts.sender.RETRY_SECONDS_MAX", 0.05)
    found = Place(tmp_path)
    async with found.field.store:
        yield found
        await found.stop()


def webhook(url: str, *lines: str) -> str:
    return "\n".join([*lines, f'[alerts.webhook]\nurl = "{url}/hook"\n'])


def events(server: Answering) -> list[tuple[str, str, str]]:
    """What was told, as event, series and level."""
    return [
        (each["event"], each["series"], each["level"]) for request in server.requests for each in request.body["alerts"]
    ]


async def test_a_rise_a_repeat_and_the_end_are_told_and_nothing_else(place: Place) -> None:
    with answering(lambda _: (200, {})) as server:
        await place.start(webhook(server.url))
        await place.measure(20, 3)
        await place.measure(99, 1)
        await place.told()
        assert server.requests == [], "a warning is below the level"
        await place.measure(99, 4)
        await place.told()
        assert events(server) == [("raised", "board-1", "alarm")]
        (told,) = server.requests[0].body["alerts"]
        assert (told["hub"], told["test"], told["link"]) == ("jetson-1", "range", "https://j/")
        assert told["since"] == "2024-05-01T13:00:00"
        assert told["reason"] == "99.01 °C, expected -40 to 85 °C"
        assert told["numbers"] == {"celsius": 99.01, "lowest": -40.0, "highest": 85.0}
        await place.measure(99, 24 * 6)
        await place.told()
        assert events(server)[1:] == [("repeat", "board-1", "alarm")]
        await place.measure(20, 6)
        await place.told()
        assert events(server)[2:] == [("resolved", "board-1", "ok")]


async def test_what_was_told_is_not_told_again_after_a_restart(place: Place) -> None:
    with answering(lambda _: (200, {})) as server:
        await place.start(webhook(server.url))
        await place.measure(99, 3)
        await place.told()
        for _ in range(2):
            await place.stop()
            await place.start(webhook(server.url))
            await place.look()
            await place.told()
        assert events(server) == [("raised", "board-1", "alarm")]
        await place.stop()
        await place.start(webhook(server.url))
        await place.measure(20, 6)
        await place.told()
        assert events(server)[1:] == [("resolved", "board-1", "ok")]
        await place.stop()
        await place.start(webhook(server.url))
        await place.look()
        assert len(events(server)) == 2


async def test_a_restart_is_no_end_of_a_silence(place: Place) -> None:
    with answering(lambda _: (200, {})) as server:
        await place.start(webhook(server.url, "repeat_hours = 0"))
        await place.measure(20, 12, forecast=True)
        place.field.now += 25 * HOUR_MS / 1000
        await place.look()
        await place.told()
        assert [told["test"] for told in server.requests[0].body["alerts"]] == ["gaps"]
        await place.stop()
        await place.start(webhook(server.url, "repeat_hours = 0"))
        await place.look()
        place.field.now += 30 * HOUR_MS / 1000
        await place.look()
        await place.told()
        assert len(server.requests) == 1


async def test_a_kill_between_sending_and_keeping_repeats(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> None:
        msg = "disk full"
        raise ServiceUnavailable(msg)

    with answering(lambda _: (200, {})) as server:
        with monkeypatch.context() as broken:
            broken.setattr(place.field.store, "keep_told", full)
            await place.start(webhook(server.url))
            await place.measure(99, 3)
            await until(lambda: server.requests)
            await place.stop()
        await place.start(webhook(server.url))
        await place.look()
        await place.told()
        assert events(server) == [("raised", "board-1", "alarm")] * 2


async def test_a_server_that_is_away_for_a_while_is_told_everything(place: Place) -> None:
    status = 503
    with answering(lambda _: (status, {})) as server:
        await place.start(webhook(server.url))
        await place.measure(99, 3)
        await place.measure(20, 6)
        await until(lambda: len(server.requests) >= 3)
        server.requests.clear()
        status = 200
        await until(lambda: not place.alerts.channels()[0]["waiting"])  # type: ignore[union-attr]
        assert events(server)[-2:] == [("raised", "board-1", "alarm"), ("resolved", "board-1", "ok")]


async def test_a_power_cut_of_fifty_sensors_is_one_mail(place: Place) -> None:
    names = [f"board-{at:02}" for at in range(50)]
    async with mail_server() as mails:
        await place.start(
            f'[alerts.smtp]\nhost = "127.0.0.1"\nport = {mails.port}\nsecurity = "none"\ngather_seconds = 0\n'
            'sender = "hub@example.org"\nrecipients = ["ops@example.org"]\n'
        )
        await place.measure(20, 3, *names, forecast=True)
        place.field.now += 25 * HOUR_MS / 1000
        await place.look()
        await place.told()
    ((_, content),) = mails.kept
    said = email.message_from_bytes(content, policy=email.policy.default)
    assert said["Subject"].startswith("[jetson-1] 50 in trouble: board-00, ")
    assert sum("gaps alarm: no reading for 25.0 hours" in line for line in said.get_content().splitlines()) == 50


async def test_a_channel_that_hangs_delays_no_other_and_not_the_monitor(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, answering(lambda _: (200, {})) as server:
        port = deaf.getsockname()[1]
        await place.start(
            webhook(server.url)
            + f'[alerts.mqtt]\nhost = "127.0.0.1"\nport = {port}\n[alerts.smtp]\nhost = "127.0.0.1"\nport = {port}\n'
            'security = "none"\nsender = "hub@x"\nrecipients = ["ops@x"]\ngather_seconds = 0\n'
        )
        for series in ("a", "b"):
            await place.measure(99, 3, series)
            await until(lambda: any(each[1] == series for each in events(server)))  # noqa: B023 - waited for here
        waiting = {each["channel"]: each["waiting"] for each in place.alerts.channels()}  # type: ignore[union-attr]
        assert waiting["smtp"] == 2
        async with asyncio.timeout(60):
            await place.stop()


async def test_each_channel_remembers_by_itself(place: Place) -> None:
    port = free_port()
    with answering(lambda _: (200, {})) as server:
        text = webhook(server.url) + (
            f'[alerts.smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nsender = "hub@x"\n'
            'recipients = ["ops@x"]\ngather_seconds = 0\n'
        )
        await place.start(text)
        await place.measure(99, 3)
        await until(lambda: place.alerts.channels()[0]["sent"])  # type: ignore[union-attr]
        await until(lambda: place.alerts.channels()[1]["failures"])  # type: ignore[union-attr]
        await place.stop()
        async with mail_server(port) as mails:
            await place.start(text)
            await place.look()
            await place.told()
        assert len(mails.kept) == 1
        assert len(server.requests) == 1


async def test_a_trial_says_of_each_channel_how_it_went(place: Place) -> None:
    with answering(lambda _: (200, {})) as server:
        await place.start(webhook(server.url) + f'[alerts.mqtt]\nhost = "127.0.0.1"\nport = {free_port()}\n')
        assert place.alerts is not None
        hook, mqtt = await place.alerts.try_out()
        assert (hook["channel"], hook["ok"], hook["error"]) == ("webhook", True, None)
        assert (mqtt["channel"], mqtt["ok"]) == ("mqtt", False)
        assert "does not take it" in mqtt["error"]
        (told,) = server.requests[0].body["alerts"]
        assert (told["event"], told["reason"]) == ("test", module.TRIED)
        await place.stop()
        await place.start(webhook(server.url))
        await place.look()
        assert len(server.requests) == 1


async def test_without_channels_there_is_nothing_to_try(place: Place) -> None:
    await place.start("")
    assert place.alerts is not None
    assert place.alerts.channels() == []
    with pytest.raises(InputError, match=r"no channel of alerts is there, expected \[alerts.webhook\].*add one"):
        await place.alerts.try_out()


async def test_a_monitor_that_fails_once_is_asked_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.001)
    with answering(lambda _: (200, {})) as server:
        await place.start(webhook(server.url))
        assert place.monitor is not None
        seen, failures = place.monitor.seen, [ServiceUnavailable("away"), ZeroDivisionError()]

        async def flaky() -> Any:
            if failures:
                raise failures.pop()
            return await seen()

        monkeypatch.setattr(place.monitor, "seen", flaky)
        await place.field.arrive([])
        await until(lambda: not failures)
        await place.measure(99, 3)
        await until(lambda: server.requests)
