"""A version on to the boards, board by board, and the way back; each answers with a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations when it starts
from deployers.hub.jobs import BOARD_BY_BOARD, DEPLOY, DEPLOYMENT, ROLLBACK
from deployers.hub.routes.devices import Version, held

if TYPE_CHECKING:
    from deployers.hub.jobs import Job

# A deployer brings boards forward one by one: the hub's version is not changed under it.
UNDER_WAY = "a deployment cannot begin"

router = APIRouter(tags=["deployment"], dependencies=[require("deploy")])

Board = Annotated[str, Field(min_length=1, max_length=16)]
Boards = Annotated[list[Board], Field(min_length=1, max_length=1000)]


class Deployment(BaseModel):
    """What is wanted."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"version": 3, "boards": ["board-1"]}})

    version: Version
    boards: Boards | None = Field(None, description="which; all that are online if not given")
    failures_max: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="boards that may fail before it stops")


class Return(BaseModel):
    """Which boards go back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"boards": ["board-1"]}})

    boards: Boards | None = Field(None, description="which; all that are online if not given")


@router.post("/deploy", status_code=202)
async def deploy(hub: TheHub, wanted: Deployment) -> dict[str, Any]:
    """Have the hub run a version that is installed here, then each board: forward, test, compare, confirm or revert."""
    hub.jobs.require_none(BOARD_BY_BOARD, UNDER_WAY)
    hub.catalogue.view(wanted.version)
    boards = hub.rollout.wanted(wanted.boards)
    hub.rollout.require_not_older(wanted.version, boards)

    async def work(job: Job) -> dict[str, Any]:
        return await hub.rollout.deploy(job, wanted.version, wanted.boards, wanted.failures_max)

    about = {"version": wanted.version, "boards": boards}
    return (await hub.jobs.start(DEPLOY, about, work, {DEPLOYMENT, *map(held, boards)})).as_dict()


@router.post("/rollback", status_code=202)
async def rollback(hub: TheHub, wanted: Annotated[Return | None, Body()] = None) -> dict[str, Any]:
    """Have the hub and the boards run the model before the active one, from the image that was signed for that."""
    hub.jobs.require_none(BOARD_BY_BOARD, UNDER_WAY)
    chosen = wanted.boards if wanted else None
    version, boards = hub.rollout.way_back(), hub.rollout.wanted(chosen)

    async def work(job: Job) -> dict[str, Any]:
        return await hub.rollout.rollback(job, chosen)

    about = {"version": version, "boards": boards}
    return (await hub.jobs.start(ROLLBACK, about, work, {DEPLOYMENT, *map(held, boards)})).as_dict()
