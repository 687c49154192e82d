"""Readings from a hub into a dataset, end to end: its store is a real PostgreSQL, its routes answer on loopback."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from deployers.protocol.messages import Reading
from forecaster.sources.simulated import simulated_table
from tests.store_hub import TOKEN, StoreHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIMULATED = "simulated://lab?days=60&seed=1"
SERIES = "lab/indoor"


@pytest.fixture(scope="module")
def readings() -> list[Reading]:
    table = simulated_table(SIMULATED)
    times = [datetime.fromisoformat(str(text)).replace(tzinfo=UTC) for text in table["time_point"]]
    values = [round(float(value) * 1e6) for value in table["value"]]
    return [Reading(round(at.timestamp() * 1000), value) for at, value in zip(times, values, strict=True)]


@pytest.fixture
def hub(postgres_url: str) -> Iterator[StoreHub]:
    name = f"hub_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        with StoreHub(postgres_url.rpartition("/")[0] + f"/{name}") as running:
            yield running
        owner.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def keep(hub: StoreHub, readings: list[Reading]) -> None:
    assert hub.do(hub.store.keep_readings(SERIES, readings)) == len(readings)


def rows_fetched(hub: StoreHub) -> list[str]:
    return [asked.partition("&")[2] for asked in hub.asked if "export.csv" in asked]


def test_a_hub_becomes_a_dataset_and_only_what_is_new_is_fetched_again(
    workplace: Any, hub: StoreHub, readings: list[Reading]
) -> None:
    source, token = f"hub://127.0.0.1:{hub.port}/{SERIES}", {"EDGELOOP_HUB_TOKEN": TOKEN}
    command = ("data", "--source", source, "--set", "dataset=hub")
    keep(hub, readings[:-144])
    first = workplace.succeed(*command, env=token)
    assert first.result["dataset_version"] == "hub:1"
    assert first.result["source"] == source
    assert first.result["dataset"]["rows"] == len(readings) - 144
    assert rows_fetched(hub) == [f"after_id=0&upto_id={len(readings) - 144}"]

    keep(hub, readings[-144:])
    more = workplace.succeed(*command, env=token)
    assert more.result["dataset"]["rows"] == len(readings)
    assert rows_fetched(hub)[1:] == [f"after_id={len(readings) - 144}&upto_id={len(readings)}"]

    for outcome in (first, more):
        assert TOKEN not in outcome.stdout + outcome.stderr
    assert not [path for path in workplace.home.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]


def test_the_exported_file_is_a_source_as_it_is(
    workplace: Any, hub: StoreHub, readings: list[Reading], tmp_path: Path
) -> None:
    keep(hub, readings)
    csv = tmp_path / "export.csv"
    csv.write_bytes(hub.do(exported(hub)))
    result = workplace.succeed("data", "--source", str(csv), "--set", "dataset=exported").result
    assert result["dataset"]["rows"] == len(readings)
    assert result["cleaning"]["rows_in"] == len(readings)


def test_a_hub_that_cannot_be_read(workplace: Any, hub: StoreHub, readings: list[Reading], free_port: Any) -> None:
    keep(hub, readings[:10])
    source = f"hub://127.0.0.1:{hub.port}/{SERIES}"
    assert "set EDGELOOP_HUB_TOKEN" in workplace.refuse(2, "data", "--source", source)
    token = {"EDGELOOP_HUB_TOKEN": TOKEN}
    assert f"it has {SERIES!r}" in workplace.refuse(2, "data", "--source", f"{source}s", env=token)
    nobody = f"hub://127.0.0.1:{free_port()}/{SERIES}"
    assert "does not answer" in workplace.refuse(5, "data", "--source", nobody, env=token)


async def exported(hub: StoreHub) -> bytes:
    from deployers.hub.export import csv_chunks
    from deployers.hub.store import Filter

    return b"".join([chunk async for chunk in csv_chunks(hub.store, Filter())])
