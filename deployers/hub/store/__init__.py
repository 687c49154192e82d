"""What the hub keeps: readings and forecasts, acknowledged once they are on the disk.

records.py     what goes in and comes out
models.py      the tables
database.py    engines for SQLite and PostgreSQL, and their errors as ours
migrate.py     Alembic, run when a store is opened (migrations/)
writer.py      the one thread that writes: many callers, one transaction
writes.py      what it executes
queries.py     what is read
watching.py    what the monitor reads and keeps
alerting.py    what alerts have told
retrainings.py what was asked of the training side
challenges.py  what is kept of challengers
store.py       `Store`
"""

from __future__ import annotations

from deployers.hub.store.records import (
    Expired,
    Filter,
    Kept,
    Place,
    Retention,
    SeriesView,
    StoredForecast,
    StoredReading,
    is_storable,
    series_name,
)
from deployers.hub.store.store import Store

__all__ = [
    "Expired",
    "Filter",
    "Kept",
    "Place",
    "Retention",
    "SeriesView",
    "Store",
    "StoredForecast",
    "StoredReading",
    "is_storable",
    "series_name",
]
