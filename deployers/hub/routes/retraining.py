"""What was asked of the training side, why, and what came of it; and asking for more."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from deployers.hub.auth import Principal, require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations when it starts
from deployers.hub.store.records import checked_name

router = APIRouter(prefix="/retraining", tags=["training"])

Deployer = Annotated[Principal, require("deploy")]
# It becomes a variable of the environment, and one line of a log.
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Request(BaseModel):
    """Which model, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"series": "board-1", "reason": "the window was replaced"}}
    )

    series: Annotated[str, Field(min_length=1, max_length=129)]
    reason: Line
    force: bool = Field(default=False, description="although it cools down, or its sensor is at fault")


@router.get("", dependencies=[require("read")])
async def retraining(hub: TheHub) -> dict[str, Any]:
    """What is allowed now of each series and why not, the budget of the week, the schedule, the last 50 requests."""
    return await hub.retraining.standing()


@router.post("", status_code=202)
async def retrain(hub: TheHub, who: Deployer, wanted: Request) -> dict[str, Any]:
    """Have a model trained again: the request, which runs or waits for another one. Its job says how it goes."""
    made = await hub.retraining.ask(checked_name(wanted.series), wanted.reason, who.name, force=wanted.force)
    return made.as_dict()
