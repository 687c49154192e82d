"""Readings by REST: store, list, correct, remove, export.

Field names are those of the prototype's table: time_point, value, user, tag, id.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from deployers.exceptions import Conflict, InputError
from deployers.hub.auth import require
from deployers.hub.context import TheHub  # noqa: TC001 - FastAPI reads the annotations
from deployers.hub.export import EPOCH, csv_chunks, time_point
from deployers.hub.store import Filter, Kept, Place, SeriesView, StoredReading, series_name
from deployers.protocol.messages import Reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

router = APIRouter(prefix="/temperatures", tags=["readings"])

# Beyond what any thermometer for rooms, weather or machines gives: 293 is Kelvin. What is plausible for a room, the
# data pipeline's gate says.
LOWEST, HIGHEST = -100.0, 200.0
BULK_MAX = 10_000
PAGE, PAGE_MAX = 100, 1000
# The same as the data pipeline takes from CSV files.
TIME_TEXT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)? ?(?:[Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII)
TIME_EXPECTED = "expected ISO 8601 such as '2024-01-31T08:00:00' or '2024-01-31T08:00:00+01:00'"
# The data pipeline's parser ends in 2262: one later time would make the whole exported file unreadable.
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
CURSOR = re.compile(r"(\d{1,15})-(\d{1,15})", re.ASCII)
EXAMPLE: dict[str, JsonValue] = {
    "time_point": "2024-01-31T08:00:00",
    "value": 19.2,
    "user": "living_room",
    "tag": "indoor",
}

Celsius = Annotated[float, Field(strict=True, ge=LOWEST, le=HIGHEST, allow_inf_nan=False, description="°C")]
Text = Annotated[str, Field(strict=True, max_length=64)]
Id = Annotated[int, Path(ge=1, lt=2**63, description="id of a stored reading")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": EXAMPLE})


class Temperature(_Body):
    """A reading as it is sent; a time without offset is taken as UTC, or as whatever wall clock the series has."""

    time_point: Text
    value: Celsius
    user: Text
    tag: Text = ""

    def parsed(self) -> tuple[str, Reading]:
        """Its series, and the reading itself.

        Raises:
            InputError: a time, or a name, that a reading cannot have.
        """
        return series_name(self.user, self.tag), Reading(time_ms(self.time_point), round(self.value * 1e6))


class Correction(BaseModel):
    """The right value of a reading."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"value": 19.3}})

    value: Celsius


class StoredTemperature(BaseModel):
    """A stored reading."""

    id: int
    series: str
    time_point: str
    time_ms: int
    value: float
    user: str
    tag: str

    @classmethod
    def of(cls, stored: StoredReading) -> Self:
        """Of what the store has."""
        user, _, tag = stored.series.partition("/")
        return cls(
            id=stored.id,
            series=stored.series,
            time_point=time_point(stored.time_ms),
            time_ms=stored.time_ms,
            value=stored.celsius,
            user=user,
            tag=tag,
        )


class Temperatures(BaseModel):
    """One page of readings; `next` is the cursor of the page after it."""

    temperatures: list[StoredTemperature]
    next: str | None


class BulkResult(BaseModel):
    """How many readings were new, were there with this value, or were there with another one, which stays."""

    new: int
    already: int
    different: int

    @classmethod
    def of(cls, kept: Kept) -> Self:
        """Of what the store did."""
        return cls(new=kept.new, already=kept.already, different=kept.different)


class Series(BaseModel):
    """One series; who keeps a copy reads only ids above its `last_id` for as long as store and revision stay."""

    series: str
    user: str
    tag: str
    readings: int
    first: str | None
    last: str | None
    last_id: int
    revision: int
    different: int
    store: str

    @classmethod
    def of(cls, view: SeriesView) -> Self:
        """Of what the store says."""
        first, last = (None if at is None else time_point(at) for at in (view.first_ms, view.last_ms))
        return cls(
            series=view.series,
            user=view.user,
            tag=view.tag,
            readings=view.readings,
            first=first,
            last=last,
            last_id=view.last_id,
            revision=view.revision,
            different=view.different,
            store=view.store,
        )


class AllSeries(BaseModel):
    """Every series that was asked for."""

    series: list[Series]


class Which(BaseModel):
    """Which series are wanted."""

    model_config = ConfigDict(extra="forbid")

    series: str | None = Field(None, max_length=129, description="name: a board's id, or user/tag")
    user: str | None = Field(None, max_length=64)
    tag: str | None = Field(None, max_length=64)

    def filter(self) -> Filter:
        """For the store."""
        return Filter(self.series, self.user, self.tag)


class Span(Which):
    """Which readings are wanted."""

    since: str | None = Field(None, max_length=64, description="not before this time")
    until: str | None = Field(None, max_length=64, description="before this time")

    def filter(self) -> Filter:
        """For the store.

        Raises:
            InputError: a time that is none.
        """
        since, until = (None if text is None else time_ms(text) for text in (self.since, self.until))
        return Filter(self.series, self.user, self.tag, since, until)


class PageQuery(Span):
    """A page of them."""

    limit: int = Field(PAGE, ge=1, le=PAGE_MAX)
    order: Literal["asc", "desc"] = Field("asc", description="within a series: by time, or newest first")
    cursor: str | None = Field(None, max_length=40, description="`next` of the page before")

    def place(self) -> Place | None:
        """Where the page before ended.

        Raises:
            InputError: not a cursor.
        """
        if self.cursor is None:
            return None
        found = CURSOR.fullmatch(self.cursor)
        if found is None:
            msg = f"cursor {self.cursor!r}: expected 'next' of the page before, leave it out for the first page"
            raise InputError(msg)
        return Place(int(found[1]), int(found[2]))


class ExportQuery(Span):
    """All of them, or what is new to a copy."""

    after_id: int | None = Field(None, ge=0, lt=2**63, description="with higher ids only")
    upto_id: int | None = Field(None, ge=0, lt=2**63, description="with ids up to this one only")

    def filter(self) -> Filter:
        """For the store.

        Raises:
            InputError: a time that is none.
        """
        span = super().filter()
        return Filter(span.series, span.user, span.tag, span.since_ms, span.until_ms, self.after_id, self.upto_id)


KNOWN: dict[int | str, dict[str, Any]] = {200: {"model": StoredTemperature, "description": "It is stored already"}}


@router.post("", status_code=201, dependencies=[require("write")], responses=KNOWN)
async def store_temperature(hub: TheHub, temperature: Temperature, response: Response) -> StoredTemperature:
    """Store one reading. Sent again, it is answered with 200 and changes nothing; with another value, with 409."""
    series, reading = temperature.parsed()
    new = await hub.store.keep_readings(series, [reading])
    hub.metrics.readings.labels("rest").inc(new)
    stored = await hub.store.reading_at(series, reading.time_ms)
    if not new and stored.microcelsius != reading.microcelsius:
        msg = (
            f"series {series!r} has {stored.celsius!r} at {temperature.time_point!r}, not {temperature.value!r}: "
            f"the first stays, PATCH /temperatures/{stored.id} corrects it"
        )
        raise Conflict(msg)
    if new:
        if await hub.store.readings(series, since_ms=reading.time_ms + 1, last=1):
            hub.live.forget(series)  # it came late: the state is of later readings, and is rebuilt with it
        else:
            await hub.sink.forecast(series, (reading,))
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/temperatures/{stored.id}"
    return StoredTemperature.of(stored)


@router.post("/bulk", dependencies=[require("write")])
async def store_temperatures(
    hub: TheHub, temperatures: Annotated[list[Temperature], Field(min_length=1, max_length=BULK_MAX)]
) -> BulkResult:
    """Store up to 10,000 readings, or none of them if one is no reading; says how many were new.

    Where another value is stored at a time already, that one stays, and `different` counts it.
    """
    parsed = [temperature.parsed() for temperature in temperatures]
    kept = await hub.store.keep(parsed)
    hub.metrics.readings.labels("rest").inc(kept.new)
    if kept.new:
        for series in {series for series, _ in parsed}:
            hub.live.forget(series)
    return BulkResult.of(kept)


@router.get("", dependencies=[require("read")])
async def list_temperatures(hub: TheHub, query: Annotated[PageQuery, Query()], response: Response) -> Temperatures:
    """Stored readings by series and time, in pages; the header Link and `next` lead to the next one."""
    rows, place = await hub.store.page(query.filter(), query.limit, query.place(), newest_first=query.order == "desc")
    cursor = None if place is None else f"{place.series_id}-{place.time_ms}"
    if cursor is not None:
        again = {**query.model_dump(exclude_none=True, exclude_defaults=True), "cursor": cursor}
        response.headers["Link"] = f'</temperatures?{urlencode(again)}>; rel="next"'
    return Temperatures(temperatures=[StoredTemperature.of(row) for row in rows], next=cursor)


@router.get("/series", dependencies=[require("read")])
async def list_series(hub: TheHub, query: Annotated[Which, Query()]) -> AllSeries:
    """Every series with its number of readings, its times, and what tells a copy that it is out of date."""
    return AllSeries(series=[Series.of(view) for view in await hub.store.series(query.filter())])


@router.get("/export.csv", dependencies=[require("read")], response_class=StreamingResponse)
async def export_temperatures(hub: TheHub, query: Annotated[ExportQuery, Query()]) -> StreamingResponse:
    """Stored readings as a CSV file that `run.py data --source FILE` reads."""
    chunks = csv_chunks(hub.store, query.filter())
    first = await anext(chunks)  # before the answer begins: a database that is away is still a 503
    headers = {"Content-Disposition": 'attachment; filename="temperatures.csv"'}
    return StreamingResponse(_rest(first, chunks), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/{reading}", dependencies=[require("read")])
async def read_temperature(hub: TheHub, reading: Id) -> StoredTemperature:
    """One stored reading."""
    return StoredTemperature.of(await hub.store.reading(reading))


@router.patch("/{reading}", dependencies=[require("write")])
async def correct_temperature(hub: TheHub, reading: Id, correction: Correction) -> StoredTemperature:
    """Correct the value of a stored reading."""
    stored = await hub.store.correct(reading, round(correction.value * 1e6))
    hub.live.forget(stored.series)
    return StoredTemperature.of(stored)


@router.delete("/{reading}", status_code=204, dependencies=[require("write")])
async def remove_temperature(hub: TheHub, reading: Id) -> None:
    """Remove a stored reading."""
    hub.live.forget((await hub.store.remove(reading)).series)


def time_ms(text: str) -> int:
    """ISO 8601 as ms since 1970; with an offset it is converted to UTC, without one it stays as it is.

    Raises:
        InputError: not a time, or outside the years 1970 to 2199.
    """
    try:
        if TIME_TEXT.fullmatch(text) is None:
            raise ValueError  # noqa: TRY301 - answered as what Python's parser refuses
        parsed = datetime.fromisoformat(text.replace(" ", "T", 1).replace(" ", "").upper())
        since = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)) - EPOCH
    except (ValueError, OverflowError):
        msg = f"time {text!r} is not a time: {TIME_EXPECTED}"
        raise InputError(msg) from None
    if not timedelta(0) <= since < LATEST - EPOCH:
        msg = f"time {text!r} is not between 1970 and 2199: set the sender's clock"
        raise InputError(msg)
    return since // timedelta(milliseconds=1)


async def _rest(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk
