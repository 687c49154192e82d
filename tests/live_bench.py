"""A hub's forecasts with its models on disk, and a store that a test can read and break."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployers.hub.catalogue import Catalogue
from deployers.hub.live import Live
from deployers.protocol.messages import Reading
from tests import hub_models
from tests.hub_models import Kind, upload
from tests.hub_parts import MemoryStore

if TYPE_CHECKING:
    from deployers.hub.store import StoredForecast

SERIES = "bench-1"


class ReadableStore(MemoryStore):
    """The store in memory, with its readings.

    Attributes:
        asked: how often readings were read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def readings(self, series: str, *, until_ms: int, last: int) -> list[Reading]:
        self.asked += 1
        await self.check()
        known = sorted(self.kept.get(series, {}).values(), key=lambda each: each.time_ms)
        return [each for each in known if each.time_ms < until_ms][-last:]


class Bench:
    """Versions 1 and 2, which are two models; 3 is the first one again."""

    KINDS = {1: Kind(), 2: Kind(target_scale=0.02), 3: Kind()}  # noqa: RUF012 - never changed

    def __init__(self, folder: Path) -> None:
        self.store: Any = ReadableStore()
        self.catalogue = Catalogue(folder / "models", hub_models.keys(folder / "keys"), clock=lambda: 5.0)
        self.live = Live(self.catalogue, self.store, clock=lambda: 7.0)
        self.folder = folder

    async def start(self, *versions: int) -> None:
        await self.catalogue.open()
        for version in versions:
            if version not in {view.version for view in self.catalogue.models()}:
                await self.catalogue.install(upload(self.folder / f"up{version}", version, self.KINDS[version]))
        await self.live.start()

    async def stop(self) -> None:
        await self.live.stop()
        await self.catalogue.close()

    async def restarted(self) -> Bench:
        """The hub ends and begins again, with what is on its disk."""
        await self.stop()
        again = Bench(self.folder)
        again.store = again.live._store = self.store  # noqa: SLF001
        await again.start()
        return again

    async def came(self, pairs: list[tuple[int, int]], series: str = SERIES) -> list[StoredForecast]:
        """Readings that are stored, then forecast at."""
        new = [Reading(*each) for each in pairs]
        await self.store.keep_readings(series, new)
        return await self.live.on_readings(series, new)

    def expected(self, pairs: list[tuple[int, int]], version: int = 1) -> Any:
        return pytest.approx(hub_models.expected(pairs, self.KINDS[version])[-1].tolist(), abs=1e-5)
