"""Readings of a file on this machine, as steps elsewhere find them."""

from __future__ import annotations

import importlib
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from zenml.enums import StackComponentType

from forecaster.errors import SourceError
from forecaster.sources import Selection, fingerprint, read_readings
from pipelines import carried as module
from pipelines.carried import carried
from pipelines.config import DataConfig
from steps.data.collect import collect

ROWS = [("2026-01-01 00:00:00", "a", 20.125, "in"), ("2026-01-01 00:10:00.5", "a", -0.1, "in"),
        ("2026-01-01 00:00:00", "b", 1 / 3, "in")]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the artifact store of a stack whose steps run in containers."""
    use(monkeypatch, tmp_path / "store", "local_docker")
    return tmp_path / "store" / "carried"


def use(monkeypatch: pytest.MonkeyPatch, path: Path, flavor: str) -> None:
    model = SimpleNamespace(components={StackComponentType.ORCHESTRATOR: [SimpleNamespace(flavor_name=flavor)]})
    stack = SimpleNamespace(artifact_store=SimpleNamespace(path=str(path)))
    client = SimpleNamespace(active_stack_model=model, active_stack=stack)
    monkeypatch.setattr(module, "Client", lambda: client)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "readings.csv"
    pd.DataFrame(ROWS, columns=["time_point", "user", "value", "tag"]).assign(id=[0, 1, 2]).to_csv(made, index=False)
    return made


def config(source: str | Path, user: str | None = "a") -> DataConfig:
    return DataConfig(source=str(source), user=user)


def key(data: DataConfig) -> str:
    return fingerprint(data.source, Selection(user=data.user, tag=data.tag))


def test_steps_elsewhere_get_what_the_file_says_without_it(
    store: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("steps.data.collect"), "beside", lambda *_: None)  # no step runs here
    data = config(file)
    uri, here = carried(data, key(data)), read_readings(str(file), Selection(user="a"))
    assert uri == str(store / f"{key(data)}.parquet")
    file.unlink()
    there = collect.entrypoint(data.source, data.user, data.tag, Path(uri or "").stem, uri)
    pd.testing.assert_frame_equal(there, here, check_exact=True)
    assert list(there["value"]) == [20.125, -0.1]


def test_only_the_selected_readings_leave_the_machine(store: Path, file: Path) -> None:
    other = config(file, "b")
    uri = carried(other, key(other))
    assert uri is not None
    assert list(pd.read_parquet(uri)["value"]) == [1 / 3]


def test_what_is_there_is_not_read_again(store: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = config(file)
    first = carried(data, key(data))
    monkeypatch.setattr(module, "read_readings", lambda *_: pytest.fail("read again"))
    assert carried(data, key(data)) == first


def test_a_copy_that_was_cut_off_is_not_taken_for_a_whole_one(
    store: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = config(file)
    with monkeypatch.context() as cut:
        cut.setattr(module.fileio, "rename", lambda *_, **__: (_ for _ in ()).throw(OSError("cut")))
        with pytest.raises(OSError, match="cut"):
            carried(data, key(data))
    assert not (store / f"{key(data)}.parquet").exists()
    assert len(pd.read_parquet(carried(data, key(data)))) == 2


def test_a_database_in_a_file_is_carried_too(store: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "readings.db") as database:
        database.execute("create table temperature (time_point text, user text, value real, tag text, id integer)")
        database.executemany("insert into temperature values (?, ?, ?, ?, 1)", ROWS)
    database.close()
    data = config(f"sqlite:///{tmp_path / 'readings.db'}")
    uri = carried(data, key(data))
    assert uri is not None
    assert list(pd.read_parquet(uri)["value"]) == [20.125, -0.1]


@pytest.mark.parametrize("source", ["simulated://lab", "postgresql://db/x", "hub://jetson/kitchen"])
def test_what_every_machine_reads_for_itself_is_left_alone(store: Path, source: str) -> None:
    assert carried(config(source), "f" * 64) is None
    assert not store.exists()


def test_steps_of_this_process_read_the_file(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, tmp_path / "store", "local")
    assert carried(config(file), "f" * 64) is None
    assert not (tmp_path / "store").exists()


def test_a_file_that_is_not_there_is_told_as_ever(store: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.csv"):
        carried(config(tmp_path / "absent.csv"), "f" * 64)
