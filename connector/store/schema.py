"""The store's tables: what is kept, under which key, found by which index.

Every table but `runs` is keyed by company first, so that one company's rows lie together. Instants are integer
microseconds (see `instants`), JSON is text written by `codec`, and rows that are read in key order are clustered
on their key (WITHOUT ROWID on SQLite).

A change here needs a new file in `migrations/versions` and its revision in `versions.REVISIONS`; a test compares
the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from connector.store.instants import Instant

_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Ordered by code point on every database: pages go on after the last id, and ranges of ids end at one."""

_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""A number that counts rows of all companies: on SQLite only an INTEGER has 64 bits and is given by itself."""

METADATA = MetaData(naming_convention={
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
})


def _key(name: str) -> Column[str]:
    return Column(name, _TEXT, primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, _TEXT, nullable=False)


def _count(name: str, default: int) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text(str(default)))


runs = Table(
    "runs", METADATA,
    Column("run_id", _NUMBER, primary_key=True),
    _text("company"), _text("kind"), _text("status"),
    Column("counts", _TEXT),                                # JSON object; NULL while it runs
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("trouble", _TEXT, nullable=False, server_default=text("''")),   # one line; no personal data
    Index(None, "company", "run_id"),
)

leases = Table(
    "leases", METADATA,
    _key("company"),
    Column("holder", _TEXT),                                # NULL: released; the row stays, so that tokens only grow
    Column("token", Integer, nullable=False),
    Column("ttl_seconds", Float, nullable=False),
    Column("acquired_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

company_state = Table(
    "company_state", METADATA,
    _key("company"), _key("name"), _text("value"),
    sqlite_with_rowid=False,
)

cursors = Table(
    "cursors", METADATA,
    _key("company"), _key("crm"), _key("stream"), _text("cursor"),
    Column("saved_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

calls = Table(
    "calls", METADATA,
    _key("company"), _key("crm"),
    Column("hour", Instant, primary_key=True),             # its beginning
    Column("calls", Integer, nullable=False),
    sqlite_with_rowid=False,
)

records = Table(
    "records", METADATA,
    _key("company"), _key("crm"), _key("stream"), _key("remote_id"),
    Column("modified_at", Instant, nullable=False),        # as the CRM says
    _text("payload"),                                      # JSON object, keys sorted: equal texts are equal payloads
    Column("links", _TEXT),                                 # the same; NULL for none
    Column("first_seen_at", Instant, nullable=False),      # when we first read it
    Column("valid_from", Instant, nullable=False),         # when we read this version
    _count("version", 1),
    Column("removal", _TEXT),                               # `deleted`, `merged` or `erased`; NULL: its CRM has it
    Column("removed_from", _TEXT),                          # whose it was when it was removed: a person id
)
Index(
    # `removal` is among the columns for the same reason as `dirty` below.
    "ix_records_removal", records.c.company, records.c.crm, records.c.stream, records.c.removal, records.c.remote_id,
    sqlite_where=text("removal IS NOT NULL"), postgresql_where=text("removal IS NOT NULL"),
)
# Not clustered: its rows are long, and ids come in any order. A page of 2,000 new ones would be written to as many
# places of the table; so it goes to its end, and only the index's short entries are spread (a third of the CPU).

# Which records are found by an address and by no id (form submissions): to find those of a human who is erased.
address_links = Table(
    "address_links", METADATA,
    _key("company"), _key("crm"), _key("address"), _key("stream"), _key("remote_id"),
    sqlite_with_rowid=False,
)

# Every merge a CRM ever told of, also of records we never had: links and activities go on naming the loser.
merges = Table(
    "merges", METADATA,
    _key("company"), _key("loser"), _key("winner"),        # str(RecordKey)
    Index(None, "company", "winner"),
    sqlite_with_rowid=False,
)

# What is to be erased when it was told again some time later, and as many as are to be are found credible.
erasures = Table(
    "erasures", METADATA,
    _key("company"), _key("crm"), _key("stream"), _key("remote_id"),
    Column("removed_at", Instant, nullable=False),
    Column("noted_at", Instant, nullable=False),           # when we were first told
    Column("told_at", Instant, nullable=False),            # and when last
    sqlite_with_rowid=False,
)

# Whose records from before `erased_at` must not come back: keyed digests, never the addresses themselves.
erased_addresses = Table(
    "erased_addresses", METADATA,
    _key("company"), _key("crm"), _key("digest"),
    Column("erased_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

# The records not evaluated since they came or changed. A table and not a flag on `records`: SQLite's planner prefers
# the clustered key to a partial index on the flag, and would read the whole stream to find the few that are pending.
pending_records = Table(
    "pending_records", METADATA,
    _key("company"), _key("crm"), _key("stream"), _key("remote_id"),
    sqlite_with_rowid=False,
)

# The records of a page that are being evaluated in memory: a mark for the page instead of one for each record.
handed_pages = Table(
    "handed_pages", METADATA,
    _key("company"), _key("crm"), _key("stream"),
    _text("remote_ids"),                                   # JSON array
    sqlite_with_rowid=False,
)

record_versions = Table(
    "record_versions", METADATA,
    _key("company"), _key("crm"), _key("stream"), _key("remote_id"),
    Column("version", Integer, primary_key=True),          # two changes may be read at one instant
    Column("modified_at", Instant, nullable=False),
    _text("payload"),
    Column("links", _TEXT),
    Column("valid_from", Instant, nullable=False),
    Column("valid_to", Instant, nullable=False),
    sqlite_with_rowid=False,
)

persons = Table(
    "persons", METADATA,
    _key("company"), _key("person_id"),
    _count("cycle", 1),
    Column("stage", _TEXT),                                 # as the CRMs had it when this cycle began
    Column("dirty", SmallInteger, nullable=False, server_default=text("0")),
    _count("dirty_version", 0),                            # grows each time the person becomes dirty
    Column("handed_off_at", Instant),
    Column("recycled_at", Instant),
    Column("qualified_at", Instant),
    Column("qualified_by", _TEXT, nullable=False, server_default=text("''")),
    Column("sent_back_at", Instant),                       # we sent them back to nurturing, in this cycle
    Column("held_at", Instant),                            # the beginning of the backfill that holds them
    Column("look_again_at", Instant),                      # when time alone may change what is decided
    Column("score_points", Float),
    Column("score", _TEXT),
    Column("definition", _TEXT),
    Column("scored_at", Instant),
    Column("merged_into", _TEXT),
    Column("summary", _TEXT),
    Index(None, "company", "merged_into"),
    Index(None, "company", "look_again_at"),
    sqlite_with_rowid=False,
)
Index(
    # `dirty` itself is among the columns: without it SQLite's planner prefers the clustered key.
    "ix_persons_dirty", persons.c.company, persons.c.dirty, persons.c.person_id,
    sqlite_where=text("dirty = 1"), postgresql_where=text("dirty = 1"),
)
Index(
    "ix_persons_held", persons.c.company, persons.c.held_at, persons.c.person_id,
    sqlite_where=text("held_at IS NOT NULL"), postgresql_where=text("held_at IS NOT NULL"),
)

person_keys = Table(
    "person_keys", METADATA,
    _key("company"), _key("key"), _text("person_id"),      # key: str(RecordKey), or `email:` and an address
    Index(None, "company", "person_id"),
    sqlite_with_rowid=False,
)

# Which companies are found under which domain or name, and which people are concerned by what comes under it.
account_keys = Table(
    "account_keys", METADATA,
    _key("company"), _key("key"), _key("record"),          # record: str(RecordKey) of a CRM's company
    Index(None, "company", "record"),
    sqlite_with_rowid=False,
)

person_account_keys = Table(
    "person_account_keys", METADATA,
    _key("company"), _key("key"), _key("person_id"),
    Index(None, "company", "person_id"),
    sqlite_with_rowid=False,
)

conflicts = Table(
    "conflicts", METADATA,
    _key("company"), _key("key"), _key("reason"),
    _text("records"),                                      # JSON array of record keys
    sqlite_with_rowid=False,
)

# The same record keys one by one, to find the conflicts of a record.
conflict_members = Table(
    "conflict_members", METADATA,
    _key("company"), _key("record"), _key("key"), _key("reason"),
    Index(None, "company", "key"),
    sqlite_with_rowid=False,
)

activities = Table(
    "activities", METADATA,
    _key("company"), _key("subject"),
    Column("occurred_at", Instant, primary_key=True),
    _key("activity_id"),
    _text("kind"), _text("title"), _text("crm"),
    _text("source"),                                       # str(RecordKey) of the record that tells of it
    Column("recorded_at", Instant, nullable=False),
    Column("retracted_at", Instant),
    Column("same_as", _TEXT),                               # JSON array of its other names; NULL for none
    Column("attributes", _TEXT),                            # JSON of what rules may ask of it; NULL for nothing
    UniqueConstraint("company", "activity_id"),
    Index(None, "company", "source"),
    sqlite_with_rowid=False,
)

# Every definition a company ever published: rows are only added.
definitions = Table(
    "definitions", METADATA,
    _key("company"),
    Column("number", Integer, primary_key=True),           # from 1, in the order of publishing
    _text("version"),
    _text("content"),                                      # JSON of the Definition
    _text("fingerprint"),                                  # of what it says, its name left out
    Column("published_at", Instant, nullable=False),
    _text("published_by"),
    UniqueConstraint("company", "version"),
    sqlite_with_rowid=False,
)

decisions = Table(
    "decisions", METADATA,
    _key("company"), _key("person_id"),
    Column("cycle", Integer, primary_key=True),
    _key("kind"),
    _text("decision"),                                     # JSON of the Decision, score and reasons included
    _text("definition"),
    Column("points", Float, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("deadline_at", Instant),
    Column("run_id", _NUMBER, ForeignKey("runs.run_id"), nullable=False),
    Column("event_at", Instant),                           # of the activity that made it; NULL: none did
    Index(None, "run_id"),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox", METADATA,
    _key("company"), _key("crm"), _key("idempotency_key"),
    _text("kind"),
    Column("priority", SmallInteger, nullable=False),      # of the kind: what goes first among changes of one moment
    _text("person_id"),
    Column("cycle", Integer, nullable=False),
    _text("record"),                                       # str(RecordKey)
    _text("change"),                                       # JSON of the Change
    _text("state"),
    _count("attempts", 0),
    Column("next_attempt_at", Instant),
    Column("not_before", Instant),                         # named by the CRM; a new run does not try sooner
    Column("remote_id", _TEXT, nullable=False, server_default=text("''")),
    Column("reason", _TEXT, nullable=False, server_default=text("''")),
    Column("run_id", _NUMBER, ForeignKey("runs.run_id"), nullable=False),
    Column("planned_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("told", _TEXT, nullable=False, server_default=text("''")),      # the CRM's own words
    Column("remedy", _TEXT, nullable=False, server_default=text("''")),
    Column("replacement", _TEXT),                           # a newer Change that waits until this one is answered
    Column("replacement_run_id", _NUMBER),
    Column("written", _TEXT),                               # JSON: the fields last confirmed in the CRM
    Column("written_at", Instant),
    Index(None, "company", "state", "crm", "planned_at", "person_id", "priority"),
    Index(None, "company", "person_id"),
    Index(None, "company", "crm", "record"),
    Index(None, "run_id"),
    Index(
        None, "replacement_run_id", sqlite_where=text("replacement_run_id IS NOT NULL"),
        postgresql_where=text("replacement_run_id IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

# Proof of every write that was answered, one row an answer: rows are only added. `undo` restores from here.
receipts = Table(
    "receipts", METADATA,
    Column("receipt_id", _NUMBER, primary_key=True, autoincrement=True),
    _text("company"), _text("crm"), _text("idempotency_key"), _text("kind"), _text("person_id"),
    Column("cycle", Integer, nullable=False),
    _text("record"),                                       # str(RecordKey) of what was written to, or about
    Column("run_id", _NUMBER, ForeignKey("runs.run_id"), nullable=False),
    _text("outcome"),
    Column("remote_id", _TEXT, nullable=False, server_default=text("''")),
    Column("reason", _TEXT, nullable=False, server_default=text("''")),
    Column("before", _TEXT),                                # JSON: the fields' values as they were; NULL for a creation
    Column("after", _TEXT),                                 # JSON: and as they were written
    Column("at", Instant, nullable=False),
    Index(None, "run_id"),
    Index(None, "company", "person_id"),
    Index(None, "company", "crm", "record"),
    Index(None, "company", "kind", "at"),
)

# Where people stand and stood in the waterfall: all rows of a person are replaced when they are judged.
stage_entries = Table(
    "stage_entries", METADATA,
    _key("company"), _key("person_id"),
    Column("cycle", Integer, primary_key=True),
    _key("stage"),
    Column("entered_at", Instant, nullable=False),
    Column("left_at", Instant),
    _text("basis"), _text("crm"), _text("lane"),
    sqlite_with_rowid=False,
)

# Whose turn it was: one row a handoff that a round robin gave to somebody.
assignments = Table(
    "assignments", METADATA,
    _key("company"), _key("rotation"), _key("person_id"),
    Column("cycle", Integer, primary_key=True),
    _text("email"),
    Column("turn", Integer, nullable=False),               # counts on within the rotation
    Index(None, "company", "person_id"),
    sqlite_with_rowid=False,
)

# What people are told outside the CRMs, once each.
notices = Table(
    "notices", METADATA,
    _key("company"), _key("key"),
    _text("kind"), _text("person_id"),
    Column("cycle", Integer, nullable=False),
    _text("recipient_kind"), _text("recipient_email"),
    _text("line"), _text("url"),
    _text("state"),                                        # planned, sending, sent, failed
    Column("is_repeat", SmallInteger, nullable=False, server_default=text("0")),    # may have been told already
    _count("attempts", 0),
    Column("next_attempt_at", Instant),
    Column("reason", _TEXT, nullable=False, server_default=text("''")),
    Column("run_id", _NUMBER, ForeignKey("runs.run_id"), nullable=False),
    Column("planned_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index(None, "company", "state"),
    Index(None, "company", "person_id"),
    Index(None, "run_id"),
    sqlite_with_rowid=False,
)

# When which trigger fired for whom.
firings = Table(
    "firings", METADATA,
    _key("company"), _key("person_id"), _key("trigger_id"),
    Column("fired_at", Instant, primary_key=True),
    _text("evidence"),                                     # the activity id that made it fire
    Index(None, "company", "evidence"),
    sqlite_with_rowid=False,
)

# When the service turns to each company again, and how its last turn went.
schedules = Table(
    "schedules", METADATA,
    _key("company"),
    Column("due_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("progressed_at", Instant),                      # the end of the last turn that got anywhere
    Column("outcome", _TEXT, nullable=False, server_default=text("''")),
    Column("trouble", _TEXT, nullable=False, server_default=text("''")),   # one line; no personal data
    _count("failures", 0),                                 # turns in a row that got nowhere
    Column("alarmed_at", Instant),                         # since when it counts as stalled
    Column("alarm_told_at", Instant),                      # when that was told
    Column("failed_with", _TEXT, nullable=False, server_default=text("''")),    # stands for the configuration
    Index(None, "due_at"),
    sqlite_with_rowid=False,
)

# How many of each company's turns ended how.
turns = Table(
    "turns", METADATA,
    _key("company"), _key("outcome"),
    Column("number", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Backfills, the open one among them. Where each of its streams goes on stands in `cursors`, as `STREAM/backfill`.
backfills = Table(
    "backfills", METADATA,
    _key("company"),
    Column("number", Integer, primary_key=True),           # from 1, in the order in which they began
    _text("state"),                                        # reading, judging, writing; done, cancelled
    _text("handoff"),                                      # none, plan, write
    Column("since", Instant),                              # NULL: from the beginning
    Column("started_at", Instant, nullable=False),
    Column("worked_at", Instant, nullable=False),          # when its last part ended
    Column("ended_at", Instant),
    sqlite_with_rowid=False,
)

backfill_streams = Table(
    "backfill_streams", METADATA,
    _key("company"),
    Column("number", Integer, primary_key=True),
    _key("crm"), _key("stream"),
    Column("is_whole", SmallInteger, nullable=False),      # 1: from its beginning, whatever `since` says
    Column("expected_calls", Integer),                     # before it began; NULL: the CRM would not say
    _count("calls", 0), _count("records", 0),              # so far
    Column("ended_at", Instant),
    sqlite_with_rowid=False,
)

# Of the calls in `calls`, those of backfills: they have a share of their own.
backfill_calls = Table(
    "backfill_calls", METADATA,
    _key("company"), _key("crm"),
    Column("hour", Instant, primary_key=True),             # its beginning
    Column("calls", Integer, nullable=False),
    sqlite_with_rowid=False,
)
