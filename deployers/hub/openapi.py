"""What the OpenAPI description says beside the routes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from deployers.hub.problems import MEDIA, TYPE

VERSION = "1"
TEXT = """
Readings from microcontrollers come in, forecasts go out, and models go on to the boards.

Every request but `/health`, `/ready`, `/openapi.json` and the page itself needs a token: `Authorization: Bearer
TOKEN`. A token has a role, and each role may all that the one before it may: `read`, `write`, `deploy`. Every
error is `application/problem+json`; programs read its `code`.
What takes longer than a request answers 202 with a job.
"""
TAGS = (
    ("forecasts", "What comes next, from stored or from given readings."),
    ("readings", "Stored temperatures."),
    ("models", "Versions on this hub."),
    ("devices", "Boards behind this hub, one by one."),
    ("deployment", "A version on to the boards, and back."),
    ("training", "Asking the training side to run."),
    ("jobs", "Work that takes longer than a request."),
    ("state", "Health, readiness, figures."),
)


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": f"{TYPE}not_found",
                "title": "Not Found",
                "status": 404,
                "detail": "version 7 is not on this hub, expected one of 3, 4: install it first",
                "code": "not_found",
            }
        }
    )

    type: str
    title: str
    status: int
    detail: str
    code: str


def _response(text: str) -> dict[str, Any]:
    return {"description": text, "content": {MEDIA: {"schema": Problem.model_json_schema()}}}


DESCRIPTION: dict[str, Any] = {
    "title": "edgeloop hub",
    "version": VERSION,
    "description": TEXT,
    "openapi_tags": [{"name": name, "description": text} for name, text in TAGS],
    "responses": {
        "401": _response("No valid token."),
        "403": _response("The role of the token does not allow it."),
        "422": _response("The request does not fit."),
        "429": _response("Too many requests; Retry-After says when to come again."),
        "503": _response("Not now: starting, overloaded, or something does not answer."),
    },
}
