"""Faults at random moments: the short form of `make soak`, with the real hub and native boards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from benchmarks import soak
from benchmarks.faulty_link import FaultyLink
from benchmarks.soak_site import Subject
from deployers.lab.feeder import Ring
from deployers.protocol.messages import Reading
from tests.unit.deployers.conftest import conversion, proof, release  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("seed", [7])
def test_no_reading_is_lost_or_doubled_and_all_forecast_the_same(
    release: Path,  # noqa: F811 - as above
    conversion: Path,  # noqa: F811
    tmp_path: Path,
    seed: int,
) -> None:
    found = soak.soak(Subject(release, conversion), tmp_path / "site", soak.Load(12, 2, 60, 4.0), seed)
    assert found.failed == []
    assert sum(found.faults.values()) == 12
    assert len(found.faults) >= 4
    assert found.connections > 4
    assert found.readings >= found.compared >= 60
    assert found.differences["board"] <= found.tolerance


class Site:
    """Stands in for what a run leaves: a board took five readings, all are acknowledged."""

    folder = None

    def __init__(self, stored: list[int], ring: Ring) -> None:
        self.stored, self._ring = stored, ring

    def ring(self, board: str) -> Ring:
        return self._ring

    def measured(self, board: str, number: int) -> Reading:
        return Reading(10 * number, number)

    def stored_readings(self, board: str) -> list[Reading]:
        return [self.measured(board, number) for number in self.stored]


@pytest.mark.parametrize(
    ("stored", "ring", "says"),
    [
        ([0, 1, 2, 3, 4], Ring(9, 5, 5, 0), ""),
        ([0, 1, 2, 3, 4], Ring(9, 4, 5, 0), ""),
        ([0, 1, 3, 4], Ring(9, 5, 5, 0), "reading 2 is Reading(time_ms=30"),
        ([0, 1, 2, 3], Ring(9, 5, 5, 0), "4 readings are stored, the board says"),
        ([0, 1, 1, 2, 3, 4], Ring(9, 5, 5, 0), "1 readings are there twice"),
        ([0, 1, 2, 3, 4, 5], Ring(9, 5, 5, 0), "6 readings are stored, the board says"),
        ([0, 1, 2, 3, 4], Ring(9, 5, 5, 1), "dropped=1"),
    ],
)
def test_the_soak_finds_what_is_lost_or_doubled(stored: list[int], ring: Ring, says: str) -> None:
    found = soak.Found(1)
    soak._check_readings(Site(stored, ring), "board-0", found)  # type: ignore[arg-type]  # noqa: SLF001
    assert bool(found.failed) == bool(says)
    assert says in "".join(found.failed)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


@pytest.mark.anyio
async def test_the_faulty_link_passes_cuts_truncates_and_stalls() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with FaultyLink(server.sockets[0].getsockname()[1]) as link, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"whole")
        assert await reader.readexactly(5) == b"whole"
        link.stall(0.2)
        writer.write(b"late")
        started = asyncio.get_running_loop().time()
        assert await reader.readexactly(4) == b"late"
        assert asyncio.get_running_loop().time() - started >= 0.19
        link.cut_after(6)
        writer.write(b"four")
        assert await reader.read(100) == b"fo"
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        link.cut()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        assert link.connections == 2
    server.close()
