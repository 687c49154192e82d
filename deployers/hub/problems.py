"""Every error as `application/problem+json` (RFC 9457): type, title, status, detail, and the code that clients read."""

from __future__ import annotations

import json
import logging
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from deployers.exceptions import DeployerError
from deployers.hub.codes import code_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI, Request

_log = logging.getLogger(__name__)

MEDIA = "application/problem+json"
TYPE = "urn:edgeloop:problem:"
# Values a client sent are not sent back at any length.
DETAIL_MAX = 500
FAULTS_MAX = 20
NO_OBJECT = frozenset({"model_attributes_type", "model_type", "dict_type", "missing"})

CODES = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "media_type",
    422: "invalid",
    429: "too_many",
    500: "internal",
    503: "unavailable",
}


def problem(
    status: int, detail: str, code: str | None = None, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """A response that says what was wrong.

    Args:
        status: of HTTP.
        detail: one line for people.
        code: one word for programs; that of the status if not given.
        headers: added to the response.
        more: further members.
    """
    word = code or CODES.get(status, "error")
    body = {
        "type": TYPE + word,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _line(detail),
        "code": word,
        **more,
    }
    return Response(json.dumps(body), status, dict(headers or {}), MEDIA)


def of_error(error: Exception) -> Response:
    """The response to any exception; of one that nobody foresaw, only an id goes out, under which the log has it."""
    if isinstance(error, HTTPException):
        return problem(error.status_code, _said(error), None, error.headers)
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, DeployerError):
        status, code = code_of(error)
        if status < 500 or code != "internal":
            retry = {"Retry-After": "5"} if status == 503 else None
            return problem(status, str(error), code, retry)
    return _internal(error)


def install(app: FastAPI) -> None:
    """Have the application answer every error of its routes like this."""

    async def answer(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            error.headers = {"Allow": _methods(app, request, error.headers or {})}
        return of_error(error)

    for kind in (HTTPException, RequestValidationError, DeployerError):
        app.add_exception_handler(kind, answer)


def _methods(app: FastAPI, request: Request, said: Mapping[str, str]) -> str:
    """All that an address takes: the framework names those of its first route only."""
    described = app.openapi()["paths"].items()
    there = [methods for path, methods in described if compile_path(path)[0].match(request.scope["path"])]
    first = said.get("Allow", "").split(", ")
    return ", ".join(sorted({method.upper() for methods in (first, *there) for method in methods} - {""}))


def _internal(error: Exception) -> Response:
    number = secrets.token_hex(8)
    _log.error("internal error %s", number, exc_info=error)
    return problem(500, f"internal error, the hub's log has it under id {number}", id=number)


def _said(error: HTTPException) -> str:
    """The detail; of what the framework refuses by itself, what to do instead."""
    if error.status_code == 400:  # the framework's own words, as for JSON that is nested too deeply
        return "the body cannot be read, expected JSON as the OpenAPI description has it"
    if error.detail != HTTPStatus(error.status_code).phrase:
        return str(error.detail)
    if error.status_code == 405:
        return f"this address does not take that method, expected {(error.headers or {}).get('Allow', 'another')}"
    return f"{error.detail.lower()}: /openapi.json lists every address and what it takes"


def _invalid(faults: Sequence[Any]) -> Response:
    """What is wrong with each field; never the value itself, which may be a secret or of any length."""
    named = [{"where": _where(fault), "what": _line(str(fault["msg"]))} for fault in faults[:FAULTS_MAX]]
    if any(fault["type"] == "json_invalid" for fault in faults):
        return problem(400, "the body is no JSON, expected an object as the OpenAPI description has it", errors=named)
    if any(fault["loc"] == ("body",) and fault["type"] in NO_OBJECT for fault in faults):
        detail = "the body is no JSON object, expected one, sent with the header 'Content-Type: application/json'"
        return problem(422, detail, errors=named)
    if any(fault["loc"] == ("body",) and fault["type"] == "list_type" for fault in faults):
        detail = "the body is no JSON list, expected one, sent with the header 'Content-Type: application/json'"
        return problem(422, detail, errors=named)
    first = f"{named[0]['where']}: {named[0]['what']}" if named else "the request does not fit"
    return problem(422, f"{first} (see /openapi.json)", errors=named)


def _where(fault: Any) -> str:
    return _line(".".join(str(part) for part in fault["loc"]))


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= DETAIL_MAX else line[: DETAIL_MAX - 1] + "…"
