"""What must survive the process, each query once. Knows no CRM and reads no clock: every `at` is passed in."""

from connector.store.erasing import CONFIRMED_AFTER, Erasing, NotedErasure
from connector.store.removals import RemovalCounts
from connector.store.rows import (
    ChangeState,
    Conflict,
    DecisionRow,
    DefinitionRow,
    Handoff,
    Lease,
    OutboxRow,
    PastRecord,
    PersonRow,
    SentChange,
    StoredRecord,
)
from connector.store.store import Store, open_store

__all__ = [
    "CONFIRMED_AFTER", "ChangeState", "Conflict", "DecisionRow", "DefinitionRow", "Erasing", "Handoff", "Lease",
    "NotedErasure", "OutboxRow", "PastRecord", "PersonRow", "RemovalCounts", "SentChange", "Store", "StoredRecord",
    "open_store",
]
