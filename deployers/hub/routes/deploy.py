"""A version on to the boards, board by board, and the way back; each answers with a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations when it starts
from deployers.hub.deploying import UNDER_WAY, start_deployment
from deployers.hub.jobs import BOARD_BY_BOARD, DEPLOYMENT, ROLLBACK, held
from deployers.hub.routes.devices import Version  # noqa: TC001 - as above

if TYPE_CHECKING:
    from deployers.hub.jobs import Job

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
    job = await start_deployment(hub.jobs, hub.rollout, wanted.version, wanted.boards, wanted.failures_max)
    return job.as_dict()


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
