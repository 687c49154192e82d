"""Readings and forecasts."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, and give the store its name."""
    identity = op.create_table(
        "identity", sa.Column("store", sa.Text), sa.PrimaryKeyConstraint("store", name="pk_identity")
    )
    op.create_table(
        "series",
        sa.Column("id", BIG, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("different", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("name", name="uq_series_name"),
    )
    op.create_table(
        "reading",
        sa.Column("id", BIG, nullable=False),
        sa.Column("series_id", sa.BigInteger, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("microcelsius", sa.Integer, nullable=False),
        sa.Column("received_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reading"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_reading_series_id_series"),
        sa.UniqueConstraint("series_id", "time_ms", name="uq_reading_series_id_time_ms"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "forecast",
        sa.Column("id", BIG, nullable=False),
        sa.Column("series_id", sa.BigInteger, nullable=False),
        sa.Column("source", sa.SmallInteger, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("slot_state", sa.SmallInteger, nullable=False),
        sa.Column("celsius", sa.LargeBinary, nullable=False),
        sa.Column("received_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_forecast"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_forecast_series_id_series"),
        sa.UniqueConstraint(
            "series_id", "source", "time_ms", "version", name="uq_forecast_series_id_source_time_ms_version"
        ),
        sqlite_autoincrement=True,
    )
    op.bulk_insert(identity, [{"store": uuid.uuid4().hex}])


def downgrade() -> None:
    """Remove the tables and all that is in them."""
    for table in ("forecast", "reading", "series", "identity"):
        op.drop_table(table)
