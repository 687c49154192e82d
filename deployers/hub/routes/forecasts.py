"""Stored forecasts by REST, of the boards, of the hub itself, and of challengers on it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads the annotations
from deployers.hub.export import time_point
from deployers.hub.routes.temperatures import PAGE, PAGE_MAX, time_ms
from deployers.hub.store import StoredForecast  # noqa: TC001 - as above

router = APIRouter(prefix="/forecasts", tags=["forecasts"])


class Forecast(BaseModel):
    """One stored forecast: `celsius` are the values at 1, 2, … steps after `time_point`."""

    series: str
    source: str
    time_point: str
    time_ms: int
    version: int
    slot_state: int
    celsius: list[float]
    received_ms: int

    @classmethod
    def of(cls, stored: StoredForecast) -> Self:
        """Of what the store has."""
        return cls(
            series=stored.series,
            source=stored.source,
            time_point=time_point(stored.time_ms),
            time_ms=stored.time_ms,
            version=stored.version,
            slot_state=stored.slot_state,
            celsius=list(stored.celsius),
            received_ms=stored.received_ms,
        )


class Forecasts(BaseModel):
    """Forecasts in the order of the times that they were made at."""

    forecasts: list[Forecast]


class ForecastQuery(BaseModel):
    """Which forecasts are wanted: the newest of one series."""

    model_config = ConfigDict(extra="forbid")

    series: str = Field(max_length=129, description="name: a board's id, or user/tag")
    source: Literal["board", "hub", "shadow", "board-shadow"] | None = None
    since: str | None = Field(None, max_length=64, description="not made before this time")
    until: str | None = Field(None, max_length=64, description="made before this time")
    version: int | None = Field(None, ge=0, lt=2**32, description="of this image version only")
    limit: int = Field(PAGE, ge=1, le=PAGE_MAX, description="the newest so many")


@router.get("", dependencies=[require("read")])
async def list_forecasts(hub: TheHub, query: Annotated[ForecastQuery, Query()]) -> Forecasts:
    """The newest stored forecasts of one series.

    Older ones: `until` the time of the first of these, with source and version given, for then each time is there once.
    """
    since, until = (None if text is None else time_ms(text) for text in (query.since, query.until))
    found = await hub.store.forecasts(
        query.series, source=query.source, version=query.version, since_ms=since, until_ms=until, last=query.limit
    )
    return Forecasts(forecasts=[Forecast.of(stored) for stored in found])
