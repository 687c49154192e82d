"""The tables, and how a database comes to have them."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from deployers.exceptions import InputError
from deployers.hub.store import Store, StoredForecast, migrate
from deployers.hub.store.database import Database
from deployers.hub.store.models import metadata
from deployers.protocol.messages import Reading

if TYPE_CHECKING:
    from pathlib import Path


def changed(url: str, statement: str) -> None:
    database = Database(url)
    with closing(database.connect()) as connection, connection.begin():
        connection.exec_driver_sql(statement)
    database.dispose()


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    return ScriptDirectory.from_config(config)


def test_the_scripts_make_what_the_models_say(url: str) -> None:
    database = Database(url)
    database.upgrade()
    with closing(database.connect()) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        names = [constraint["name"] for constraint in inspect(connection).get_unique_constraints("reading")]
        assert names == ["uq_reading_series_id_time_ms"]
    database.dispose()


def test_a_second_upgrade_changes_nothing(url: str) -> None:
    database = Database(url)
    database.upgrade()
    with closing(database.connect()) as connection:
        before = connection.exec_driver_sql("SELECT store FROM identity").all()
    database.upgrade()
    with closing(database.connect()) as connection:
        assert connection.exec_driver_sql("SELECT store FROM identity").all() == before
    database.dispose()


def test_a_database_of_a_newer_hub_is_refused_and_left_alone(url: str) -> None:
    Database(url).upgrade()
    newest = scripts().get_current_head()
    changed(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InputError, match=rf"revision '9999', newer than '{newest}'.*deploy a newer hub"):
        asyncio.run(Store(url).open())
    changed(url, f"UPDATE alembic_version SET version_num = '{newest}'")  # noqa: S608 - the scripts' own number
    asyncio.run(_use(url))


def test_forecasts_of_an_earlier_hub_keep_their_sources_and_new_ones_come_beside_them(url: str) -> None:
    made = [StoredForecast("a", source, 600_000, 1, 0, (20.0,), 0) for source in ("board", "hub", "shadow")]
    carried = replace(made[0], source="board-shadow", slot_state=3)
    asyncio.run(_kept(url, made))
    changed(url, "UPDATE alembic_version SET version_num = '0005'")
    assert asyncio.run(_kept(url, [carried])) == [*made, carried]
    database = Database(url)
    with closing(database.connect()) as connection:
        rows = connection.exec_driver_sql("SELECT source, slot_state FROM forecast ORDER BY source").all()
        assert [tuple(row) for row in rows] == [(0, 0), (1, 0), (2, 0), (3, 3)]
    database.dispose()


def test_the_way_back_removes_what_an_earlier_hub_cannot_read(url: str) -> None:
    made = [StoredForecast("a", source, 600_000, 1, 0, (20.0,), 0) for source in ("shadow", "board-shadow")]
    asyncio.run(_kept(url, made))
    database = Database(url)
    with closing(database.connect()) as connection, connection.begin():
        command.downgrade(migrate._config(connection), "0005")  # noqa: SLF001 - the hub itself only goes forward
    database.dispose()
    assert asyncio.run(_kept(url, [])) == made[:1]


def test_a_script_that_fails_leaves_nothing_behind(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = tmp_path / "100%" / "migrations"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text((migrate.SCRIPTS / "env.py").read_text())
    first = next((migrate.SCRIPTS / "versions").glob("r0001*.py")).read_text()
    (scripts / "versions" / "r0001.py").write_text(first)
    (scripts / "versions" / "r0002.py").write_text(
        "from alembic import op\nrevision, down_revision = '0002', '0001'\n"
        "def upgrade():\n    op.execute('CREATE TABLE half (x INTEGER)')\n    raise ZeroDivisionError\n"
    )
    monkeypatch.setattr(migrate, "SCRIPTS", scripts)
    database = Database(url)
    with pytest.raises(ZeroDivisionError):
        database.upgrade()
    with closing(database.connect()) as connection:
        assert inspect(connection).get_table_names() == []
    database.dispose()
    monkeypatch.undo()
    asyncio.run(_use(url))


def test_there_is_one_newest_revision_and_each_script_says_what_it_does() -> None:
    assert len(scripts().get_heads()) == 1
    assert all(script.doc for script in scripts().walk_revisions())


async def _kept(url: str, made: list[StoredForecast]) -> list[StoredForecast]:
    async with Store(url) as store:
        await store.keep_forecasts(made)
        return await store.forecasts("a")


async def _use(url: str) -> None:
    async with Store(url) as store:
        await store.keep_readings("a", [Reading(1, 1)])
        assert await store.readings("a") == [Reading(1, 1)]
