"""What the store gives back: plain immutable rows. Every `_at` is an aware UTC datetime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from connector.core.owners import Assignment
from connector.core.triggers import Firing
from connector.records import Change, ChangeKind, Decision, Notice, RecordKey, Score, Stage, Value


class Lease(NamedTuple):
    """The right to write for one company; `token` grows with every new holder."""

    company: str
    holder: str
    token: int


class AtWork(NamedTuple):
    """Who holds a company's lease, and since when."""

    holder: str
    since: datetime


class Run(NamedTuple):
    """One run; `status` is `running` and `finished_at` None until it is finished, and for ever where it died.

    Attributes:
        trouble: What was wrong, and what to do, on one line without personal data; empty for nothing.
    """

    run_id: int
    company: str
    kind: str
    status: str
    counts: Mapping[str, int | str]
    started_at: datetime
    finished_at: datetime | None
    trouble: str = ""


class DefinitionRow(NamedTuple):
    """A definition as it was published.

    Attributes:
        number: From 1, in the order of publishing.
        content: JSON of the whole definition.
        fingerprint: Of what it says, its version's name left out.
    """

    number: int
    version: str
    content: str
    fingerprint: str
    published_at: datetime
    published_by: str


class PageCounts(NamedTuple):
    """What one page brought: distinct records, each counted once."""

    new: int
    changed: int
    unchanged: int


class SavedPage(NamedTuple):
    """What became of one page.

    Attributes:
        handed_on: The new and changed records that are to be evaluated at once, as they are stored.
    """

    counts: PageCounts
    handed_on: Sequence[StoredRecord]


class StoredRecord(NamedTuple):
    """A record as it stands now: the payload of the mapped fields, and whose it is.

    Attributes:
        is_gone: Its CRM no longer has it: the payload and the links are empty.
    """

    key: RecordKey
    modified_at: datetime
    payload: Mapping[str, Any]
    links: Mapping[str, tuple[str, ...]]
    is_gone: bool = False


class PastRecord(NamedTuple):
    """A record as it stood at a past moment; `first_seen_at` may lie after it."""

    record: StoredRecord
    first_seen_at: datetime


class RecordVersion(NamedTuple):
    """One past version of a record, known to us from `valid_from` until `valid_to`."""

    version: int
    valid_from: datetime
    valid_to: datetime
    record: StoredRecord


class Conflict(NamedTuple):
    """A key that could not be given to one person, why, and the records (`str(RecordKey)`) it concerns."""

    key: str
    reason: str
    records: tuple[str, ...]


class ConflictLike(Protocol):
    """What `save_people` asks of a conflict: the core's and the store's own will do."""

    @property
    def key(self) -> str:
        """What the records have in common."""
    @property
    def reason(self) -> str:
        """Why they were not made one person."""
    @property
    def records(self) -> Sequence[RecordKey | str]:
        """The records concerned."""


class PersonRow(NamedTuple):
    """What the store knows of a person apart from their records; `merged_into` is None for one who lives."""

    person_id: str
    cycle: int
    stage: Stage | None
    is_dirty: bool
    handed_off_at: datetime | None
    score: Score | None
    scored_at: datetime | None
    merged_into: str | None
    summary: dict[str, Any]


class Decided(NamedTuple):
    """A decision with all that follows from it.

    Attributes:
        summary: Of the person, for those who ask: plain JSON values.
        notices: What people are told.
        assignments: The turns of rotations that were taken.
        firings: The triggers that fired.
    """

    decision: Decision
    changes: Sequence[Change]
    summary: Mapping[str, Any]
    notices: Sequence[Notice] = ()
    assignments: Sequence[Assignment] = ()
    firings: Sequence[Firing] = ()


class DecisionRow(NamedTuple):
    """A handoff as it was decided, and the run that decided it."""

    decision: Decision
    run_id: int


class Passage(NamedTuple):
    """One person's handoff in one cycle.

    Attributes:
        record: One of those it was written to.
        is_whole: The run in question decided it, or wrote all of it.
    """

    person_id: str
    cycle: int
    record: RecordKey
    is_whole: bool


class Handoff(NamedTuple):
    """A person's newest handoff, and the CRMs all of it was written to or is waiting to be."""

    decision: Decision
    crms: frozenset[str]


class ChangeState(StrEnum):
    """Where a change stands in the outbox."""

    PLANNED = "planned"
    SENDING = "sending"
    DONE = "done"
    UNCHANGED = "unchanged"
    RETRY = "retry"
    REJECTED = "rejected"
    DEAD = "dead"


class NoticeState(StrEnum):
    """Where a notice stands: to be told (again), under way, told, or given up."""

    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


class NoticeRow(NamedTuple):
    """A notice and what became of it.

    Attributes:
        is_repeat: It may have been told before.
        attempts: How often it was claimed.
        next_attempt_at: Not before; None: at once.
        reason: Why it was not told the last time; empty when it was not tried or was told.
    """

    notice: Notice
    state: NoticeState
    is_repeat: bool
    attempts: int
    next_attempt_at: datetime | None
    reason: str
    run_id: int
    planned_at: datetime
    updated_at: datetime


class SentChange(NamedTuple):
    """A change without an answer, and when it was claimed or its answer was last found to be lost."""

    change: Change
    sent_at: datetime


class OutboxRow(NamedTuple):
    """A change and what became of it.

    Attributes:
        attempts: How often it was claimed since it was last planned.
        run_id: The run that sent it last; before it was sent, the one that planned it.
        written: The fields last confirmed in the CRM, which may be older than `change.fields`.
        told: The CRM's own words about the last refusal, cleared of personal data; empty when it said nothing.
        remedy: What somebody can do about it; empty when there is nothing to do.
    """

    change: Change
    state: ChangeState
    attempts: int
    next_attempt_at: datetime | None
    remote_id: str
    reason: str
    run_id: int
    planned_at: datetime
    updated_at: datetime
    written: Mapping[str, Value]
    told: str = ""
    remedy: str = ""


class ReceiptRow(NamedTuple):
    """What became of one write, as it was answered.

    Attributes:
        run_id: The run that sent it.
        record: What was written to, or about.
        outcome: The state of the outbox that followed: DONE, UNCHANGED, REJECTED or DEAD.
        remote_id: Of the record written or created.
        before: The fields' values as they were when it was planned; empty where the kind writes none, and where they
            were erased.
        after: The same fields as they were written.
    """

    run_id: int
    crm: str
    idempotency_key: str
    kind: ChangeKind
    person_id: str
    cycle: int
    record: RecordKey
    outcome: ChangeState
    remote_id: str
    reason: str
    before: Mapping[str, Value]
    after: Mapping[str, Value]
    at: datetime


class Retried(NamedTuple):
    """What became of changes that somebody wants tried again.

    Attributes:
        planned: Those that are planned again.
        left: Those that are not, each with the reason.
    """

    planned: tuple[Change, ...]
    left: tuple[tuple[Change, str], ...]
