"""What comes next, from stored or from given readings."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from deployers.hub.asking import answer, parse_question
from deployers.hub.auth import require
from deployers.hub.context import Hub  # noqa: TC001 - FastAPI reads annotations when it starts

router = APIRouter(tags=["forecasts"])

JSON = "application/json"
READINGS = [
    {"time_point": "2024-05-01T11:40:00", "value": 21.4},
    {"time_point": "2024-05-01T11:50:00", "value": 21.5},
    {"time_point": "2024-05-01T12:00:00", "value": 21.5},
]
EXAMPLES: dict[str, Any] = {
    "stored": {"summary": "From the stored readings of a series", "value": {"series": "bench-1"}},
    "steps": {"summary": "The next step only", "value": {"series": "bench-1", "steps": 1}},
    "given": {"summary": "From readings in the request", "value": {"readings": READINGS}},
    "version": {"summary": "By a version that need not be active", "value": {"series": "bench-1", "version": 3}},
}


class Given(BaseModel):
    """A reading in a question."""

    model_config = ConfigDict(extra="forbid")

    time_point: str = Field(description="ISO 8601; with an offset it is converted to UTC")
    value: float = Field(description="°C")


class Question(BaseModel):
    """Either `series` or `readings`."""

    model_config = ConfigDict(extra="forbid")

    series: str | None = Field(None, description="whose stored readings to forecast from")
    readings: list[Given] | None = Field(None, description="to forecast from, a day of them or more", max_length=10_000)
    steps: int | None = Field(None, ge=1, description="how many steps; all that the model makes if not given")
    version: int | None = Field(None, ge=1, description="which model; the active one if not given")


class Forecast(BaseModel):
    """The forecast after the last reading."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "series": "bench-1",
                "source": "stored",
                "version": 3,
                "made_at": "2024-05-01T12:00:00",
                "cadence_seconds": 600,
                "times": ["2024-05-01T12:10:00", "2024-05-01T12:20:00"],
                "celsius": [21.532, 21.561],
            }
        }
    )

    series: str | None
    source: str = Field(description='"stored" or "given"')
    version: int = Field(description="of the model that made it")
    made_at: str = Field(description="grid point of the last reading")
    cadence_seconds: int
    times: list[str]
    celsius: list[float]


# FastAPI would read the body with pydantic and write the answer with it, which takes longer than all else here: the
# bytes are read and written by `deployers.hub.asking`, and the models above only describe them.
def _schema() -> dict[str, Any]:
    """Of a question, in one piece: what it refers to would be looked for elsewhere in the description."""
    schema = Question.model_json_schema()
    listed, _ = schema["properties"]["readings"]["anyOf"]  # or null
    listed["items"] = schema.pop("$defs")[Given.__name__]
    return schema


BODY = {"requestBody": {"required": True, "content": {JSON: {"schema": _schema(), "examples": EXAMPLES}}}}
ANSWERS: dict[int | str, dict[str, Any]] = {200: {"model": Forecast}}


@router.post("/predict", dependencies=[require("read")], openapi_extra=BODY, responses=ANSWERS, response_class=Response)
async def predict(request: Request) -> Response:
    """Forecast the next steps, after the last stored reading of a series or after the last of the given ones.

    For stored readings the state is carried from reading to reading, and the answer is there already. Given readings
    are run through the model from a state of zero: the more there are, the better.
    """
    hub: Hub = request.app.state.hub
    asked = parse_question(await request.body())
    made = await hub.live.predict(asked.series, asked.readings, asked.steps, asked.version)
    return Response(answer(made), media_type=JSON)
