"""Asking the training side to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads annotations when it starts
from deployers.hub.training import TRAINING

if TYPE_CHECKING:
    from deployers.hub.jobs import Job

router = APIRouter(tags=["training"])

Name = Annotated[str, Field(min_length=1, max_length=100)]
# No NaN and no infinity: JSON has neither, and a job that holds one could not be shown again.
Value = Annotated[str, Field(max_length=1000)] | bool | int | Annotated[float, Field(allow_inf_nan=False)]


class Training(BaseModel):
    """Parameters for a webhook or a ZenML trigger; a command takes none from outside."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"parameters": {"horizon": 6}}})

    parameters: Annotated[dict[Name, Value], Field(max_length=50)] = Field(default_factory=dict)


@router.post("/train", status_code=202, dependencies=[require("deploy")])
async def train(hub: TheHub, wanted: Annotated[Training | None, Body()] = None) -> dict[str, Any]:
    """Start a training, one at a time. Answers with a job."""
    hub.training.require()
    parameters = wanted.parameters if wanted else {}

    async def work(job: Job) -> dict[str, Any]:
        return await hub.training.run(job, parameters)

    return (await hub.jobs.start("train", {"parameters": parameters}, work, {TRAINING})).as_dict()
