"""What a store promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from deployers.exceptions import DeployerError, InputError, NotFound, ServiceUnavailable
from deployers.hub.store import Expired, Filter, Kept, Retention, Store, StoredForecast
from deployers.hub.store import writes as store_writes
from deployers.protocol.messages import Reading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DAY_MS = 86_400_000
NOW = 1_700_000_000.0


def within(url: str, work: Callable[[Store], Awaitable[Any]], **options: Any) -> Any:
    """What `work` gives with an open store."""

    async def run() -> Any:
        async with Store(url, **options) as store:
            return await work(store)

    return asyncio.run(run())


def readings(*values: int, start: int = 0) -> list[Reading]:
    return [Reading(start + 1000 * at, value) for at, value in enumerate(values)]


def forecast(**changed: Any) -> StoredForecast:
    fields = {
        "series": "board-1", "source": "board", "time_ms": 1000, "version": 3, "slot_state": 2,
        "celsius": (20.1, 20.2), "received_ms": 5000,
    }  # fmt: skip
    return StoredForecast(**{**fields, **changed})


def test_readings_come_back_in_the_order_of_time(url: str) -> None:
    async def work(store: Store) -> None:
        given = readings(5, -7, 2**31 - 1, -(2**31))
        assert await store.keep_readings("board-1", given[::-1]) == 4
        assert await store.keep_readings("other", readings(9)) == 1
        assert await store.readings("board-1") == given
        assert await store.readings("board-1", last=2) == given[2:]
        assert await store.readings("board-1", last=0) == []
        assert await store.readings("board-1", since_ms=1000, until_ms=3000) == given[1:3]
        assert await store.readings("nobody") == []

    within(url, work)


def test_a_reading_is_stored_once_however_often_it_is_sent(url: str) -> None:
    async def work(store: Store) -> None:
        assert await store.keep_readings("board-1", readings(5, 6)) == 2
        assert await store.keep_readings("board-1", readings(5, 6, 7)) == 1
        assert await store.keep_readings("board-1", readings(5, 6, 7)) == 0
        assert await store.keep_readings("board-1", [*readings(8, start=9000), *readings(8, start=9000)]) == 1
        assert await store.readings("board-1") == [*readings(5, 6, 7), *readings(8, start=9000)]
        (view,) = await store.series()
        assert (view.readings, view.different) == (4, 0)

    within(url, work)


def test_the_first_value_of_a_time_stays_and_others_are_counted(url: str) -> None:
    async def work(store: Store) -> None:
        await store.keep_readings("board-1", readings(5, 6))
        sent = [("board-1", item) for item in readings(5, 60, 7)] + [("board-2", item) for item in readings(1, 2)]
        sent += [("board-2", item) for item in readings(1, 3)]
        assert await store.keep(sent) == Kept(new=3, already=2, different=2)
        assert await store.readings("board-1") == readings(5, 6, 7)
        assert await store.readings("board-2") == readings(1, 2)
        assert [(view.series, view.different) for view in await store.series()] == [("board-1", 1), ("board-2", 1)]

    within(url, work)


def test_callers_that_share_a_transaction_are_told_apart(url: str) -> None:
    async def work(store: Store) -> None:
        sent = [readings(1, 2), readings(1, 2, 3), readings(1, 2, 3, 4), readings(9, start=50_000)]
        assert await asyncio.gather(*(store.keep_readings("board-1", part) for part in sent)) == [2, 1, 1, 1]
        assert store.counters.rows == 10

    within(url, work)


def test_more_readings_than_a_statement_has_parameters(url: str) -> None:
    async def work(store: Store) -> None:
        many = readings(*range(2500))
        assert await store.keep_readings("board-1", many) == 2500
        assert await store.keep([("board-1", item) for item in many]) == Kept(0, 2500, 0)
        names = [f"board-{number}" for number in range(1200)]
        assert await store.keep([(name, Reading(1, 1)) for name in names]) == Kept(1200, 0, 0)
        assert len(await store.series()) == 1200

    within(url, work)


def test_what_was_kept_is_there_when_the_store_is_opened_again(url: str) -> None:
    async def keep(store: Store) -> str:
        await store.keep_readings("board-1", readings(5))
        return (await store.series())[0].store

    async def look(store: Store) -> str:
        assert await store.readings("board-1") == readings(5)
        assert await store.keep_readings("board-1", readings(5)) == 0
        return (await store.series())[0].store

    assert within(url, keep) == within(url, look)


def test_forecasts_come_back_exactly(url: str) -> None:
    async def work(store: Store) -> None:
        own = forecast(source="hub", celsius=(0.1 + 0.2, -40.0, 1e-9), slot_state=0)
        later = forecast(time_ms=2000, version=4)
        await store.keep_forecasts([later, forecast(), own])
        await store.keep_forecasts([forecast(celsius=(99.0,)), forecast(series="board-2")])
        assert await store.forecasts("board-1") == [forecast(), own, later]
        assert await store.forecasts("board-1", source="hub") == [own]
        assert await store.forecasts("board-1", last=1) == [later]
        assert await store.forecasts("board-1", since_ms=1001) == [later]
        assert await store.forecasts("board-1", until_ms=2000) == [forecast(), own]
        assert await store.forecasts("board-1", version=4) == [later]
        assert await store.forecasts("nobody") == []
        with pytest.raises(InputError, match=r"'moon'.*'board', 'hub'"):
            await store.forecasts("board-1", source="moon")

    within(url, work)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"source": "moon"}, "'moon'"),
        ({"version": -1}, "version -1"),
        ({"version": 2**32}, "version 4294967296"),
        ({"slot_state": 256}, "slot state 256"),
        ({"celsius": ()}, r"forecast \(\)"),
        ({"celsius": (float("nan"),)}, "nan"),
        ({"celsius": (1.0,) * 33}, "1 to 32"),
        ({"time_ms": -1}, "time -1"),
        ({"received_ms": 2**62}, "years 1970 to 9999"),
        ({"series": "a/b/c"}, "'a/b/c'"),
    ],
)
def test_a_forecast_that_none_is_is_refused_before_anything_is_written(
    sqlite_url: str, changed: dict[str, Any], words: str
) -> None:
    async def work(store: Store) -> None:
        with pytest.raises(InputError, match=words):
            await store.keep_forecasts([forecast(), forecast(**changed)])
        assert await store.series() == []

    within(sqlite_url, work)


@pytest.mark.parametrize(
    ("series", "reading", "words"),
    [
        ("", Reading(1, 1), "name of a series ''"),
        ("a/b/c", Reading(1, 1), "user/tag"),
        ("=cmd()", Reading(1, 1), "'=cmd"),
        ("a,b", Reading(1, 1), "'a,b'"),
        ("a\n", Reading(1, 1), "name"),
        ("x" * 65, Reading(1, 1), "at most 64"),
        ("board", Reading(-1, 1), "time -1"),
        ("board", Reading(253_402_300_800_000, 1), "9999"),
        ("board", Reading(1, 2**31), "2147483648"),
    ],
)
def test_a_reading_that_none_is_is_refused(sqlite_url: str, series: str, reading: Reading, words: str) -> None:
    async def work(store: Store) -> None:
        with pytest.raises(InputError, match=words):
            await store.keep([("good", Reading(1, 1)), (series, reading)])
        assert await store.series() == []

    within(sqlite_url, work)


def test_a_correction_and_a_removal_raise_the_revision_and_new_readings_do_not(url: str) -> None:
    async def work(store: Store) -> None:
        await store.keep_readings("room/indoor", readings(5, 6))
        before = (await store.series())[0]
        assert (before.revision, before.user, before.tag) == (0, "room", "indoor")
        (first, second), _ = await store.page(Filter(), 10)
        assert (await store.correct(first.id, 50)).microcelsius == 50
        assert (await store.correct(first.id, 50)).microcelsius == 50, "a second time it changes nothing"
        assert (await store.series())[0].revision == 1
        assert await store.remove(second.id) == second
        assert await store.keep_readings("room/indoor", readings(7, start=90_000)) == 1
        after = (await store.series())[0]
        assert (after.revision, after.readings, after.first_ms, after.last_ms) == (2, 2, 0, 90_000)
        assert after.last_id > second.id, "an id is never given twice"
        assert (await store.reading(first.id)).celsius == 50 / 1e6

    within(url, work)


def test_an_id_is_not_given_again_even_when_the_last_reading_was_removed(url: str) -> None:
    async def work(store: Store) -> None:
        await store.keep_readings("a", readings(5))
        ((only,), _) = await store.page(Filter(), 1)
        await store.remove(only.id)
        await store.keep_readings("a", readings(5))
        assert (await store.reading_at("a", 0)).id > only.id

    within(url, work)


@pytest.mark.parametrize("number", [1, 0, -1, 2**63, 2**80])
def test_a_reading_that_is_not_there(sqlite_url: str, number: int) -> None:
    async def work(store: Store) -> None:
        for ask in (store.reading(number), store.remove(number), store.correct(number, 1)):
            with pytest.raises(NotFound, match=f"reading {number}"):
                await ask
        with pytest.raises(NotFound, match="'a' has no reading at 7"):
            await store.reading_at("a", 7)

    within(sqlite_url, work)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_hold_everything_once(url: str, limit: int, newest_first: bool) -> None:
    async def work(store: Store) -> None:
        for name in ("b", "a", "c/d"):
            await store.keep_readings(name, readings(1, 2, 3))
        await store.keep_readings("a", readings(4, start=500))
        pages, place = [], None
        while True:
            rows, place = await store.page(Filter(), limit, place, newest_first=newest_first)
            assert len(rows) <= limit
            pages += rows
            if place is None:
                break
        expected = []
        for name, times in (("b", [0, 1000, 2000]), ("a", [0, 500, 1000, 2000]), ("c/d", [0, 1000, 2000])):
            expected += [(name, at) for at in (times[::-1] if newest_first else times)]
        assert sorted((row.series, row.time_ms) for row in pages) == sorted(expected)
        by_series = [[at for name, at in expected if name == wanted] for wanted in ("a", "b", "c/d")]
        assert [[row.time_ms for row in pages if row.series == wanted] for wanted in ("a", "b", "c/d")] == by_series

    within(url, work)


def test_filters(url: str) -> None:
    async def work(store: Store) -> None:
        for name in ("a/in", "a/out", "b/in"):
            await store.keep_readings(name, readings(1, 2, 3))
        (middle,) = (await store.page(Filter(series="a/out", since_ms=1000, until_ms=2000), 9))[0]

        async def found(**wanted: Any) -> list[tuple[str, int]]:
            return [(row.series, row.time_ms) for row in (await store.page(Filter(**wanted), 100))[0]]

        assert len(await found()) == 9
        assert await found(user="a", tag="out") == [("a/out", 0), ("a/out", 1000), ("a/out", 2000)]
        assert {name for name, _ in await found(tag="in")} == {"a/in", "b/in"}
        assert await found(series="a/out", after_id=middle.id) == [("a/out", 2000)]
        assert await found(series="a/out", upto_id=middle.id) == [("a/out", 0), ("a/out", 1000)]
        assert await found(series="a' OR 1=1 --") == []
        assert [view.series for view in await store.series(Filter(user="a"))] == ["a/in", "a/out"]

    within(url, work)


def test_retention_counts_from_when_the_hub_had_them(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_writes, "EXPIRE_ROWS", 10)
    clock = [NOW]

    async def work(store: Store) -> None:
        await store.keep_readings("a", readings(*range(25)))  # of 1970, and new to the hub
        received = round(NOW * 1000)
        await store.keep_forecasts([forecast(time_ms=at, received_ms=received) for at in range(12)])
        assert await store.expire() == Expired(0, 0)
        clock[0] += 86_400 * 1.5
        await store.keep_readings("b", readings(1))
        assert await store.expire() == Expired(25, 0)
        assert await store.readings("a") == []
        assert await store.readings("b") == readings(1)
        assert (await store.series())[0].revision == 0, "who has copied them need not fetch them again"
        assert await store.expire(Retention(0, 1)) == Expired(0, 12)
        assert await store.forecasts("board-1") == []

    within(url, work, clock=lambda: clock[0], retention=Retention(1.0, 2.0))


def test_a_clock_that_was_set_back_makes_nothing_old(sqlite_url: str) -> None:
    clock = [NOW]

    async def work(store: Store) -> None:
        await store.keep_readings("a", readings(1))
        clock[0] = 1000.0  # a Jetson without a battery
        await store.keep_readings("a", readings(2, start=5000))
        clock[0] = NOW + 3600
        await store.remove((await store.reading_at("a", 0)).id)
        assert await store.expire() == Expired(0, 0)

    within(sqlite_url, work, clock=lambda: clock[0], retention=Retention(1.0))


def test_writing_goes_on_while_old_rows_go(sqlite_url: str) -> None:
    clock = [NOW]

    async def work(store: Store) -> None:
        await store.keep_readings("a", readings(*range(5000)))
        clock[0] += 2 * 86_400
        going = asyncio.create_task(store.expire())
        new = 0
        while not going.done():
            new += await store.keep_readings("b", readings(1, start=1000 * new))
        assert (await going).readings == 5000
        assert new > 5

    within(sqlite_url, work, clock=lambda: clock[0], retention=Retention(1.0))


def test_a_closed_store_says_so_and_may_be_opened_again(sqlite_url: str) -> None:
    async def run() -> None:
        store = Store(sqlite_url)
        for _ in range(2):
            with pytest.raises(ServiceUnavailable, match="is not open"):
                await store.keep_readings("a", readings(1))
            with pytest.raises(ServiceUnavailable, match="is not open"):
                await store.readings("a")
            await store.open()
            await store.open()
            await store.check()
            await store.keep_readings("a", readings(1))
            await store.close()
            await store.close()

    asyncio.run(run())


def test_closing_finishes_what_was_begun(sqlite_url: str) -> None:
    async def run() -> None:
        store = await Store(sqlite_url).open()
        going = [asyncio.create_task(store.keep_readings("a", readings(1, start=1000 * at))) for at in range(50)]
        await asyncio.sleep(0)
        await store.close()
        assert await asyncio.gather(*going) == [1] * 50

    asyncio.run(run())


def test_the_file_is_its_owners_alone(sqlite_url: str, tmp_path: Path) -> None:
    async def work(store: Store) -> None:
        await store.keep_readings("a", readings(1))
        for path in (tmp_path / "data").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path

    within(sqlite_url, work)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["hub.db"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("hub.db", "'hub.db'"),
        ("mysql://user:hunter2@host/db", "expected sqlite"),
        ("nothing://user:hunter2@host/db", "expected sqlite"),
        ("postgresql://user:hunter2@host:port/db", "expected sqlite"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file:x?mode=memory&uri=true", "names no file"),
    ],
)
def test_a_url_that_no_store_can_be_kept_at(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        Store(url)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(InputError, match="is damaged or no database"):
        within(f"sqlite:///{path}", lambda store: store.check())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceUnavailable, match="make its folder"):
        within(f"sqlite:///{tmp_path}/file/hub.db", lambda store: store.check())
    with pytest.raises(ServiceUnavailable, match="Is a directory"):
        within(f"sqlite:///{tmp_path}", lambda store: store.check())


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(ServiceUnavailable, match="does not answer") as refused:
        within("postgresql://user:hunter2@127.0.0.1:1/db", lambda store: store.check())
    assert "hunter2" not in str(refused.value)


def test_a_server_that_throws_us_out_is_come_back_to(postgresql_url: str) -> None:
    name = postgresql_url.rpartition("/")[2]

    async def work(store: Store) -> None:
        await store.keep_readings("a", readings(1))
        await store.readings("a")
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            others = "FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
            other.execute(f"SELECT pg_terminate_backend(pid) {others}", [name])  # type: ignore[arg-type]
        with pytest.raises(ServiceUnavailable, match="does not answer"):
            await store.keep_readings("a", readings(2, start=1000))
        assert await store.keep_readings("a", readings(2, start=1000)) == 1
        assert len(await store.readings("a")) == 2

    within(postgresql_url, work)


def test_a_series_more_than_there_may_be(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_writes, "SERIES_MAX", 2)

    async def work(store: Store) -> None:
        await store.keep([("a", Reading(1, 1)), ("b", Reading(1, 1))])
        with pytest.raises(DeployerError, match="'c' would be one more than 2"):
            await store.keep([("a", Reading(2, 1)), ("c", Reading(2, 1))])
        assert await store.keep_readings("a", [Reading(2, 1)]) == 1, "nothing of the refused ones was kept"

    within(sqlite_url, work)
