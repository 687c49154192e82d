"""Challengers in the shadow of the active version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "challenge",
        sa.Column("version", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("champion", sa.BigInteger, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("days", sa.Text, nullable=False),
        sa.Column("passed", sa.Text, nullable=False),
        sa.Column("better", sa.Double, nullable=False),
        sa.Column("worse", sa.Double, nullable=False),
        sa.Column("promotion", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_challenge"),
    )


def downgrade() -> None:
    """Remove the table and all that is in it; nothing of the newer hub's forecasts in the shadow is left either."""
    op.drop_table("challenge")
    op.execute("DELETE FROM forecast WHERE source = 2")
    op.execute("DELETE FROM watch_day WHERE source = 2")
