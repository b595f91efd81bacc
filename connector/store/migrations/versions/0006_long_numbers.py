"""Numbers of runs and receipts of 64 bits on PostgreSQL: thousands of companies use up 31 bits within a few years.

SQLite's numbers have 64 bits by themselves.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NUMBERS = {
    "runs": ("run_id",),
    "receipts": ("receipt_id", "run_id"),
    "decisions": ("run_id",),
    "outbox": ("run_id", "replacement_run_id"),
    "notices": ("run_id",),
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in _NUMBERS.items():
        op.execute(", ".join([
            f"ALTER TABLE {table} ALTER COLUMN {columns[0]} TYPE BIGINT",      # each table is written anew once
            *(f"ALTER COLUMN {column} TYPE BIGINT" for column in columns[1:]),
        ]))
    for sequence in ("runs_run_id_seq", "receipts_receipt_id_seq"):
        op.execute(sa.text(f"ALTER SEQUENCE {sequence} AS BIGINT"))
