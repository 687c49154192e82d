"""A hub with challengers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
