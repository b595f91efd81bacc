"""The first schema: runs, leases, records, people, activities, decisions, outbox.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# By code point, whatever the database's own order of texts is.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


_GROWING = (
    "account_keys", "activities", "address_links", "decisions", "merges", "outbox", "pending_records",
    "person_account_keys", "person_keys", "persons", "receipts", "record_versions", "records", "stage_entries",
)


def upgrade() -> None:
    op.create_table(
        "activities",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("activity_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("retracted_at", sa.BigInteger(), nullable=True),
        sa.Column("same_as", TEXT, nullable=True),
        sa.Column("attributes", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("company", "subject", "occurred_at", "activity_id", name=op.f("pk_activities")),
        sa.UniqueConstraint("company", "activity_id", name=op.f("uq_activities_company_activity_id")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_activities_company_source"), "activities", ["company", "source"])
    op.create_table(
        "address_links",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("remote_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "crm", "address", "stream", "remote_id", name=op.f("pk_address_links")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calls",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("company", "crm", "hour", name=op.f("pk_calls")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "company_state",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "name", name=op.f("pk_company_state")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "conflict_members",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("record", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "record", "key", "reason", name=op.f("pk_conflict_members")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_conflict_members_company_key"), "conflict_members", ["company", "key"])
    op.create_table(
        "conflicts",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("records", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "key", "reason", name=op.f("pk_conflicts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cursors",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("cursor", TEXT, nullable=False),
        sa.Column("saved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("company", "crm", "stream", name=op.f("pk_cursors")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "erased_addresses",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("company", "crm", "digest", name=op.f("pk_erased_addresses")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "erasures",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("remote_id", TEXT, nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("company", "crm", "stream", "remote_id", name=op.f("pk_erasures")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "leases",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=True),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("ttl_seconds", sa.Float(), nullable=False),
        sa.Column("acquired_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("company", name=op.f("pk_leases"))
    )
    op.create_table(
        "merges",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("loser", TEXT, nullable=False),
        sa.Column("winner", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "loser", "winner", name=op.f("pk_merges")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_merges_company_winner"), "merges", ["company", "winner"])
    op.create_table(
        "handed_pages",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("remote_ids", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "crm", "stream", name=op.f("pk_handed_pages")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pending_records",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("remote_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "crm", "stream", "remote_id", name=op.f("pk_pending_records")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "person_keys",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "key", name=op.f("pk_person_keys")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_person_keys_company_person_id"), "person_keys", ["company", "person_id"])
    for table, owner in (("account_keys", "record"), ("person_account_keys", "person_id")):
        op.create_table(
            table,
            sa.Column("company", TEXT, nullable=False),
            sa.Column("key", TEXT, nullable=False),
            sa.Column(owner, TEXT, nullable=False),
            sa.PrimaryKeyConstraint("company", "key", owner, name=op.f(f"pk_{table}")),
            sqlite_with_rowid=False,
        )
        op.create_index(op.f(f"ix_{table}_company_{owner}"), table, ["company", owner])
    op.create_table(
        "persons",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("cycle", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("stage", TEXT, nullable=True),
        sa.Column("dirty", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("dirty_version", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("handed_off_at", sa.BigInteger(), nullable=True),
        sa.Column("recycled_at", sa.BigInteger(), nullable=True),
        sa.Column("qualified_at", sa.BigInteger(), nullable=True),
        sa.Column("qualified_by", TEXT, server_default=sa.text("''"), nullable=False),
        sa.Column("sent_back_at", sa.BigInteger(), nullable=True),
        sa.Column("look_again_at", sa.BigInteger(), nullable=True),
        sa.Column("score_points", sa.Float(), nullable=True),
        sa.Column("score", TEXT, nullable=True),
        sa.Column("definition", TEXT, nullable=True),
        sa.Column("scored_at", sa.BigInteger(), nullable=True),
        sa.Column("merged_into", TEXT, nullable=True),
        sa.Column("summary", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("company", "person_id", name=op.f("pk_persons")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_persons_company_merged_into"), "persons", ["company", "merged_into"])
    op.create_index(op.f("ix_persons_company_look_again_at"), "persons", ["company", "look_again_at"])
    op.create_index(
        "ix_persons_dirty", "persons", ["company", "dirty", "person_id"],
        sqlite_where=sa.text("dirty = 1"), postgresql_where=sa.text("dirty = 1"),
    )
    op.create_table(
        "record_versions",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("remote_id", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.Column("payload", TEXT, nullable=False),
        sa.Column("links", TEXT, nullable=True),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("company", "crm", "stream", "remote_id", "version", name=op.f("pk_record_versions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "records",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("stream", TEXT, nullable=False),
        sa.Column("remote_id", TEXT, nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.Column("payload", TEXT, nullable=False),
        sa.Column("links", TEXT, nullable=True),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("removal", TEXT, nullable=True),
        sa.Column("removed_from", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("company", "crm", "stream", "remote_id", name=op.f("pk_records")),
    )
    op.create_index(
        "ix_records_removal", "records", ["company", "crm", "stream", "removal", "remote_id"],
        sqlite_where=sa.text("removal IS NOT NULL"), postgresql_where=sa.text("removal IS NOT NULL"),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("company", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("counts", TEXT, nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs"))
    )
    op.create_index(op.f("ix_runs_company_run_id"), "runs", ["company", "run_id"])
    op.create_table(
        "definitions",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("fingerprint", TEXT, nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.Column("published_by", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "number", name=op.f("pk_definitions")),
        sa.UniqueConstraint("company", "version", name=op.f("uq_definitions_company_version")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "decisions",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("decision", TEXT, nullable=False),
        sa.Column("definition", TEXT, nullable=False),
        sa.Column("points", sa.Float(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline_at", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_decisions_run_id")),
        sa.PrimaryKeyConstraint("company", "person_id", "cycle", "kind", name=op.f("pk_decisions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outbox",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("idempotency_key", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("record", TEXT, nullable=False),
        sa.Column("change", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("remote_id", TEXT, server_default=sa.text("''"), nullable=False),
        sa.Column("reason", TEXT, server_default=sa.text("''"), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("told", TEXT, server_default=sa.text("''"), nullable=False),
        sa.Column("remedy", TEXT, server_default=sa.text("''"), nullable=False),
        sa.Column("replacement", TEXT, nullable=True),
        sa.Column("replacement_run_id", sa.Integer(), nullable=True),
        sa.Column("written", TEXT, nullable=True),
        sa.Column("written_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_outbox_run_id")),
        sa.PrimaryKeyConstraint("company", "crm", "idempotency_key", name=op.f("pk_outbox")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_outbox_company_crm_record"), "outbox", ["company", "crm", "record"])
    op.create_index(
        op.f("ix_outbox_company_state_crm_planned_at_person_id_priority"), "outbox",
        ["company", "state", "crm", "planned_at", "person_id", "priority"],
    )
    op.create_index(op.f("ix_outbox_company_person_id"), "outbox", ["company", "person_id"])
    op.create_table(
        "receipts",
        sa.Column("receipt_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("company", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("idempotency_key", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("record", TEXT, nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("remote_id", TEXT, server_default=sa.text("''"), nullable=False),
        sa.Column("reason", TEXT, server_default=sa.text("''"), nullable=False),
        sa.Column("before", TEXT, nullable=True),
        sa.Column("after", TEXT, nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_receipts_run_id")),
        sa.PrimaryKeyConstraint("receipt_id", name=op.f("pk_receipts")),
    )
    op.create_index(op.f("ix_receipts_company_run_id"), "receipts", ["company", "run_id"])
    op.create_index(op.f("ix_receipts_company_person_id"), "receipts", ["company", "person_id"])
    op.create_index(op.f("ix_receipts_company_crm_record"), "receipts", ["company", "crm", "record"])
    op.create_table(
        "stage_entries",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("stage", TEXT, nullable=False),
        sa.Column("entered_at", sa.BigInteger(), nullable=False),
        sa.Column("left_at", sa.BigInteger(), nullable=True),
        sa.Column("basis", TEXT, nullable=False),
        sa.Column("crm", TEXT, nullable=False),
        sa.Column("lane", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "person_id", "cycle", "stage", name=op.f("pk_stage_entries")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "assignments",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("rotation", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("company", "rotation", "person_id", "cycle", name=op.f("pk_assignments")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_assignments_company_person_id"), "assignments", ["company", "person_id"])
    op.create_table(
        "notices",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("recipient_kind", TEXT, nullable=False),
        sa.Column("recipient_email", TEXT, nullable=False),
        sa.Column("line", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("is_repeat", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", TEXT, server_default=sa.text("''"), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_notices_run_id")),
        sa.PrimaryKeyConstraint("company", "key", name=op.f("pk_notices")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_notices_company_state"), "notices", ["company", "state"])
    op.create_index(op.f("ix_notices_company_person_id"), "notices", ["company", "person_id"])
    op.create_table(
        "firings",
        sa.Column("company", TEXT, nullable=False),
        sa.Column("person_id", TEXT, nullable=False),
        sa.Column("trigger_id", TEXT, nullable=False),
        sa.Column("fired_at", sa.BigInteger(), nullable=False),
        sa.Column("evidence", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("company", "person_id", "trigger_id", "fired_at", name=op.f("pk_firings")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_firings_company_evidence"), "firings", ["company", "evidence"])
    if op.get_bind().dialect.name == "postgresql":
        # Every key begins with the company. Of one that its statistics do not know yet, PostgreSQL expects a handful
        # of rows, and would read all of a stream to find those of one page: so it looks again after 2 % of change
        # instead of 10 (and after a minute, as ever, in a database that was empty).
        for table in _GROWING:
            op.execute(f"ALTER TABLE {table} SET (autovacuum_analyze_scale_factor = 0.02)")
