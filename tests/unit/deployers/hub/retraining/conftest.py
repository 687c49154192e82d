"""A retrainer on a store, jobs and small commands of its own, under a clock that a test sets."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployers.hub.jobs import Jobs
from deployers.hub.retraining.service import Retrainer
from deployers.hub.settings import RetrainingSection
from deployers.hub.store import Store
from deployers.hub.training import Training
from deployers.protocol.messages import Reading
from tests.hub_parts import settings
from tests.retraining import BEGIN_MS, DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from deployers.hub.monitor.watch import Findings
    from deployers.hub.store.retrainings import Retraining

SECONDS = 20.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Says:
    """A monitor that says what a test has put there."""

    def __init__(self) -> None:
        self.found: dict[str, Findings] = {}

    async def findings(self) -> dict[str, Findings]:
        return self.found


class Bench:
    """A hub's parts around a retrainer; `restart` stands for a hub that was killed and starts again."""

    def __init__(self, root: Path) -> None:
        self.root, self.now_ms, self.says = root, BEGIN_MS, Says()
        self.store = Store(f"sqlite:///{root / 'hub.db'}", lambda: self.now_ms / 1000)
        self.jobs = Jobs(root / "jobs", lambda: self.now_ms)
        self.retrainer: Retrainer

    @property
    def gate(self) -> Path:
        """A command of `held` ends once this file is there."""
        return self.root / "gate"

    async def open(self) -> None:
        await self.store.open()
        await self.jobs.open()
        self.retrainer = self.make("")

    async def close(self) -> None:
        await self.jobs.close()
        await self.retrainer.stop()
        await self.store.close()

    def make(self, code: str, **given: Any) -> Retrainer:
        """The retrainer, whose command is some Python; it is not started."""
        train = given.pop("train", {"kind": "command", "command": (sys.executable, "-c", code, str(self.gate))})
        training = Training(settings(self.root, train=train), {"PATH": os.environ["PATH"]})
        wanted = RetrainingSection.model_validate({"enabled": True, "least_days": 3, **given})
        monitor: Any = self.says
        self.retrainer = Retrainer(self.store, monitor, training, self.jobs, wanted, clock=lambda: self.now_ms / 1000)
        return self.retrainer

    async def readings(self, *names: str, days: int = 5) -> None:
        for name in names:
            await self.store.keep_readings(name, [Reading(day * DAY_MS, 20_000_000) for day in range(days)])

    def wait(self, hours: float) -> None:
        self.now_ms += round(hours * HOUR_MS)

    async def rows(self) -> list[Retraining]:
        return (await self.store.retrainings(100))[::-1]

    async def until(self, found: Callable[[list[Retraining]], bool]) -> list[Retraining]:
        """The requests, once they are so."""
        async with asyncio.timeout(SECONDS):
            while not found(rows := await self.rows()):  # noqa: ASYNC110 - it is another task that writes them
                await asyncio.sleep(0.01)
        return rows

    async def ended(self, number: int) -> Retraining:
        """A request that is not open any more."""

        def is_ended(rows: list[Retraining]) -> bool:
            return any(row.id == number and row.state not in {"waiting", "running"} for row in rows)

        rows = await self.until(is_ended)
        # The end is stored a moment before the next one may begin.
        async with asyncio.timeout(SECONDS):
            while self.retrainer._running is not None:  # noqa: ASYNC110, SLF001 - nothing else tells it
                await asyncio.sleep(0.01)
        return next(row for row in rows if row.id == number)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    found = Bench(tmp_path)
    await found.open()
    yield found
    await found.close()
