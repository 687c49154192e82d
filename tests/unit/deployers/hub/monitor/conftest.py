"""A monitor on a store of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from deployers.exceptions import NotFound
from deployers.hub.monitor.service import Monitor
from deployers.hub.settings import MonitorSection
from deployers.hub.store import Store, StoredForecast, StoredReading
from deployers.protocol.messages import Reading
from tests.monitoring import CADENCE_MS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Installed:
    """A catalogue with versions 1 and 2."""

    def __init__(self) -> None:
        self.active: Any = None
        self.parts: Any = SimpleNamespace(tensors=())
        self.report: dict[str, Any] = {
            "chosen": "int8",
            "types": {"int8": {"metrics": {"mae": 0.12, "by_horizon": [{"mae": 0.1}, {"mae": 0.12}, {"mae": 0.14}]}}},
        }

    def view(self, version: int) -> Any:
        if version not in {1, 2}:
            msg = f"version {version!r} is not installed"
            raise NotFound(msg)
        return SimpleNamespace(cadence_seconds=CADENCE_MS // 1000, agreement_celsius=0.01)

    def installed(self, version: int) -> Any:
        self.view(version)
        return SimpleNamespace(fidelity=self.report, parts=self.parts)


class Field:
    """A store, what arrives in it, and monitors on it."""

    def __init__(self, url: str) -> None:
        self.url, self.catalogue, self.now = url, Installed(), 0.0
        self.store = Store(url, lambda: self.now)

    async def arrive(self, events: Iterable[StoredReading | StoredForecast]) -> None:
        """Keep them; readings and forecasts each in their order, received when they say."""
        for each in events:
            if isinstance(each, StoredReading):
                self.now = each.received_ms / 1000
                await self.store.keep_readings(each.series, [Reading(each.time_ms, each.microcelsius)])
            else:
                await self.store.keep_forecasts([each])

    async def monitor(self, **settings: Any) -> Monitor:
        """One that has looked at everything; it is not left running."""
        catalogue: Any = self.catalogue
        found = Monitor(self.store, catalogue, MonitorSection(**settings), lambda: self.now)
        await found.start()
        await found.stop()
        while await found.turn():
            pass
        return found


@pytest.fixture
async def field(tmp_path: Path) -> AsyncIterator[Field]:
    found = Field(f"sqlite:///{tmp_path / 'hub.db'}")
    async with found.store:
        yield found
