"""Where rollouts over the fleet stand, as the deployer told this hub; and telling it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations when it starts
from deployers.hub.fleet import Map  # noqa: TC001 - as above

router = APIRouter(prefix="/fleet", tags=["deployment"])


@router.get("", dependencies=[require("read")])
async def fleet(hub: TheHub) -> dict[str, Any]:
    """The newest map of each partition that this hub was told of: waves, devices and their states, and when."""
    return await hub.maps.view()


@router.put("", dependencies=[require("deploy")])
async def tell(hub: TheHub, told: Map) -> dict[str, Any]:
    """Keep this map in the place of the one of its partition, for people to see; nothing else comes of it."""
    kept = await hub.maps.keep(told)
    return {"partition": kept.partition, "told_ms": kept.told_ms}
