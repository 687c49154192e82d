"""What the OpenAPI description says beside the routes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from deployers.hub.problems import CODES, MEDIA, TYPE

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
    ("monitor", "Whether models and sensors in the field are well, and who is told when they are not."),
    ("shadow", "Challengers that forecast in the shadow of the active version."),
    ("deployment", "A version on to the boards, and back."),
    ("training", "Asking the training side to run, by hand and by itself."),
    ("jobs", "Work that takes longer than a request."),
    ("state", "Health, readiness, figures."),
)


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def _response(status: int, text: str, detail: str) -> dict[str, Any]:
    code, title = CODES[status], HTTPStatus(status).phrase
    example = Problem(type=TYPE + code, title=title, status=status, detail=detail, code=code)
    content = {"schema": Problem.model_json_schema(), "example": example.model_dump()}
    return {"description": text, "content": {MEDIA: content}}


DESCRIPTION: dict[str, Any] = {
    "title": "edgeloop hub",
    "version": VERSION,
    "description": TEXT,
    "openapi_tags": [{"name": name, "description": text} for name, text in TAGS],
    "responses": {
        str(status): _response(status, text, detail)
        for status, text, detail in (
            (401, "No valid token.", "no valid token, expected the header 'Authorization: Bearer TOKEN'"),
            (403, "The role of the token does not allow it.", "token 'page' may read, expected one that may deploy"),
            (404, "It is not there.", "version 7 is not installed, expected one of 3, 4: install it, or give another"),
            (409, "Not now, or not beside what is there already.", "a deployment cannot begin, forward '…' runs: wait"),
            (413, "The request is too large.", "the body is larger than 1000000 bytes: send less at a time"),
            (422, "The request does not fit.", "steps is 9: version 3 forecasts 1 to 6, give one of these"),
            (429, "Too many requests; Retry-After says when to come again.", "more than 500 requests a second: wait"),
            (503, "Not now: starting, overloaded, or something does not answer.", "the hub starts: ask again"),
        )
    },
}
