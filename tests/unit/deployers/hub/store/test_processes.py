"""Stores in other processes: killed, two at once, and without room on the disk."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg

from deployers.hub.store import Store
from deployers.hub.store.database import WRITER_LOCK
from deployers.protocol.messages import Reading

CHECKOUT = Path(__file__).resolve().parents[5]
SECONDS = 60
# Ten callers, each of which says what was acknowledged, and nothing before.
WRITES = """
import asyncio, sys
from deployers.hub.store import Store
from deployers.protocol.messages import Reading
async def board(store, name):
    for at in range(100_000):
        await store.keep_readings(name, [Reading(at, at)])
        print(name, at, flush=True)
async def main():
    async with Store(sys.argv[1]) as store:
        await asyncio.gather(*(board(store, f"board-{number}") for number in range(10)))
asyncio.run(main())
"""
# Waits for its start line, so that two open the same new database at once; writes the same readings as the other.
MEETS = """
import asyncio, sys
from deployers.hub.store import Store
from deployers.protocol.messages import Reading
async def main():
    print("here", flush=True)
    sys.stdin.readline()
    new = 0
    async with Store(sys.argv[1]) as store:
        for at in range(0, 300, 3):
            new += await store.keep_readings("board", [Reading(at + part, at) for part in range(3)])
    print(new)
asyncio.run(main())
"""
# The largest file this process may write stands in for a full disk.
FULL = """
import asyncio, json, resource, sys
from deployers.exceptions import ServiceUnavailable
from deployers.hub.store import Store
from deployers.protocol.messages import Reading
def allow(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
async def main():
    async with Store(sys.argv[1]) as store:
        allow(400_000)
        acknowledged, refusal = [], ""
        for at in range(0, 100_000, 500):
            try:
                await store.keep_readings("board", [Reading(at + part, part) for part in range(500)])
            except ServiceUnavailable as error:
                refusal = str(error)
                break
            acknowledged.append(at)
        there = [reading.time_ms for reading in await store.readings("board")]
        allow(resource.RLIM_INFINITY)
        again = await store.keep_readings("board", [Reading(at + part, part) for part in range(500)])
        print(json.dumps({"acknowledged": acknowledged, "refusal": refusal, "there": there, "again": again}))
asyncio.run(main())
"""


def child(code: str, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, url],
        cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


async def everything(url: str) -> dict[str, set[int]]:
    async with Store(url) as store:
        return {view.series: {at.time_ms for at in await store.readings(view.series)} for view in await store.series()}


def test_what_was_acknowledged_is_there_after_a_kill(sqlite_url: str) -> None:
    acknowledged: dict[str, set[int]] = {}
    for lines in (40, 333):  # a second time on what the first one left
        with child(WRITES, sqlite_url) as process:
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(lines)]
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read()  # `communicate` would go past what `readline` has read ahead
        assert process.returncode == -signal.SIGKILL
        # A line may be cut in the middle; what is whole was acknowledged.
        for line in [*told, *rest.splitlines(keepends=True)]:
            if line.endswith("\n"):
                name, at = line.split()
                acknowledged.setdefault(name, set()).add(int(at))
    there = asyncio.run(everything(sqlite_url))
    assert len(acknowledged) == 10
    assert all(times <= there[name] for name, times in acknowledged.items())
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_two_processes_open_a_new_database_at_once_and_write_the_same(url: str) -> None:
    both = [child(MEETS, url) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=SECONDS) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sum(int(out) for out, _ in told) == 300, "each reading was new to exactly one of them"
    assert asyncio.run(everything(url)) == {"board": set(range(300))}


def test_a_full_disk_acknowledges_nothing_and_is_well_again_after(sqlite_url: str) -> None:
    process = child(FULL, sqlite_url)
    out, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    told = json.loads(out)
    assert told["acknowledged"], "it must have had some room at first"
    assert "does not answer" in told["refusal"]
    kept = {at + part for at in told["acknowledged"] for part in range(500)}
    assert set(told["there"]) == kept, "all of what was acknowledged, and nothing else"
    assert told["again"] == 500
    refused_at = max(told["acknowledged"]) + 500
    assert asyncio.run(everything(sqlite_url)) == {"board": kept | set(range(refused_at, refused_at + 500))}


def test_writers_of_one_server_take_turns(postgresql_url: str) -> None:
    """Ids are given out before COMMIT: without turns a lower one could appear after a higher one was seen."""

    async def run() -> None:
        async with Store(postgresql_url) as store:
            with psycopg.connect(postgresql_url) as other:
                other.execute(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
                going = asyncio.create_task(store.keep_readings("a", [Reading(1, 1)]))
                await asyncio.sleep(0.3)
                assert not going.done()
                assert await store.readings("a") == [], "reading waits for nobody"
                other.rollback()
                assert await going == 1

    asyncio.run(run())


def test_the_newest_id_is_above_all_that_were_seen(url: str) -> None:
    """Who has copied everything up to an id must find all that comes later above it, whoever of two wrote it."""

    async def run() -> None:
        async with Store(url) as first, Store(url) as second:
            seen = 0
            for at in range(0, 60, 2):
                await asyncio.gather(
                    first.keep_readings("a", [Reading(at, 1)]), second.keep_readings("a", [Reading(at + 1, 1)])
                )
                view = (await first.series())[0]
                assert view.last_id > seen
                assert view.readings == at + 2
                seen = view.last_id

    asyncio.run(run())
