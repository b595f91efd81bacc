"""What must survive the process, each query once. Knows no CRM and reads no clock: every `at` is passed in."""

from connector.store.erasing import CONFIRMED_AFTER, Erasing, NotedErasure
from connector.store.outbox import ANSWER_LOST, WAITING
from connector.store.planning import UNDOING
from connector.store.refused import REFUSED
from connector.store.removals import RemovalCounts
from connector.store.rows import (
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
from connector.store.store import Store, open_store

__all__ = [
    "ANSWER_LOST", "CONFIRMED_AFTER", "REFUSED", "UNDOING", "WAITING", "ChangeState", "Conflict", "Decided",
    "DecisionRow", "DefinitionRow", "Erasing", "Handoff", "Lease", "NotedErasure", "NoticeRow", "NoticeState",
    "OutboxRow", "Passage", "PastRecord", "PersonRow", "ReceiptRow", "RemovalCounts", "Retried", "Run", "SentChange",
    "Store", "StoredRecord", "open_store",
]
