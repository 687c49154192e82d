"""A whole hub and a board that carries a challenger: from the link to the verdict; only the firmware is not real."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import generate_latest

from deployers.hub import app
from deployers.protocol.image import parse_image
from deployers.protocol.messages import Forecast, Message, Reading, Readings, SlotState
from tests import hub_models
from tests.board_firmware import CONFIRMED, Firmware, powered
from tests.board_twin import KEY
from tests.connected_twin import until
from tests.hub_models import Kind, readings
from tests.hub_parts import settings, tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from deployers.hub.context import Hub

pytestmark = pytest.mark.anyio

BOARD = "board-1"
KINDS = {1: Kind(), 2: Kind(target_scale=0.02)}


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A hub's folder with two versions, of which the first is active, and the key of a board."""
    await hub_models.shelved(tmp_path, KINDS, active=1)
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / f"{BOARD}.key").write_bytes(KEY)
    (tmp_path / "boards" / f"{BOARD}.key").chmod(0o600)
    return tmp_path


class Site:
    """A hub that runs, and its board, on which the same things happen at every reading."""

    def __init__(self, hub: Hub, firmware: Firmware) -> None:
        self.hub, self.firmware, self.came = hub, firmware, 0

    async def measure(self, count: int, off: float = 0.0) -> None:
        """Readings, each after the board's forecasts at it; that of its challenger is off by so much."""
        pairs = readings(self.came + count)
        made = {version: hub_models.expected(pairs, kind) for version, kind in KINDS.items()}
        for number in range(self.came, self.came + count):
            await self._forecast(number, 1, SlotState.CONFIRMED, made[1][number], pairs)
            if self.firmware.second.challenger.version:
                await self._forecast(number, 2, SlotState.SHADOW, made[2][number] + off, pairs)
            message = Readings(number, number, (Reading(*pairs[number]),)).encode()
            await self.firmware.connected.send(Message.READINGS, message)
            await self.firmware.connected.wait(lambda board, there=number + 1: board.acknowledged == there)
        self.came += count
        for _ in range(2):  # challengers step behind
            await self.hub.live.on_readings("settles", [])
        while await self.hub.monitor.turn():
            pass
        await self.hub.shadows.turn()

    async def _forecast(self, number: int, version: int, state: SlotState, celsius: Any, pairs: Any) -> None:
        message = Forecast(number, version, pairs[number][0], state, tuple(map(float, celsius))).encode()
        await self.firmware.connected.send(Message.FORECAST, message)

    async def challenged(self) -> None:
        """Version 2 has begun, and the board carries it."""
        await self.hub.shadows.begin(2)
        await until(lambda: self.row()["boards"][0]["state"] == "carries")

    def row(self) -> dict[str, Any]:
        (found,) = self.hub.shadows.view()["challengers"]
        return dict(found)


@asynccontextmanager
async def running(folder: Path, firmware: Firmware | None = None, **shadow: Any) -> AsyncIterator[Site]:
    """A hub, and a board with what another one had in its slot."""
    boards = {"port": 0, "keys": "boards"}
    given = settings(folder, models={"image_keys": "keys"}, boards=boards, shadow={"boards": True, **shadow})
    hub = app.assemble(given, tokens=tokens())
    await app.start(hub)
    assert hub.is_ready, hub.fatal
    async with powered(hub.boards) as found:
        found.state = replace(CONFIRMED, model_version=1)
        found.second.version_of = lambda image: parse_image(image).version
        if firmware is not None:
            found.second = firmware.second
        await connected_anew(hub, found)
        yield Site(hub, found)
    await app.stop(hub)
    assert "challengers on boards" not in {task.get_name() for task in asyncio.all_tasks()}


async def connected_anew(hub: Hub, firmware: Firmware) -> None:
    before = firmware.connections
    firmware.connected.cut()
    await until(lambda: firmware.connections > before and hub.boards.device(BOARD).online)


async def test_forecasts_of_board_and_hub_by_the_challenger_are_compared(folder: Path) -> None:
    async with running(folder) as site:
        await site.challenged()
        assert site.firmware.image == site.hub.catalogue.image(2)
        await site.measure(30)
        (told,) = site.row()["boards"]
        assert (told["board"], told["state"], told["forecasts"], told["reason"]) == (BOARD, "carries", 30, "")
        assert 0 <= told["worst_celsius"] < 1e-4
        assert site.row()["is_running"] is True


async def test_a_board_that_answers_otherwise_ends_it_before_it_could_be_promoted(folder: Path) -> None:
    async with running(folder, promote="automatic") as site:
        await site.challenged()
        await site.measure(10)
        await site.measure(23, off=0.5)
        assert (site.row()["is_running"], site.row()["boards"][0]["forecasts"]) == (True, 33)
        await site.measure(1, off=0.5)
        row = site.row()
        assert (row["state"], row["is_running"], row["boards"]) == ("ended", False, [])
        assert row["reason"] == (
            "board 'board-1' answers otherwise than the hub: 24 forecasts in a row differ, by 0.5 °C at most, "
            "allowed are 0.01 °C"
        )
        async with asyncio.timeout(20):  # not with the next turn, which comes after a minute
            await until(lambda: not site.firmware.second.challenger.version)
        assert site.firmware.requests.count(Message.REVERT) == 1
        await site.measure(3)
        # It begins again with no forecasts of before.
        await site.challenged()
        await site.measure(3)
        assert (site.row()["is_running"], site.row()["boards"][0]["forecasts"]) == (True, 3)


async def test_a_restarted_hub_goes_on_with_what_the_board_carries_and_what_was_compared(folder: Path) -> None:
    async with running(folder) as site:
        await site.challenged()
        await site.measure(20, off=0.5)
    async with running(folder, site.firmware) as again:
        assert again.row()["boards"][0]["forecasts"] == 20
        await again.hub.shadows.turn()
        carrying = again.hub.shadows._carrying  # noqa: SLF001 - it would have its turn after a minute
        assert carrying is not None
        await carrying.turn()
        assert again.row()["boards"][0]["state"] == "carries"
        assert Message.TRANSFER_BEGIN not in again.firmware.requests
        again.came = site.came
        again.firmware.connected.board.acknowledged = site.came
        await again.measure(4, off=0.5)
        assert again.row()["state"] == "ended"
        assert again.row()["reason"].startswith("board 'board-1' answers otherwise than the hub: 24 forecasts in a row")


async def told(folder: Path, off: float, **shadow: Any) -> dict[str, Any]:
    """All that a hub tells of a board whose challenger, if it carries it, is off by so much."""
    async with running(folder, **shadow) as site:
        await site.hub.shadows.begin(2)
        if shadow.get("boards", True):
            await until(lambda: site.firmware.second.challenger.version)
        await site.measure(40, off)
        hub = site.hub
        sources = ("board", "hub", "shadow", "board-shadow")
        kept = {source: await hub.store.forecasts(BOARD, source=source) for source in sources}
        lines = generate_latest(hub.metrics.registry).decode().splitlines()
        findings = await hub.monitor.findings()
        names = ("edgeloop_live_error_celsius", "edgeloop_forecasts_total")
        return {
            "kept": {source: {(made.version, made.slot_state) for made in found} for source, found in kept.items()},
            "monitor": await hub.monitor.devices(),
            "findings": [each for each in findings[BOARD].findings if each.part != "sensor"],
            "days": {(day.source, day.version) for day in await hub.store.watch_days(BOARD, 0)},
            "deployment": [made.source for made in await hub.rollout._made_in_test(BOARD, 2)],  # noqa: SLF001
            "answer": await hub.live.predict(BOARD),
            "figures": dict(line.rsplit(" ", 1) for line in lines if line.startswith(names)),
            "counters": hub.boards.device(BOARD).counters.forecasts,
        }


async def test_nothing_else_sees_what_a_board_forecasts_with_its_challenger(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other", ignore=shutil.ignore_patterns("other"))
    without = await told(tmp_path / "other", 0.0, boards=False)
    beside = await told(folder, 5.0)
    assert beside["kept"].pop("board-shadow") == {(2, SlotState.SHADOW)}
    assert without["kept"].pop("board-shadow") == set()
    assert beside["figures"].pop('edgeloop_forecasts_total{source="board-shadow"}') == "40.0"
    assert (beside.pop("counters"), without.pop("counters")) == (80, 40)
    (agreement,) = [each for each in beside["findings"] if each.test == "agreement"]
    assert (agreement.level, agreement.numbers["compared"]) == ("ok", 40)
    assert float(beside["figures"]['edgeloop_live_error_celsius{source="board"}']) > 0
    assert beside == without


async def test_it_stays_on_the_board_when_it_becomes_active_and_goes_when_a_person_ends_it(folder: Path) -> None:
    async with running(folder) as site:
        await site.challenged()
        await site.hub.catalogue.activate(2)
        await site.hub.shadows.turn()
        assert site.row()["reason"] == "it is active now"
        carrying = site.hub.shadows._carrying  # noqa: SLF001 - it would have its turn after a minute
        assert carrying is not None
        await carrying.turn()
        assert site.firmware.second.challenger.version == 2
        assert Message.REVERT not in site.firmware.requests
        await site.hub.catalogue.activate(1)
        await site.hub.shadows.begin(2)
        await until(lambda: site.row()["boards"][0]["state"] == "carries")
        await site.hub.shadows.end(2)
        await until(lambda: not site.firmware.second.challenger.version)


async def test_its_promotion_installs_what_the_board_has(folder: Path) -> None:
    """The deployment's own transfer finds every byte there."""
    async with running(folder) as site:
        await site.challenged()
        site.firmware.after_restart = replace(CONFIRMED, slot_state=SlotState.TEST, model_version=2)
        await site.measure(3)
        site.firmware.requests.clear()
        from deployers.hub.deploying import start_deployment

        job = await start_deployment(site.hub.jobs, site.hub.rollout, 2)
        await until(lambda: is_in_test(site))
        assert Message.TRANSFER_CHUNK not in site.firmware.requests
        message = Forecast(2, 2, readings(3)[2][0], SlotState.TEST, await own(site)).encode()
        await site.firmware.connected.send(Message.FORECAST, message)
        await asyncio.wait_for(job.ended.wait(), 30)
        assert (job.state, job.error) == ("done", None)
        assert Message.REVERT not in site.firmware.requests


def is_in_test(site: Site) -> bool:
    """The board is back and says so."""
    state = site.hub.boards.device(BOARD).state
    return state is not None and state.slot_state is SlotState.TEST


async def own(site: Site) -> tuple[float, ...]:
    """What the hub forecasts with version 2 at the third reading."""
    found = await site.hub.live.forecast_at(BOARD, readings(3)[2][0], 2)
    assert found is not None
    return found


async def test_hubs_that_do_not_say_so_ask_no_board_and_tell_of_none(folder: Path) -> None:
    async with running(folder, boards=False) as site:
        await site.hub.shadows.begin(2)
        await site.measure(2)
        assert (site.row()["boards"], site.row()["is_running"]) == ([], True)
        assert site.hub.shadows._carrying is None  # noqa: SLF001 - what does not exist does nothing
        site.firmware.second.challenger = replace(site.firmware.second.challenger, version=9)
        await connected_anew(site.hub, site.firmware)
        await site.hub.shadows.end(2)
        await asyncio.sleep(0.05)
        assert Message.SHADOW not in site.firmware.requests
        assert site.firmware.second.challenger.version == 9
        text = generate_latest(site.hub.metrics.registry)
        assert b"board-shadow" not in text
