"""What the monitor remembers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "watch",
        sa.Column("series_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("series_id", name="pk_watch"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_watch_series_id_series"),
    )
    op.create_table(
        "watch_day",
        sa.Column("series_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("source", sa.SmallInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("is_masked", sa.SmallInteger, nullable=False),
        sa.Column("sums", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("series_id", "day", "source", "version", name="pk_watch_day"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_watch_day_series_id_series"),
    )
    op.create_table(
        "watch_cursor",
        sa.Column("id", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("reading_id", sa.BigInteger, nullable=False),
        sa.Column("forecast_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_watch_cursor"),
    )


def downgrade() -> None:
    """Remove the tables and all that is in them."""
    for table in ("watch_cursor", "watch_day", "watch"):
        op.drop_table(table)
