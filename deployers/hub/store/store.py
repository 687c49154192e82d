"""The store of one hub."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Self, TypeVar

from deployers.exceptions import ServiceUnavailable
from deployers.hub.store import alerting, challenges, queries, retrainings, watching, writes
from deployers.hub.store.database import Database
from deployers.hub.store.records import Expired, Filter, Retention
from deployers.hub.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from deployers.hub.store.alerting import Key, Told
    from deployers.hub.store.challenges import StoredChallenge
    from deployers.hub.store.records import Kept, Place, SeriesView, StoredForecast, StoredReading
    from deployers.hub.store.retrainings import Retraining
    from deployers.hub.store.watching import Arrivals, Cursor, DaySums, Remembered
    from deployers.hub.store.writer import Counters
    from deployers.protocol.messages import Reading

Found = TypeVar("Found")

log = logging.getLogger(__name__)

READERS = 2
HOUR, DAY = 3600.0, 86_400.0
PAUSE_SECONDS = 0.05  # between two batches of retention: others write then
EVERYTHING = Filter()
NO_RETENTION = Retention()
MILLISECONDS = 1000


class Store:
    """Readings and forecasts in a database, for one event loop.

    What is kept is on the disk when the call returns; callers that wait at the same time share one transaction.
    Reading never waits for writing.

    Args:
        url: SQLAlchemy URL of an SQLite file (`sqlite:///relative`, `sqlite:////absolute`) or of a PostgreSQL database.
        clock: seconds since 1970.
        retention: how long things stay; looked after once an hour while the store is open.
    """

    def __init__(
        self, url: str, clock: Callable[[], float] = time.time, *, retention: Retention = NO_RETENTION
    ) -> None:
        self._database, self._clock, self._retention = Database(url), clock, retention
        self._writer: Writer | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def counters(self) -> Counters:
        """What the writer has done so far, for metrics."""
        return self._open_writer().counters

    async def open(self) -> Self:
        """Make or update the tables, and begin to take work. A second call changes nothing.

        Raises:
            InputError: not a database, or one that a newer hub has written.
            ServiceUnavailable: it does not answer, or its folder cannot be written.
        """
        if self._writer is None:
            await asyncio.to_thread(self._database.upgrade)
            self._readers = ThreadPoolExecutor(READERS, "store-read")
            self._writer = Writer(self._database, self._clock, asyncio.get_running_loop())
            self._writer.start()
            self._keeper = asyncio.create_task(self._expire_hourly(), name="store-retention")
        return self

    async def close(self) -> None:
        """Finish what was begun, and let go of the database. A second call changes nothing."""
        writer, readers, keeper = self._writer, self._readers, self._keeper
        self._writer = self._readers = self._keeper = None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        if writer is not None:
            await writer.stop()
        if readers is not None:
            await asyncio.to_thread(readers.shutdown)
        self._database.dispose()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def check(self) -> None:
        """Whether the store takes work: a transaction that changes nothing goes through the writer.

        Raises:
            ServiceUnavailable: it does not.
        """
        await self._write(writes.Nothing())

    async def keep_readings(self, series: str, readings: Sequence[Reading]) -> int:
        """Store readings of one series; returns after COMMIT how many were new.

        A reading is stored once however often it is sent: the first value of a time stays.

        Raises:
            InputError: a name, time or value that no reading has.
            ServiceUnavailable: disk full, database locked or gone; none of these readings is stored.
        """
        return (await self.keep([(series, reading) for reading in readings])).new

    async def keep(self, readings: Sequence[tuple[str, Reading]]) -> Kept:
        """Store readings of several series, all of them or none.

        Raises:
            InputError, ServiceUnavailable: as `keep_readings` does.
        """
        kept: Kept = await self._write(writes.KeepReadings.checked(readings))
        return kept

    async def keep_forecasts(self, forecasts: Sequence[StoredForecast]) -> None:
        """Store forecasts; returns after COMMIT. One that is there already stays as it is.

        Raises:
            InputError: a field that no forecast has.
            ServiceUnavailable: as `keep_readings` does.
        """
        await self._write(writes.KeepForecasts.checked(forecasts))

    async def correct(self, reading: int, microcelsius: int) -> StoredReading:
        """Give a stored reading another value; its series gets a new revision if that changes it.

        Args:
            reading: its id.
            microcelsius: the right value.

        Raises:
            NotFound: no such reading.
            InputError, ServiceUnavailable: as `keep_readings` does.
        """
        corrected: StoredReading = await self._write(writes.Correct.checked(reading, microcelsius))
        return corrected

    async def remove(self, reading: int) -> StoredReading:
        """Remove a stored reading, by its id; its series gets a new revision. Gives what was removed.

        Raises:
            NotFound: no such reading.
            ServiceUnavailable: as `keep_readings` does.
        """
        removed: StoredReading = await self._write(writes.Remove(reading))
        return removed

    async def expire(self, retention: Retention | None = None) -> Expired:
        """Remove what is older than its retention, in small transactions among those of others.

        Args:
            retention: another one than the store's own.

        Raises:
            ServiceUnavailable: as `keep_readings` does; what was removed before stays removed.
        """
        wanted = self._retention if retention is None else retention
        return Expired(
            await self._expire("reading", wanted.readings_days), await self._expire("forecast", wanted.forecasts_days)
        )

    async def readings(
        self, series: str, *, since_ms: int | None = None, until_ms: int | None = None, last: int | None = None
    ) -> list[Reading]:
        """Readings of one series in the order of time; none for a series that is not there.

        Args:
            series: its name.
            since_ms: not before this time.
            until_ms: before this time.
            last: only the newest so many of these.
        """
        return await self._read(lambda found: queries.readings(found, series, since_ms, until_ms, last))

    async def forecasts(  # noqa: PLR0913 - each narrows the answer by itself
        self,
        series: str,
        *,
        source: str | None = None,
        version: int | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        last: int | None = None,
    ) -> list[StoredForecast]:
        """Forecasts of one series in the order of the times that they were made at.

        Args:
            series: its name.
            source: only those of "board", "hub" or "shadow".
            version: only those of this image version.
            since_ms: not made before this time.
            until_ms: made before this time.
            last: only the newest so many of these.

        Raises:
            InputError: another source.
        """
        wanted = queries.Forecasts(source, version, since_ms, until_ms, last)
        return await self._read(lambda found: queries.forecasts(found, series, wanted))

    async def series(self, wanted: Filter = EVERYTHING) -> list[SeriesView]:
        """Every series that matches, by name. Counts their readings, so it costs more the more there are."""
        return await self._read(lambda found: queries.series(found, wanted))

    async def page(
        self, wanted: Filter, limit: int, beyond: Place | None = None, *, newest_first: bool = False
    ) -> tuple[list[StoredReading], Place | None]:
        """Readings by series and time, and the place from which to go on, None at the end.

        Args:
            wanted: which.
            limit: at most so many.
            beyond: the place where the page before ended.
            newest_first: series as ever, but within each from its newest reading to its oldest.
        """
        return await self._read(lambda found: queries.page(found, wanted, limit, beyond, newest_first=newest_first))

    async def reading(self, reading: int) -> StoredReading:
        """One reading by its id.

        Raises:
            NotFound: no such reading.
        """
        return await self._read(lambda found: queries.reading(found, reading))

    async def reading_at(self, series: str, time_ms: int) -> StoredReading:
        """The reading of one series at one time.

        Raises:
            NotFound: no such reading.
        """
        return await self._read(lambda found: queries.reading_at(found, series, time_ms))

    async def watch_cursor(self, most: int) -> Cursor:
        """Where the monitor has stopped; at most the newest `most` readings follow where it never ran."""
        return await self._read(lambda found: watching.cursor(found, most))

    async def arrivals(self, after: Cursor, limit: int) -> Arrivals:
        """Readings and forecasts of all series behind a cursor in the order of arrival, at most `limit` of each."""
        return await self._read(lambda found: watching.arrivals(found, after, limit))

    async def watch_states(self) -> dict[str, str]:
        """What the monitor keeps of each series."""
        return await self._read(watching.states)

    async def watch_days(self, series: str, since: int) -> list[DaySums]:
        """Errors by day of one series, from one day since 1970 on."""
        return await self._read(lambda found: watching.days(found, series, since))

    async def remember(self, kept: Remembered) -> None:
        """Keep what the monitor has worked out, all of it or nothing.

        Raises:
            ServiceUnavailable: as `keep_readings` does.
        """
        await self.change(lambda connection: watching.remember(connection, kept))

    async def retrainings(self, last: int) -> list[Retraining]:
        """What was asked of the training side, the newest first, with what came of it."""
        return await self.find(lambda found: retrainings.newest(found, last))

    async def find(self, query: Callable[[Connection], Found]) -> Found:
        """What a query of a part finds that keeps a table of its own, in one transaction.

        Raises:
            ServiceUnavailable: the database does not answer.
        """
        return await self._read(query)

    async def change(self, statements: Callable[[Connection], Found]) -> Found:
        """What statements of such a part give, after their COMMIT; all of them are done, or nothing.

        Raises:
            ServiceUnavailable: as `keep_readings` does.
            DeployerError: what they refuse, before they have written.
        """
        done: Found = await self._write(writes.Execute(statements))
        return done

    async def alerts_told(self, channel: str) -> dict[Key, Told]:
        """What a channel of alerts has told, and has not told to be well again."""
        return await self.find(lambda found: alerting.told(found, channel))

    async def keep_told(self, channel: str, changed: Mapping[Key, Told | None]) -> None:
        """Keep what a channel of alerts has told; None of what is well again.

        Raises:
            ServiceUnavailable: as `keep_readings` does.
        """
        await self.change(lambda connection: alerting.keep(connection, channel, changed))

    async def challenges(self) -> list[StoredChallenge]:
        """What is kept of challengers, by version."""
        return await self._read(challenges.challenges)

    async def keep_challenge(self, kept: StoredChallenge) -> None:
        """Keep a challenger in place of what there was of its version.

        Raises:
            ServiceUnavailable: as `keep_readings` does.
        """
        await self.change(lambda connection: challenges.keep(connection, kept))

    async def challenge_days(self, champion: int, challenger: int, since: int) -> list[tuple[str, DaySums]]:
        """Errors by day of two versions on every series that both were stepped on here, from one day since 1970 on."""
        return await self._read(lambda found: challenges.days(found, champion, challenger, since))

    def _open_writer(self) -> Writer:
        if self._writer is None:
            msg = f"store {self._database.name!r} is not open: wait until the hub has started"
            raise ServiceUnavailable(msg)
        return self._writer

    async def _write(self, work: writes.Work) -> Any:
        return await self._open_writer().submit(work)

    async def _read(self, query: Callable[[Connection], Found]) -> Found:
        self._open_writer()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._database.read, query)

    async def _expire(self, table: str, days: float) -> int:
        if not days:
            return 0
        before, total, removed = round((self._clock() - days * DAY) * MILLISECONDS), 0, writes.EXPIRE_ROWS
        while removed == writes.EXPIRE_ROWS:
            removed = await self._write(writes.Expire(table, before))
            total += removed
            await asyncio.sleep(PAUSE_SECONDS)
        return total

    async def _expire_hourly(self) -> None:
        while True:
            await asyncio.sleep(HOUR)
            try:
                gone = await self.expire()
            except ServiceUnavailable as error:
                log.warning("retention put off for an hour: %s", error)
                continue
            if gone != Expired(0, 0):
                log.info("retention: %d readings and %d forecasts were old enough and are gone", *astuple(gone))
