"""What the lab asks a running hub by REST, as any client of it would."""

from __future__ import annotations

from typing import Any, Self

import httpx

from deployers.conversion.stream import MICRODEGREES
from deployers.exceptions import ServiceUnavailable
from deployers.lab.comparison import Live
from deployers.protocol.messages import Reading

PAGE = 1000
SECONDS = 20.0
# As the hub names them, and as comparisons do.
SOURCES = {"hub": "LiteRT", "board": "board"}


class HubRest:
    """A hub.

    Args:
        url: http://host:port.
        token: of role read or more.
        transport: another way to the hub than TCP.
    """

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(
            base_url=url, headers=headers, timeout=SECONDS, trust_env=False, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """A JSON object.

        Raises:
            ServiceUnavailable: the hub does not answer, or refuses.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        try:
            answer = self._client.get(path, params=given)
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._failure(path, str(error).partition("\n")[0]) from None
        if not isinstance(found, dict):
            raise self._failure(path, f"{str(found)[:80]!r} is no JSON object")
        return found

    def live(self, board: str, version: int) -> Live:
        """All readings of a board, and the forecasts that a version made at them."""
        forecasts = {name: self.forecasts(board, source, version) for source, name in SOURCES.items()}
        return Live(board, version, tuple(self.readings(board)), forecasts)

    def _failure(self, path: str, reason: str) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"hub {self._url!r} does not answer GET {path} ({reason}): python -m deployers.lab logs"
        )

    def readings(self, series: str) -> list[Reading]:
        """All that it has of a series."""
        found, cursor = list[Reading](), None
        while True:
            page = self.get("/temperatures", series=series, limit=PAGE, cursor=cursor)
            rows = page["temperatures"]
            found += [Reading(row["time_ms"], round(row["value"] * MICRODEGREES)) for row in rows]
            cursor = page["next"]
            if cursor is None:
                return found

    def forecasts(self, series: str, source: str, version: int | None = None) -> dict[int, tuple[float, ...]]:
        """All that a source made at a series, by a version or by all of them, by the time of the reading in ms."""
        found, until = dict[int, tuple[float, ...]](), None
        while True:
            page = self.get("/forecasts", series=series, source=source, version=version, limit=PAGE, until=until)
            rows = page["forecasts"]
            found |= {row["time_ms"]: tuple(row["celsius"]) for row in rows}
            if len(rows) < PAGE:
                return found
            until = min(rows, key=lambda row: row["time_ms"])["time_point"]
