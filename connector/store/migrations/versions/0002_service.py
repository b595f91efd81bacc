"""When the service turns to each company, and finding receipts by their time.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# By code point, whatever the database's own order of texts is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("progressed_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", TEXT, server_default=sa.text("''"), nullable=False),
        sa.Column("trouble", TEXT, server_default=sa.text("''"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("alarmed_at", sa.BigInteger(), nullable=True),
        sa.Column("alarm_told_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("company", name=op.f("pk_schedules")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_schedules_due_at"), "schedules", ["due_at"])
    op.create_index(op.f("ix_receipts_company_kind_at"), "receipts", ["company", "kind", "at"])
