"""The tables of one org's SQLite file: one per object, and the sandbox's own, whose names begin with an underscore."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from connector.adapters.salesforce.sandbox.schema import SObject

_OWN = (
    "CREATE TABLE _field (id TEXT PRIMARY KEY, sobject TEXT NOT NULL, definition BLOB NOT NULL)",
    "CREATE TABLE _picklist (sobject TEXT, field TEXT, picklist BLOB, PRIMARY KEY (sobject, field))",
    "CREATE TABLE _sequence (last INTEGER NOT NULL)",
    "INSERT INTO _sequence VALUES (0)",
    # Open queries.
    "CREATE TABLE _locator (id TEXT PRIMARY KEY, soql TEXT NOT NULL, show_all INTEGER NOT NULL, "
    "total INTEGER NOT NULL, first_page BLOB NOT NULL, row_numbers BLOB, expires_at TEXT NOT NULL)",
    # Bulk jobs, the lines that queries found, the files of ingest jobs and what became of their rows.
    "CREATE TABLE _job (id TEXT PRIMARY KEY, kind TEXT NOT NULL, created_at TEXT NOT NULL, definition BLOB NOT NULL)",
    "CREATE TABLE _job_row (n INTEGER PRIMARY KEY, line TEXT NOT NULL)",
    "CREATE TABLE _job_upload (job TEXT PRIMARY KEY, csv BLOB NOT NULL)",
    "CREATE TABLE _job_verdict (n INTEGER PRIMARY KEY, job TEXT, verdict TEXT, line TEXT)",
    "CREATE INDEX _job_verdict_job ON _job_verdict (job, verdict)",
    # Deleted because another was; emptied out of the bin; gone for good.
    "CREATE TABLE _deleted_with (id TEXT PRIMARY KEY, sobject TEXT NOT NULL, root TEXT NOT NULL)",
    "CREATE INDEX _deleted_with_root ON _deleted_with (root)",
    "CREATE TABLE _emptied (id TEXT PRIMARY KEY, sobject TEXT NOT NULL, hidden_at TEXT NOT NULL)",
    "CREATE TABLE _gone (id TEXT PRIMARY KEY, sobject TEXT NOT NULL, deleted_at TEXT NOT NULL)",
    # The administrator's rules, transactions that run long, crowds on their way in.
    "CREATE TABLE _rule (id INTEGER PRIMARY KEY, definition BLOB NOT NULL)",
    "CREATE TABLE _transaction (id INTEGER PRIMARY KEY, begun_at TEXT NOT NULL, ends_at TEXT NOT NULL, "
    "writes BLOB NOT NULL)",
    "CREATE TABLE _crowd (id INTEGER PRIMARY KEY, definition BLOB NOT NULL, done INTEGER NOT NULL)",
)

_LOOKUPS: tuple[tuple[str, str], ...] = (
    ("Lead", "Email"), ("Contact", "Email"), ("Contact", "AccountId"), ("CampaignMember", "CampaignId"),
    ("CampaignMember", "LeadId"), ("CampaignMember", "ContactId"), ("CampaignMemberStatus", "CampaignId"),
    ("Task", "WhoId"), ("Event", "WhoId"), ("LeadHistory", "LeadId"), ("ContactHistory", "ContactId"),
    ("OpportunityFieldHistory", "OpportunityId"), ("EmailMessageRelation", "EmailMessageId"),
    ("EmailMessageRelation", "RelationId"), ("ContentDocumentLink", "LinkedEntityId"),
    ("ContentDocumentLink", "ContentDocumentId"), ("OpportunityContactRole", "OpportunityId"),
    ("OpportunityContactRole", "ContactId"), ("Opportunity", "AccountId"),
)


def create_tables(db: sqlite3.Connection, objects: Iterable[SObject]) -> None:
    """Create every table and index of a new org."""
    for statement in _OWN:
        db.execute(statement)
    for one in objects:
        columns = ", ".join(f.sql_column for f in one.stored_fields if f.name != "Id")
        db.execute(f'CREATE TABLE "{one.name}" (_row INTEGER PRIMARY KEY, "Id" TEXT NOT NULL UNIQUE, {columns})')
        _create_time_indexes(db, one)
    for table, column in _LOOKUPS:
        db.execute(f'CREATE INDEX "{table}_{column}" ON "{table}" ("{column}")')


def _create_time_indexes(db: sqlite3.Connection, one: SObject) -> None:
    if "SystemModstamp" in one.fields:
        # IsDeleted is in the index so that an incremental query and its count need no table look-up.
        last = ', "IsDeleted"' if "IsDeleted" in one.fields else ""
        db.execute(f'CREATE INDEX "{one.name}_changed" ON "{one.name}" ("SystemModstamp", "Id"{last})')
        if last:
            db.execute(f'CREATE INDEX "{one.name}_bin" ON "{one.name}" ("SystemModstamp") WHERE "IsDeleted" = 1')
    elif "CreatedDate" in one.fields:
        db.execute(f'CREATE INDEX "{one.name}_made" ON "{one.name}" ("CreatedDate", "Id")')
