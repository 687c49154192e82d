"""Is the process alive, is the hub ready, what does it count, what are its jobs doing."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from deployers.exceptions import DeployerError
from deployers.hub import metrics
from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations when it starts

if TYPE_CHECKING:
    from deployers.hub.context import Hub

router = APIRouter()

CHECK_SECONDS = 2.0
# What names the code that runs: the folder that a deployment unpacks, R/code/<sha16>/deployers/hub/routes/health.py.
REVISION = Path(__file__).resolve().parents[3].name


@router.get("/health", tags=["state"])
async def health(hub: TheHub) -> dict[str, Any]:
    """The process is alive; says nothing about its parts."""
    return {"status": "alive", "revision": REVISION, "started_ms": hub.started_ms}


@router.get("/ready", tags=["state"])
async def ready(hub: TheHub) -> JSONResponse:
    """Whether store, model and boards are up, each by itself; 503 if one is not."""
    states = {**hub.states, **(await _states(hub) if hub.is_ready else {})}
    is_ready = hub.is_ready and all(state == "up" for state in states.values())
    return JSONResponse({"ready": is_ready, "parts": states}, 200 if is_ready else 503)


@router.get("/metrics", tags=["state"], dependencies=[require("read")])
async def figures(hub: TheHub) -> Response:
    """Everything that is counted, for Prometheus."""
    watched, retraining = await hub.monitor.devices(), await hub.retraining.figures()
    return Response(hub.metrics.exposition(hub, watched, retraining), media_type=metrics.MEDIA)


@router.get("/jobs", tags=["jobs"], dependencies=[require("read")])
async def jobs(hub: TheHub, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> dict[str, Any]:
    """The newest jobs, without their logs."""
    return {"jobs": [job.as_dict(tail=0) for job in hub.jobs.list()[:limit]]}


@router.get("/jobs/{number}", tags=["jobs"], dependencies=[require("read")])
async def job(
    hub: TheHub,
    number: str,
    wait: Annotated[float, Query(ge=0, le=30, description="seconds to wait for its end")] = 0.0,
    tail: Annotated[int, Query(ge=0, le=500, description="lines of its log")] = 100,
) -> dict[str, Any]:
    """One job: state, times, what it does now, the last lines of its log, what came of it."""
    found = hub.jobs.get(number)
    if wait and found.state == "running":
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(found.ended.wait(), wait)
    return found.as_dict(tail)


async def _states(hub: Hub) -> dict[str, str]:
    """What can change after the start."""
    active = hub.catalogue.active
    return {"store": await _store(hub), "models": "up" if active else "no model is active: deploy one"}


async def _store(hub: Hub) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await hub.store.check()
    except TimeoutError:
        return f"did not answer within {CHECK_SECONDS:g} s"
    except DeployerError as error:
        return str(error)
    return "up"
