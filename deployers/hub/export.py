"""Stored readings as CSV, in the columns that the data pipeline and the prototype's table have."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from deployers.hub.store import Filter, Store, StoredReading

HEADER = b"time_point,user,value,tag,id\n"
ROWS = 2000  # read at once: no transaction is open while a slow client takes them
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def csv_chunks(store: Store, wanted: Filter) -> AsyncIterator[bytes]:
    """The readings by series and time, as UTF-8 in pieces of whole rows; the header comes with the first piece.

    Args:
        store: where they are.
        wanted: which of them.

    Yields:
        Rows of time (ISO 8601 without offset, UTC where the sender gave one), user, value in °C, tag and id.

    Raises:
        ServiceUnavailable: the database does not answer.
    """
    head, place = HEADER, None
    while True:
        rows, place = await store.page(wanted, ROWS, place)
        yield head + await asyncio.to_thread(csv_rows, rows)
        head = b""
        if place is None:
            return


async def export_csv(store: Store, wanted: Filter, file: BinaryIO) -> int:
    """Write the readings into an open file, and count them.

    Raises:
        ServiceUnavailable: the database does not answer.
    """
    lines = 0
    async for chunk in csv_chunks(store, wanted):
        await asyncio.to_thread(file.write, chunk)
        lines += chunk.count(b"\n")
    return lines - 1


def csv_rows(readings: Sequence[StoredReading]) -> bytes:
    """One line a reading. No field needs quotes: names of series hold none of what CSV gives a meaning."""
    lines = []
    for item in readings:
        user, _, tag = item.series.partition("/")
        lines.append(f"{time_point(item.time_ms)},{user},{item.celsius!r},{tag},{item.id}\n")
    return "".join(lines).encode()


def time_point(time_ms: int) -> str:
    """ISO 8601 without offset of ms since 1970."""
    return (EPOCH + timedelta(milliseconds=time_ms)).replace(tzinfo=None).isoformat()
