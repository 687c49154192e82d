"""A whole hub and the real firmware as a program: a challenger is carried, compared, promoted from the second slot."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from deployers.hub import app
from deployers.hub.deploying import start_deployment
from deployers.lab.firmware import provision
from deployers.lab.process import BoardProcess
from deployers.protocol.messages import Reading, SlotState
from tests import hub_models
from tests.board_image import public_point
from tests.connected_twin import until
from tests.hub_models import Kind, readings
from tests.hub_parts import settings, tokens
from tests.memory_board import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from deployers.hub.context import Hub

pytestmark = pytest.mark.anyio

BOARD = "board-1"
# The second one says twice the changes of the first.
KINDS = {1: Kind(), 2: Kind(target_scale=0.02)}
SECONDS = 120.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Hub]:
    """A hub with both versions, of which none is active, and the key of a board."""
    await hub_models.shelved(folder, KINDS)
    (folder / "boards").mkdir()
    (folder / "boards" / f"{BOARD}.key").write_bytes(KEY)
    (folder / "boards" / f"{BOARD}.key").chmod(0o600)
    boards = {"port": 0, "keys": "boards"}
    given = settings(folder, models={"image_keys": "keys"}, boards=boards, shadow={"boards": True})
    hub = app.assemble(given, tokens=tokens())
    await app.start(hub)
    try:
        yield hub
    finally:
        await app.stop(hub)


class Site:
    """The hub and its board, which is fed."""

    def __init__(self, hub: Hub, board: BoardProcess) -> None:
        self.hub, self.board, self.fed = hub, board, 0

    async def measure(self, count: int) -> None:
        """So many readings, which the hub has stored then."""
        pairs = readings(self.fed + count)[self.fed :]
        await asyncio.to_thread(self.board.send, [Reading(*pair) for pair in pairs])
        self.fed += count

        async def kept() -> int:
            return len(await self.hub.store.readings(BOARD))

        async with asyncio.timeout(SECONDS):
            while await kept() < self.fed:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.02)

    async def compared(self, count: int) -> dict[str, Any]:
        """How the board stands to the challenger once so many of its forecasts have been compared."""
        async with asyncio.timeout(SECONDS):
            while (found := self.row()["boards"][0])["forecasts"] < count:
                await self.hub.monitor.turn()
                await asyncio.sleep(0.02)
        return dict(found)

    async def deploy(self, version: int) -> None:
        """To hub and board; the board is fed meanwhile, for it must forecast in test."""
        job = await start_deployment(self.hub.jobs, self.hub.rollout, version)
        async with asyncio.timeout(SECONDS):
            while not job.ended.is_set():
                await self.measure(1)
                await asyncio.sleep(0.05)
        assert (job.state, job.error) == ("done", None)
        state = await self.hub.boards.status(BOARD)
        assert (state.slot_state, state.model_version) == (SlotState.CONFIRMED, version)

    def row(self) -> dict[str, Any]:
        (found,) = self.hub.shadows.view()["challengers"]
        return dict(found)


@asynccontextmanager
async def challenged(folder: Path) -> AsyncIterator[Site]:
    """Version 1 runs on the board, which carries version 2."""
    provision(folder / "board", KEY, public_point())
    async with running(folder) as hub:
        with BoardProcess("native", BOARD, folder / "board", hub.boards.port) as board:
            await asyncio.to_thread(board.power_on)
            site = Site(hub, board)
            await until(lambda: hub.boards.device(BOARD).online)
            await site.deploy(1)
            await hub.shadows.begin(2)
            async with asyncio.timeout(SECONDS):
                await until(lambda: site.row()["boards"][0]["state"] == "carries")
            yield site


async def test_a_board_carries_the_challenger_agrees_with_the_hub_and_is_given_it(tmp_path: Path) -> None:
    async with challenged(tmp_path) as site:
        hub, board = site.hub, site.board
        await site.measure(40)
        told = await site.compared(40)
        assert (told["state"], told["forecasts"]) == ("carries", 40)
        assert told["worst_celsius"] < 1e-4
        made = {each.time_ms: each.celsius for each in await hub.store.forecasts(BOARD, source="board", last=40)}
        beside = await hub.store.forecasts(BOARD, source="board-shadow", last=40)
        assert len(beside) == len(made) == 40
        assert all(each.celsius != made[each.time_ms] for each in beside)

        await asyncio.to_thread(board.power_off)
        await asyncio.to_thread(board.power_on)
        await until(lambda: hub.boards.device(BOARD).online)
        assert (await hub.boards.shadow(BOARD)).version == 2
        await site.measure(5)
        assert (await site.compared(45))["worst_celsius"] < 1e-4

        received = hub.boards.device(BOARD).counters.sent_bytes
        await site.deploy(2)
        image = len(hub.catalogue.image(2))
        assert hub.boards.device(BOARD).counters.sent_bytes - received < image, "it was not sent again"
        assert (await hub.boards.shadow(BOARD)).version == 0
        log = await hub.boards.log(BOARD)
        assert "challenger, version 2" in log


async def test_a_challenger_that_a_person_ends_leaves_the_board_running(tmp_path: Path) -> None:
    async with challenged(tmp_path) as site:
        hub = site.hub
        before = hub.boards.device(BOARD).counters
        connections, forecasts = before.connections, before.forecasts
        await hub.shadows.end(2)
        async with asyncio.timeout(SECONDS):
            while (await hub.boards.shadow(BOARD)).version:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.05)
        await site.measure(3)
        counters = hub.boards.device(BOARD).counters
        assert (counters.connections, counters.forecasts) == (connections, forecasts + 3), "no restart, one model"
