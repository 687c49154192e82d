"""Brings a database to this hub's revision, by Alembic and the scripts in migrations/versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from deployers.exceptions import InputError

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Beside this file, so that they travel with the code.
SCRIPTS = Path(__file__).resolve().parent / "migrations"


def upgrade(connection: Connection, name: str) -> None:
    """Run the scripts that the database has not seen, in the transaction of the connection: all of them or none.

    Args:
        connection: in a transaction that keeps other hubs from doing the same.
        name: of the database, for messages.

    Raises:
        InputError: the database has a revision that is not among these scripts.
    """
    config = _config(connection)
    scripts = ScriptDirectory.from_config(config)
    there, newest = MigrationContext.configure(connection).get_current_revision(), scripts.get_current_head()
    if there == newest:
        return
    if there not in (None, *(script.revision for script in scripts.walk_revisions())):
        msg = f"database {name!r} has revision {there!r}, newer than {newest!r} of this hub: deploy a newer hub"
        raise InputError(msg)
    command.upgrade(config, "head")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
