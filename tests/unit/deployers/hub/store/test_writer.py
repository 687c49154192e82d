"""The one that writes: many callers in one transaction, and none left without an answer."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError

from deployers.exceptions import InputError, ServiceUnavailable
from deployers.hub.store import Store, database, writer, writes
from deployers.protocol.messages import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator


def one(at: int) -> list[Reading]:
    return [Reading(at, at)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)


@pytest.fixture
def other(sqlite_url: str) -> Iterator[sqlite3.Connection]:
    """Another process's connection, as far as the database can tell."""
    asyncio.run(_made(sqlite_url))
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        yield connection


async def _made(url: str) -> None:
    async with Store(url):
        pass


def test_callers_at_the_same_time_share_transactions(url: str) -> None:
    async def run() -> None:
        async with Store(url) as store:
            kept = await asyncio.gather(*(store.keep_readings(f"board-{at % 9}", one(at)) for at in range(500)))
            assert kept == [1] * 500
            assert store.counters.transactions <= 5
            assert (store.counters.rows, store.counters.waiting, store.counters.failed) == (500, 0, 0)

    asyncio.run(run())


def test_a_lone_caller_does_not_wait_for_company(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GATHER_SECONDS", 30.0)

    async def run() -> None:
        async with Store(sqlite_url) as store:
            async with asyncio.timeout(10):
                await store.keep_readings("a", one(1))

    asyncio.run(run())


def test_no_transaction_is_larger_than_it_may_be(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "ROWS_TOGETHER", 10)
    sizes = []
    perform = writes.perform

    def watched(connection: Any, works: Any, cache: Any) -> list[Any]:
        sizes.append(sum(work.rows for work in works))
        return perform(connection, works, cache)

    monkeypatch.setattr(writer, "perform", watched)

    async def run() -> None:
        async with Store(sqlite_url) as store:
            many = [Reading(at, at) for at in range(1000, 1025)]
            alone = store.keep_readings("a", many)
            await asyncio.gather(alone, *(store.keep_readings("a", one(at)) for at in range(35)))
            assert len(await store.readings("a")) == 60

    asyncio.run(run())
    assert sum(sizes) == 60
    assert sorted(sizes)[-2:] == [10, 25], "only what one caller brings may be more"


def test_callers_wait_outside_when_too_much_waits(
    impatient: None, sqlite_url: str, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "ROWS_WAITING", 10)
    monkeypatch.setattr(database, "BUSY_SECONDS", 20.0)

    async def run() -> None:
        async with Store(sqlite_url) as store:
            other.execute("BEGIN IMMEDIATE")
            going = [asyncio.create_task(store.keep_readings("a", one(at))) for at in range(50)]
            await asyncio.sleep(0.1)
            assert store.counters.waiting == 10
            assert not any(task.done() for task in going)
            other.execute("ROLLBACK")
            assert await asyncio.gather(*going) == [1] * 50
            assert store.counters.waiting == 0

    asyncio.run(run())


def test_more_than_may_wait_in_one_call_is_taken_alone(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "ROWS_WAITING", 10)

    async def run() -> None:
        async with Store(sqlite_url) as store, asyncio.timeout(10):
            assert await store.keep_readings("a", [Reading(at, at) for at in range(40)]) == 40

    asyncio.run(run())


def test_a_locked_database_acknowledges_nothing_and_is_well_again_after(
    impatient: None, sqlite_url: str, other: sqlite3.Connection
) -> None:
    async def run() -> None:
        async with Store(sqlite_url) as store:
            await store.keep_readings("a", one(1))
            other.execute("BEGIN IMMEDIATE")
            sent = [store.keep_readings("a", one(at)) for at in (2, 3)] + [store.check()]
            async with asyncio.timeout(20):  # as long as a writer waits, not as long as an upgrade does
                outcomes = await asyncio.gather(*sent, return_exceptions=True)
            for outcome in outcomes:
                assert isinstance(outcome, ServiceUnavailable)
                assert "database is locked" in str(outcome)
                assert "end the other process" in str(outcome)
            assert await store.readings("a") == one(1), "reading goes on"
            other.execute("ROLLBACK")
            assert await store.keep_readings("a", one(2)) == 1
            assert await store.readings("a") == [*one(1), *one(2)]
            assert store.counters.failed >= 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (IntegrityError("insert", {}, ValueError("poison")), InputError),
        (ZeroDivisionError("poison"), ZeroDivisionError),
    ],
)
def test_one_that_cannot_be_written_does_not_take_the_others_with_it(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, fault: Exception, expected: type[Exception]
) -> None:
    keep = writes._keep_readings  # noqa: SLF001 - the fault is set between its statements and COMMIT

    def poisoned(connection: Any, works: Any, cache: Any) -> Any:
        kept = keep(connection, works, cache)
        if any(item.microcelsius == 13 for work in works for _, item in work.readings):
            raise fault
        return kept

    monkeypatch.setattr(writes, "_keep_readings", poisoned)

    async def run() -> None:
        async with Store(sqlite_url) as store:
            sent = [store.keep_readings(f"board-{at}", one(at)) for at in (11, 12, 13, 14)]
            outcomes = await asyncio.gather(*sent, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [int, int, expected, int]
            assert "poison" in str(outcomes[2])
            assert [view.series for view in await store.series()] == ["board-11", "board-12", "board-14"]
            assert await store.keep_readings("board-13", one(15)) == 1, "what a failed transaction learned is forgotten"

    asyncio.run(run())


def test_a_caller_that_left_is_not_missed(sqlite_url: str) -> None:
    async def run() -> None:
        async with Store(sqlite_url) as store:
            going = [asyncio.create_task(store.keep_readings("a", one(at))) for at in range(10)]
            await asyncio.sleep(0)
            going[3].cancel()
            outcomes = await asyncio.gather(*going, return_exceptions=True)
            assert [outcome for outcome in outcomes if outcome != 1] == [outcomes[3]]
            assert await store.keep_readings("a", one(99)) == 1
            assert store.counters.waiting == 0

    asyncio.run(run())


def test_no_thread_is_left_behind(sqlite_url: str) -> None:
    before = threading.active_count()
    asyncio.run(_made(sqlite_url))
    assert threading.active_count() == before


def test_a_commit_waits_for_the_disk(sqlite_url: str, postgresql_url: str) -> None:
    asyncio.run(_made(sqlite_url))
    file = database.Database(sqlite_url)
    with closing(file.connect()) as connection:
        asked = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("synchronous", "journal_mode")
        }
    file.dispose()
    assert asked == {"synchronous": 2, "journal_mode": "wal"}
    server = database.Database(postgresql_url)
    with closing(server.connect()) as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    server.dispose()


def test_reading_connections_cannot_write(sqlite_url: str) -> None:
    asyncio.run(_made(sqlite_url))
    file = database.Database(sqlite_url)
    with pytest.raises(ServiceUnavailable, match="readonly"):
        file.read(lambda connection: connection.exec_driver_sql("DELETE FROM identity"))
    file.dispose()
