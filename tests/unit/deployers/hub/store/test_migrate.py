"""The tables, and how a database comes to have them."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from deployers.exceptions import InputError
from deployers.hub.store import Store, migrate
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


async def _use(url: str) -> None:
    async with Store(url) as store:
        await store.keep_readings("a", [Reading(1, 1)])
        assert await store.readings("a") == [Reading(1, 1)]
