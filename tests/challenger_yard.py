"""A hub's boards on real connections, and who has them carry challengers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from deployers.hub.boards import Boards
from deployers.hub.jobs import Jobs
from deployers.hub.keys import KeyFolder
from deployers.hub.shadow.carrying import Carrying, Wanted
from tests.board_firmware import Firmware, powered
from tests.connected_twin import Kept, until
from tests.hub_parts import MemoryCatalogue

if TYPE_CHECKING:
    from pathlib import Path

    from deployers.hub.monitor.models import Carried

NAMES = ("board-1", "board-2")
FIRST, SECOND = Wanted(2, 1000), Wanted(3, 2000)


class Yard:
    """A hub's boards, of which version 1 runs on each, and who has them carry challengers."""

    def __init__(self, folder: Path) -> None:
        for number, name in enumerate(NAMES):
            (folder / f"{name}.key").write_bytes(bytes([number + 1]) * 32)
            (folder / f"{name}.key").chmod(0o600)
        self.boards = Boards(KeyFolder(folder), Kept(), port=0)
        self.catalogue, self.jobs = MemoryCatalogue(1, 2, 3, active=1), Jobs(folder / "jobs")
        self.wanted: list[Wanted] = [FIRST]
        self.said: dict[str, Carried] = {}
        self.forgotten: list[int] = []
        self.fleet: dict[str, Firmware] = {}
        self.stack = AsyncExitStack()
        self.begin()

    def begin(self) -> None:
        """A hub that has just been started."""
        monitor: Any = SimpleNamespace(carried=self.said.get)
        catalogue: Any = self.catalogue
        self.carrying = Carrying(self.boards, catalogue, self.jobs, monitor)
        self.carrying._wanted = lambda: self.wanted  # noqa: SLF001 - `start` would begin the task, too

    async def power(self, name: str) -> Firmware:
        """A board connects."""
        found = await self.stack.enter_async_context(powered(self.boards, name, bytes([int(name[-1])]) * 32))
        found.second.version_of = lambda image: int(image.split()[1])
        self.fleet[name] = found
        return found

    def carried(self) -> list[int]:
        """By each board."""
        return [each.second.challenger.version for each in self.fleet.values()]

    def told(self, version: int = 2) -> list[tuple[str, str]]:
        """State and reason by board."""
        return [(row["state"], row["reason"]) for row in self.carrying.rows(version)]

    async def again(self, name: str) -> None:
        """A board loses its connection and is back."""
        firmware = self.fleet[name]
        before = firmware.connections
        firmware.connected.cut()
        await until(lambda: firmware.connections > before)
        await until(lambda: self.boards.device(name).online)

    async def deploying(self, *holds: str) -> asyncio.Event:
        """A job that holds these, until the event is set."""
        end = asyncio.Event()

        async def work(_: Any) -> dict[str, Any]:
            await end.wait()
            return {}

        await self.jobs.start("forward", {}, work, holds)
        return end
