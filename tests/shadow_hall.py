"""A hub's challengers with models on disk, jobs and no boards; days come by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from deployers.hub.jobs import Jobs
from deployers.hub.metrics import Metrics
from deployers.hub.rollout import ConfirmedSince, Rollout
from deployers.hub.shadow.service import Shadows
from tests.hub_parts import MemoryBoards, settings
from tests.live_bench import SERIES, Bench
from tests.shadowing import both

if TYPE_CHECKING:
    from pathlib import Path

DAY = 20_000


class Hall:
    """A hub with models, challengers, jobs, and no boards; days come by hand.

    Attributes:
        now: seconds since 1970.
    """

    def __init__(self, bench: Bench, folder: Path, **rules: Any) -> None:
        self.bench, self.folder, self.rules, self.now = bench, folder, rules, 1000.0
        found = settings(folder, models={"folder": "models"}, **rules)
        self.jobs, self.metrics, boards = Jobs(folder / "jobs"), Metrics(), MemoryBoards()
        since = ConfirmedSince(folder / "boards.json")
        self.rollout: Any = Rollout(bench.catalogue, boards, bench.store, bench.live, since, 1.0)  # type: ignore[arg-type]
        self.shadows = Shadows(
            found,
            bench.store,
            bench.catalogue,
            bench.live,
            jobs=self.jobs,
            rollout=self.rollout,
            metrics=self.metrics,
            clock=lambda: self.now,
        )

    async def start(self) -> Hall:
        await self.jobs.open()
        await self.shadows.start()
        return self

    async def stop(self) -> None:
        await self.jobs.close()
        await self.shadows.stop()

    async def restarted(self, *, is_killed: bool = False) -> Hall:
        """The hub ends, or is killed, and begins again with what is on its disk."""
        if is_killed:
            await self.shadows.stop()
        else:
            await self.stop()
        again = Hall(await self.bench.restarted(), self.folder, **self.rules)
        return await again.start()

    def days(self, apart: list[float], first: int = DAY, versions: tuple[int, int] = (1, 2)) -> None:
        """Days that are over, on which the challenger was better by so much, and one under way, from a day on."""
        there = self.bench.store.days
        there[:] = [(name, d) for name, d in there if d.day < first or d.version not in versions]
        for number, each in enumerate(apart):
            there += both(SERIES, first + number, 0.3, 0.3 + each, versions)
        there += both(SERIES, first + len(apart), versions=versions)

    def row(self, version: int = 2) -> dict[str, Any]:
        return next(row for row in self.shadows.view()["challengers"] if row["version"] == version)

    def listed(self) -> list[int]:
        found: list[int] = json.loads((self.folder / "models" / "challengers.json").read_bytes())["versions"]
        return found

    async def ended_jobs(self) -> list[Any]:
        for job in self.jobs.list():
            await job.ended.wait()
        return list(self.jobs.list())
