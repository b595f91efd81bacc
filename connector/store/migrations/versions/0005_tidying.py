"""What refers to a run is found by the run's number: a run that nothing refers to may be deleted.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("decisions", "outbox", "receipts", "notices"):
        op.create_index(op.f(f"ix_{table}_run_id"), table, ["run_id"])
    op.create_index(
        op.f("ix_outbox_replacement_run_id"), "outbox", ["replacement_run_id"],
        sqlite_where=sa.text("replacement_run_id IS NOT NULL"),
        postgresql_where=sa.text("replacement_run_id IS NOT NULL"),
    )
    op.drop_index(op.f("ix_receipts_company_run_id"), "receipts")      # runs have numbers of their own
