"""The hub's state beside one that is rebuilt: a real model on a real store, day after day."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from deployers.exceptions import ServiceUnavailable
from deployers.hub.catalogue import Catalogue
from deployers.hub.live import Live
from deployers.hub.monitor import service
from deployers.hub.monitor.service import Monitor
from deployers.hub.settings import MonitorSection
from deployers.hub.store import Store
from deployers.protocol.messages import Reading
from tests import hub_models

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from deployers.hub.monitor.levels import Finding

pytestmark = pytest.mark.anyio
DAY = 144  # readings
SERIES = "attic"


class Days:
    """A hub that forecasts with a model of its own and watches itself, a day at a time."""

    def __init__(self, folder: Path) -> None:
        self.now, self._come = hub_models.START_MS / 1000, 0
        self.store = Store(f"sqlite:///{folder / 'hub.db'}", lambda: self.now)
        self.catalogue = Catalogue(folder / "models", hub_models.keys(folder / "keys"))
        self.live = Live(self.catalogue, self.store, lambda: self.now)
        self.monitor = Monitor(self.store, self.catalogue, MonitorSection(), lambda: self.now)

    async def pass_one(self, disturbance: float = 0.0, series: str = SERIES) -> None:
        """A day comes, and is looked at."""
        await self.come(disturbance, series)
        while await self.monitor.turn():
            pass
        await self.monitor.check_state()

    async def come(self, disturbance: float = 0.0, series: str = SERIES) -> None:
        """A day, before whose last reading something is done to the state."""
        come = [Reading(*each) for each in hub_models.readings(DAY, self._come)]
        self._come += DAY
        self.now = come[-1].time_ms / 1000
        await self.store.keep_readings(series, come)
        await self.live.on_readings(series, come[:-1])
        track: Any = self.catalogue.active.tracks[series]  # type: ignore[union-attr]
        track._state = [part + part.dtype.type(disturbance) for part in track._state]  # noqa: SLF001
        await self.live.on_readings(series, come[-1:])

    async def says(self, series: str = SERIES) -> Finding:
        """What the test says of a series."""
        [found] = [each for each in (await self.monitor.findings())[series].findings if each.test == "state"]
        return found

    async def is_compared(self) -> bool:
        """Whether the test has said anything yet."""
        return SERIES in await self.monitor.findings() and (await self.says()).numbers["compared"] == 1


@pytest.fixture
async def days(tmp_path: Path) -> AsyncIterator[Days]:
    found = Days(tmp_path)
    await found.catalogue.open()
    await found.catalogue.install(hub_models.upload(tmp_path / "up", 1, hub_models.Kind(target_scale=0.5)))
    await found.catalogue.activate(1)
    async with found.store:
        await found.live.start()
        await found.monitor.start()
        await found.monitor.stop()  # its turns are taken here
        yield found
        await found.monitor._restarts.stop()  # noqa: SLF001
        await found.live.stop()
    await found.catalogue.close()


async def test_a_state_that_has_run_for_days_says_what_a_rebuilt_one_says(days: Days) -> None:
    for _ in range(8):
        await days.pass_one()
    said = await days.says()
    assert (said.level, said.reason, said.numbers["apart"], said.numbers["compared"]) == ("ok", "", 0, 8)
    assert said.numbers["celsius"] == pytest.approx(0, abs=1e-5)


async def test_a_state_that_remembers_something_else_is_told(days: Days) -> None:
    levels = []
    for _ in range(5):
        await days.pass_one(disturbance=1.0)
        levels.append((await days.says()).level)
    assert levels == ["ok", "warning", "warning", "alarm", "alarm"]
    said = await days.says()
    assert said.part == "model"
    assert said.reason.startswith("the hub's state differs from one rebuilt from its readings: by ")
    await days.pass_one()
    assert (await days.says()).level == "ok"


async def test_each_series_has_its_turn_once_a_day(days: Days) -> None:
    await days.pass_one()
    await days.pass_one(series="cellar")
    for _ in range(3):
        await days.monitor.check_state()
    assert [(await days.says(name)).numbers["compared"] for name in (SERIES, "cellar")] == [1, 1]


async def test_what_was_not_compared_is_compared_later_or_left_for_a_day(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(error: Exception) -> None:
        async def at_newest(_: str) -> None:
            raise error

        with monkeypatch.context() as broken:
            broken.setattr(days.monitor._restarts, "at_newest", at_newest)  # noqa: SLF001
            with pytest.raises(type(error)):
                await days.pass_one()

    await fails(ServiceUnavailable("disk full"))
    await days.monitor.check_state()
    assert (await days.says()).numbers["compared"] == 1
    await fails(ValueError("a cell that does not step"))
    await days.monitor.check_state()
    assert (await days.says()).numbers["compared"] == 1, "others have their turn"
    await days.pass_one()
    assert (await days.says()).numbers["compared"] == 2


async def test_forecasts_at_two_readings_are_not_compared(days: Days) -> None:
    """The newest one is of a reading that has been deleted since, or that a state begun later does not take."""
    await days.come()
    [newest] = await days.store.forecasts(SERIES, last=1)
    await days.store.keep_forecasts([replace(newest, time_ms=newest.time_ms + hub_models.CADENCE_MS)])
    assert await days.monitor._restarts.at_newest(SERIES) is None  # noqa: SLF001


async def test_it_is_compared_without_being_asked(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "EVERY_SECONDS", 0.01)
    await days.come()
    await days.monitor.start()
    async with asyncio.timeout(60):
        while not await days.is_compared():  # noqa: ASYNC110 - it is looked at from outside
            await asyncio.sleep(0.01)
    await days.monitor.stop()


async def test_another_version_begins_a_comparison_of_its_own(days: Days, tmp_path: Path) -> None:
    for _ in range(2):
        await days.pass_one(disturbance=1.0)
    assert (await days.says()).level == "warning"
    await days.catalogue.install(hub_models.upload(tmp_path / "up2", 2, hub_models.Kind(target_scale=0.02)))
    await days.catalogue.activate(2)
    await days.pass_one()
    said = await days.says()
    assert (said.level, said.numbers["compared"]) == ("ok", 1)
