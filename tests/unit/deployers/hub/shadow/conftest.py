"""A hub with challengers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.board_firmware import CONFIRMED
from tests.challenger_yard import NAMES, Yard
from tests.shadow_hall import Hall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.live_bench import Bench


@pytest.fixture
async def hall(bench: Bench, tmp_path: Path) -> AsyncIterator[Hall]:
    found = await Hall(bench, tmp_path).start()
    yield found
    await found.stop()


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    """Two boards that are connected."""
    found = Yard(tmp_path)
    await found.jobs.open()
    async with found.stack:
        await found.stack.enter_async_context(found.boards)
        for name in NAMES:
            (await found.power(name)).state = replace(CONFIRMED, model_version=1)
        for name in NAMES:
            await found.boards.status(name)
        yield found
        await found.jobs.close()
