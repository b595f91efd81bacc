"""What must survive the process, each query once. Knows no CRM and reads no clock: every `at` is passed in."""

from connector.store.backfills import (
    HOLDS_SINCE,
    QUIET_BEFORE,
    Backfill,
    BackfillState,
    BackfillStream,
    HandoffMode,
    cursor_name,
)
from connector.store.erasing import CONFIRMED_AFTER, Erasing, NotedErasure
from connector.store.health import DAY, UNFINISHED, CompanyHealth, Freshness, LastRun
from connector.store.older import OlderState
from connector.store.opening import schema_state, upgrade
from connector.store.outbox import ANSWER_LOST, WAITING
from connector.store.planning import UNDOING
from connector.store.portable import PortableTable, RowCheck
from connector.store.portable import columns as columns_of
from connector.store.portable import number_column as number_column_of
from connector.store.portable import tables as portable_tables
from connector.store.refused import REFUSED
from connector.store.removals import RemovalCounts
from connector.store.rows import (
    AtWork,
    ChangeState,
    Conflict,
    Decided,
    DecisionRow,
    DefinitionRow,
    Handoff,
    Lease,
    NoticeRow,
    NoticeState,
    OutboxRow,
    Passage,
    PastRecord,
    PersonRow,
    ReceiptRow,
    Retried,
    Run,
    SentChange,
    StoredRecord,
)
from connector.store.schedules import ScheduleRow
from connector.store.searching import Hit, Searched, SearchedFiles
from connector.store.store import Store, open_store
from connector.store.versions import REVISIONS, SchemaState

__all__ = [
    "ANSWER_LOST", "CONFIRMED_AFTER", "DAY", "HOLDS_SINCE", "QUIET_BEFORE", "REFUSED", "REVISIONS", "UNDOING",
    "UNFINISHED", "WAITING", "AtWork", "Backfill", "BackfillState", "BackfillStream", "ChangeState", "CompanyHealth",
    "Conflict", "Decided", "DecisionRow", "DefinitionRow", "Erasing", "Freshness", "Handoff", "HandoffMode", "Hit",
    "LastRun", "Lease", "NotedErasure", "NoticeRow", "NoticeState", "OlderState", "OutboxRow", "Passage", "PastRecord",
    "PersonRow", "PortableTable", "ReceiptRow", "RemovalCounts", "Retried", "RowCheck", "Run", "ScheduleRow",
    "SchemaState", "Searched", "SearchedFiles", "SentChange", "Store", "StoredRecord", "columns_of", "cursor_name",
    "number_column_of", "open_store", "portable_tables", "schema_state", "upgrade",
]
