"""Forecasts of challengers that boards carry: the fourth source, which an earlier hub does not know."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Change nothing: the tables hold a source as its place in a list that has become longer."""


def downgrade() -> None:
    """Remove what an earlier hub could not read."""
    op.execute("DELETE FROM forecast WHERE source = 3")
