"""What the monitor says of every series, and of one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations when it starts

router = APIRouter(prefix="/monitor", tags=["monitor"])


@router.get("", dependencies=[require("read")])
async def monitor(hub: TheHub) -> dict[str, Any]:
    """Every series with its state, its reason and its skill; those in trouble first."""
    return {"devices": await hub.monitor.devices()}


@router.get("/{series:path}", dependencies=[require("read")])
async def monitored(hub: TheHub, series: str) -> dict[str, Any]:
    """One series: each test with its numbers, errors by step ahead, and its last days."""
    return await hub.monitor.device(series)
