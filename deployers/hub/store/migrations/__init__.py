"""Alembic finds its environment here; `deployers.hub.store.migrate` starts it."""
