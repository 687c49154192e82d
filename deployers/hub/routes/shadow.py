"""Challengers in the shadow of the active version: which there are, another one, and one less."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations when it starts
from deployers.hub.routes.models import Version  # noqa: TC001 - as above

router = APIRouter(tags=["shadow"])


@router.get("/shadow", dependencies=[require("read")])
async def shadow(hub: TheHub) -> dict[str, Any]:
    """Every challenger with its state, e-values, skill by day beside the champion's, and cost; those that run first."""
    return hub.shadows.view()


@router.post("/models/{version}/shadow", dependencies=[require("deploy")])
async def challenge(hub: TheHub, version: Version) -> dict[str, Any]:
    """Have this version forecast in the shadow of the active one: compared with it, heard by nobody."""
    return await hub.shadows.begin(version)


@router.delete("/models/{version}/shadow", dependencies=[require("deploy")])
async def end(hub: TheHub, version: Version) -> dict[str, Any]:
    """Have this version forecast in the shadow no more; what was found of it stays."""
    return await hub.shadows.end(version)
