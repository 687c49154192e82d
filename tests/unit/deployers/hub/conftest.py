"""Parts of a hub that tests of several files use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployers.hub import app
from tests.live_bench import Bench
from tests.model_shelf import Shelf


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that is starting refuses requests, and on a machine that does much else it may start for over a second."""
    monkeypatch.setattr(app, "PROMPT_SECONDS", 30.0)


@pytest.fixture
def anyio_backend() -> str:
    """The loop that the hub runs in."""
    return "asyncio"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Three versions, of which the first is active."""
    found = Bench(tmp_path)
    await found.start(1, 2, 3)
    await found.catalogue.activate(1)
    yield found
    await found.stop()


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    """Folders of a catalogue; those opened on them are closed."""
    found = Shelf(tmp_path)
    yield found
    for each in found.open_ones:
        await each.close()
