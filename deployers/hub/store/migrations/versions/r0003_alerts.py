"""What alerts have told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "alert_told",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("series_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("test", sa.Text, nullable=False),
        sa.Column("level", sa.SmallInteger, nullable=False),
        sa.Column("told_ms", sa.BigInteger, nullable=False),
        sa.Column("heard_ms", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("channel", "series_id", "test", name="pk_alert_told"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_alert_told_series_id_series"),
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("alert_told")
