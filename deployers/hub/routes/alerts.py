"""How the channels of alerts are, and a message over each of them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations when it starts

router = APIRouter(prefix="/alerts", tags=["monitor"])


@router.get("", dependencies=[require("read")])
async def alerts(hub: TheHub) -> dict[str, Any]:
    """What is told, and each channel: what waits, when it last took something, what went wrong last."""
    section = hub.settings.alerts
    return {"level": section.level, "repeat_hours": section.repeat_hours, "channels": hub.alerts.channels()}


@router.post("/test", dependencies=[require("deploy")])
async def test(hub: TheHub) -> dict[str, Any]:
    """Send a message over every channel, now and once; answers with how it went, by channel."""
    return {"channels": await hub.alerts.try_out()}
