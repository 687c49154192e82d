"""Changes by HTTP, to a real server."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from deployers.exceptions import ServiceUnavailable
from deployers.hub.alerts.settings import WebhookSection
from deployers.hub.alerts.webhook import Webhook
from tests.alerting import HOSTILE, WORDS, change
from tests.answering import answering
from tests.programs import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.answering import Answering

pytestmark = pytest.mark.anyio


@pytest.fixture
def serve() -> Iterator[Callable[[int], Answering]]:
    """Starts a server that answers with a status."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda status: stack.enter_context(answering(lambda _: (status, {})))


def hook(server: str, token: str = "") -> Webhook:
    return Webhook(WebhookSection(url=f"{server}/hook"), WORDS, {"EDGELOOP_ALERTS_TOKEN": token})


async def test_all_that_changed_together_is_one_request(serve: Any) -> None:
    server = serve(200)
    remark = await hook(server.url, "t0ken").send([change(), change(HOSTILE, "resolved", "ok")])
    (request,) = server.requests
    assert remark == ""
    assert (request.method, request.path, request.headers["Authorization"]) == ("POST", "/hook", "Bearer t0ken")
    assert request.headers["Content-Type"] == "application/json"
    assert (request.body["schema"], request.body["hub"]) == (1, "jetson-1")
    assert [each["series"] for each in request.body["alerts"]] == ["board-1", HOSTILE]
    assert request.body["text"].startswith("[jetson-1] 1 in trouble, 1 well again: board-1, ")


async def test_without_a_token_none_is_sent(serve: Any) -> None:
    server = serve(204)
    await hook(server.url).send([change()])
    assert "Authorization" not in server.requests[0].headers


@pytest.mark.parametrize("status", [302, 401, 404, 500])
async def test_any_other_answer_is_an_error_without_the_address(serve: Any, status: int) -> None:
    server = serve(status)
    with pytest.raises(ServiceUnavailable, match=rf"answers with status {status}, expected 200.*ALERTS_TOKEN") as error:
        await hook(server.url).send([change()])
    assert "/hook" not in str(error.value)


async def test_a_server_that_is_away_is_an_error() -> None:
    with pytest.raises(ServiceUnavailable, match=r"'127.0.0.1:\d+' does not answer"):
        await hook(f"http://127.0.0.1:{free_port()}").send([change()])


async def test_a_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployers.hub.alerts.webhook.ANSWER_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(ServiceUnavailable, match="does not answer"):
            await hook(url).send([change()])
