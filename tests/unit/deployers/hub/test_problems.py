from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from deployers import exceptions
from deployers.exceptions import DeployerError, InputError, ServiceUnavailable
from deployers.hub.boards import UnknownBoardError
from deployers.hub.busy import BoardBusyError
from deployers.hub.client import HubClient
from deployers.hub.codes import ERRORS, code_of
from deployers.hub.problems import of_error, problem
from deployers.link import LinkLostError, LinkRefusedError

ALL = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, DeployerError)]


def body(response: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.body)
    return found


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownBoardError("x"), 404, "not_found"),
        (BoardBusyError("x"), 409, "conflict"),
        (LinkLostError("x"), 503, "unavailable"),
        (LinkRefusedError("INSTALL", -302), 502, "refused_by_board"),
        (exceptions.ReleaseError("x"), 422, "not_a_release"),
        (exceptions.InputError("x"), 422, "input"),
        (exceptions.GateFailed("x"), 422, "gate_failed"),
        (exceptions.DeploymentRunning("x"), 409, "deployment_running"),
        (HTTPException(404, "no"), 404, "not_found"),
        (HTTPException(418), 418, "error"),
    ],
)
def test_an_error_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    response = of_error(error)
    assert (response.status_code, body(response)["code"]) == (status, code)
    assert response.media_type == "application/problem+json"


@pytest.mark.parametrize("kind", [kind for kind, _, _ in ERRORS])
def test_a_client_gets_the_error_that_the_hub_had(kind: type[DeployerError]) -> None:
    import httpx

    found = of_error(kind("a board said no"))
    transport = httpx.MockTransport(lambda _: httpx.Response(found.status_code, content=found.body))
    with HubClient("http://hub", "t", transport=transport) as client, pytest.raises(DeployerError) as caught:
        client.get("/x")
    assert type(caught.value) is kind
    assert str(caught.value) == "a board said no"
    assert caught.value.exit_code == kind.exit_code


def test_the_more_special_error_comes_first() -> None:
    for place, (kind, _, _) in enumerate(ERRORS):
        assert not any(issubclass(kind, earlier) for earlier, _, _ in ERRORS[:place])
    assert {code_of(kind("x"))[0] for kind in ALL if issubclass(kind, ServiceUnavailable | InputError)} <= {
        404,
        422,
        503,
    }


@pytest.mark.parametrize("error", [DeployerError("inside"), ValueError("inside"), exceptions.HostKeyError("inside")])
def test_what_nobody_foresaw_is_told_by_an_id(error: Exception, caplog: Any) -> None:
    found = body(of_error(error))
    assert found["status"] == 500
    assert "inside" not in json.dumps(found)
    assert found["id"] in caplog.text


@given(st.text())
def test_a_detail_is_one_line_of_bounded_length(text: str) -> None:
    found = body(problem(400, text, more=1))
    assert len(found["detail"]) <= 500
    assert found["detail"].split() == text.split() or found["detail"].endswith("…")
    assert found["more"] == 1


def test_headers_of_an_error_go_with_it() -> None:
    assert of_error(HTTPException(405, headers={"Allow": "GET"})).headers["allow"] == "GET"
    assert "expected GET" in body(of_error(HTTPException(405, headers={"Allow": "GET"})))["detail"]
    assert of_error(ServiceUnavailable("x")).headers["retry-after"] == "5"
