"""What the lab asks a hub by REST: every page of it, and one line when the hub does not answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from deployers.exceptions import ServiceUnavailable
from deployers.lab import rest
from deployers.lab.rest import HubRest
from deployers.protocol.messages import Reading

ROWS = 7


class Hub:
    """Has so many readings and forecasts, and gives them in pages as the real one does."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        asked = request.url.params
        limit = int(asked["limit"])
        if request.url.path == "/temperatures":
            first = int(asked.get("cursor", 0))
            rows = [{"time_ms": 1000 * n, "value": 20 + n / 16} for n in range(first, min(first + limit, ROWS))]
            following = first + limit
            return httpx.Response(
                200, json={"temperatures": rows, "next": str(following) if following < ROWS else None}
            )
        until = int(asked.get("until", ROWS))
        rows = [_forecast(n, asked["source"], int(asked["version"])) for n in range(max(0, until - limit), until)]
        return httpx.Response(200, json={"forecasts": rows})


def _forecast(number: int, source: str, version: int) -> dict[str, Any]:
    value = float(number) + (100 if source == "hub" else 0) + 1000 * version
    return {"time_ms": 1000 * number, "time_point": str(number), "celsius": [value, value]}


@pytest.mark.parametrize("page", [1, 2, 3, 7, 100])
def test_every_page_is_read(monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(rest, "PAGE", page)
    with HubRest("http://hub", "t", httpx.MockTransport(Hub())) as hub:
        live = hub.live("board-1", 2)
    assert live.readings == tuple(Reading(1000 * n, 20_000_000 + n * 62_500) for n in range(ROWS))
    assert live.forecasts["board"] == {1000 * n: (2000.0 + n, 2000.0 + n) for n in range(ROWS)}
    assert live.forecasts["LiteRT"] == {1000 * n: (2100.0 + n, 2100.0 + n) for n in range(ROWS)}


def test_the_token_goes_in_the_header_and_never_in_the_address() -> None:
    asked = Hub()
    with HubRest("http://hub", "secret", httpx.MockTransport(asked)) as hub:
        hub.live("board-1", 2)
    assert {request.headers["authorization"] for request in asked.asked} == {"Bearer secret"}
    assert not any("secret" in str(request.url) for request in asked.asked)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: httpx.Response(503, json={"title": "starting"}),
        lambda _: httpx.Response(200, text="<html>"),
        lambda _: httpx.Response(200, json=[1, 2]),
        lambda _: httpx.Response(200, json=None),
        lambda _: httpx.Response(307, headers={"Location": "http://elsewhere/"}),
        lambda request: (_ for _ in ()).throw(httpx.ReadTimeout("timed out", request=request)),
        lambda request: (_ for _ in ()).throw(httpx.ConnectError("refused", request=request)),
    ],
)
def test_a_hub_that_does_not_answer_is_one_line(answer: Any) -> None:
    with (
        HubRest("http://hub", "secret", httpx.MockTransport(answer)) as hub,
        pytest.raises(ServiceUnavailable, match=r"hub 'http://hub' does not answer GET /models .*lab logs") as raised,
    ):
        hub.get("/models")
    assert "secret" not in str(raised.value)
