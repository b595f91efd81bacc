"""Why a run failed, and with which configuration a company's turns fail.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# By code point, whatever the database's own order of texts is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("runs", sa.Column("trouble", TEXT, nullable=False, server_default=sa.text("''")))
    op.add_column("schedules", sa.Column("failed_with", TEXT, nullable=False, server_default=sa.text("''")))
