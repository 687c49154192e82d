"""What Alembic runs: the scripts in versions/, on the connection that `deployers.hub.store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from deployers.hub.store.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite takes back tables as well; Alembic expects that of the driver's own transactions only, which are off here.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
