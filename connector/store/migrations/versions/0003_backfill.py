"""Backfills with their streams and calls, and who is held by one.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# By code point, whatever the database's own order of texts is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "backfills",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("handoff", TEXT, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("worked_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("company", "number", name=op.f("pk_backfills")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "backfill_streams",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("is_whole", sa.SmallInteger(), nullable=False),
        sa.Column("expected_calls", sa.Integer(), nullable=True),
        sa.Column("calls", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("records", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("company", "number", "crm", "stream", name=op.f("pk_backfill_streams")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "backfill_calls",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("company", "crm", "hour", name=op.f("pk_backfill_calls")),
        sqlite_with_rowid=False,
    )
    op.add_column("persons", sa.Column("held_at", sa.BigInteger(), nullable=True))
    op.create_index(
        op.f("ix_persons_held"), "persons", ["company", "held_at", "person_id"],
        sqlite_where=sa.text("held_at IS NOT NULL"), postgresql_where=sa.text("held_at IS NOT NULL"),
    )
