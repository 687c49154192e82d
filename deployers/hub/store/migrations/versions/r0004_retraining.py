"""What was asked of the training side."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Make the table."""
    big = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "retraining",
        sa.Column("id", big, nullable=False),
        sa.Column("series_id", sa.BigInteger, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("numbers", sa.Text, nullable=False),
        sa.Column("asked_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("job", sa.Text),
        sa.Column("reading_id", sa.BigInteger),
        sa.Column("answer", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_retraining"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_retraining_series_id_series"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_retraining_series_id", "retraining", ["series_id"])


def downgrade() -> None:
    """Remove the table and all that is in it."""
    op.drop_table("retraining")
