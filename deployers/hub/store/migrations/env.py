"""What Alembic runs: the scripts in versions/, on the connection that `deployers.hub.store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from deployers.hub.store.models import metadata

# The connection is in a transaction already, and Alembic leaves it to whoever began it.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
