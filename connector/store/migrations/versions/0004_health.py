"""How many turns ended how, and the moment of the event that made a handoff.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# By code point, whatever the database's own order of texts is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "turns",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("company", "outcome", name=op.f("pk_turns")),
        sqlite_with_rowid=False,
    )
    op.add_column("decisions", sa.Column("event_at", sa.BigInteger(), nullable=True))
