"""What flows through the house, in the order it flows, from RawRecord to Receipt.

Plain immutable values: no I/O, no clock, no vendor's words. Every `_at` is an aware UTC datetime.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, TypeVar

Value = str | int | float | bool | None
"""A field's value between our rooms. Instants travel as ISO 8601 in UTC with whole seconds: `2026-11-24T09:00:00Z`."""

POINT_DECIMALS = 2
"""Points are counted in hundredths: what a rule gives is rounded to them once, and sums of them are exact."""


class Stage(StrEnum):
    """Where a lead stands in the demand waterfall, in its order."""

    INQUIRY = "inquiry"
    MQL = "mql"
    SAL = "sal"
    SQL = "sql"
    WON = "won"
    LOST = "lost"
    RECYCLED = "recycled"

    @property
    def rank(self) -> int:
        """Position in the waterfall; `recycled` stands with `inquiry`, `lost` with `won` (both are ends)."""
        return _STAGE_RANKS[self]


OVERRIDE = "override"
"""The attribute by which a person in the CRM decides who is an MQL; anything but these two words decides nothing."""
MAKE_MQL = "mql"
NEVER_MQL = "not_mql"
OVERRIDES = (MAKE_MQL, NEVER_MQL)

_STAGE_RANKS = {
    Stage.INQUIRY: 0, Stage.RECYCLED: 0, Stage.MQL: 1, Stage.SAL: 2, Stage.SQL: 3, Stage.WON: 4, Stage.LOST: 4,
}


class Lane(StrEnum):
    """From where a lead entered the waterfall."""

    MARKETING = "mql"
    TELE = "tql"
    """Found by tele or inside sales."""
    SALES = "sgl"
    """Found by sales itself."""


class ActivityKind(StrEnum):
    """What happens to a lead: first what leads do themselves or with sales, then what sales does alone."""

    SEMINAR_ATTENDED = "seminar_attended"
    SEMINAR_REGISTERED = "seminar_registered"
    DOCUMENT_DOWNLOADED = "document_downloaded"
    WEBSITE_VISITED = "website_visited"
    INQUIRY_MADE = "inquiry_made"
    CARD_EXCHANGED = "card_exchanged"
    NEWSLETTER_CLICKED = "newsletter_clicked"
    NEWSLETTER_OPENED = "newsletter_opened"
    MEETING_HELD = "meeting_held"
    CALL_MADE = "call_made"
    EMAIL_EXCHANGED = "email_exchanged"
    OTHER = "other"
    TASK_COMPLETED = "task_completed"
    STAGE_MOVED = "stage_moved"
    DEAL_OPENED = "deal_opened"
    DEAL_WON = "deal_won"
    DEAL_LOST = "deal_lost"

    @property
    def is_by_lead(self) -> bool:
        """Whether the lead took part in it: notes tell of it, and it ends a time without activity."""
        return self not in _OF_SALES


_OF_SALES = frozenset({
    ActivityKind.TASK_COMPLETED, ActivityKind.STAGE_MOVED, ActivityKind.DEAL_OPENED, ActivityKind.DEAL_WON,
    ActivityKind.DEAL_LOST,
})


RowT = TypeVar("RowT", bound=tuple[Any, ...])


def from_columns(kind: type[RowT], *columns: Iterable[Any]) -> list[RowT]:
    """Return named tuples of one kind, made of a column for each of its fields: twice as fast as calling it for each.

    What is the same for all is given as `itertools.repeat`; there are as many as the shortest column has.
    """
    return list(map(partial(tuple.__new__, kind), zip(*columns)))


class RecordKey(NamedTuple):
    """Names one record of one CRM: `hubspot`, `contacts`, `101`."""

    crm: str
    stream: str
    remote_id: str

    def __str__(self) -> str:
        return ":".join(self)

    @classmethod
    def parse(cls, text: str) -> RecordKey:
        """Read what `str()` wrote."""
        crm, stream, remote_id = text.split(":", 2)
        return cls(crm, stream, remote_id)


class RawRecord(NamedTuple):
    """One record as the CRM sent it: only the fields the mapping asks for, values untouched.

    Attributes:
        stream: Such as `contacts`, `leads`, `form_submissions`.
        remote_id: The CRM's id; for what has none (a form submission) the adapter makes a stable one.
        modified_at: When the CRM last changed it: the stream's cursor field.
        payload: `{remote field: value as sent}`; a parent's field is spelt with a dot (`Campaign.Name`).
        links: Whose record it is: `{people stream: (remote ids)}`, or `{"email": (addresses,)}` where the CRM
            gives no id. Empty for records of people themselves.
    """

    stream: str
    remote_id: str
    modified_at: datetime
    payload: Mapping[str, Any]
    links: Mapping[str, tuple[str, ...]] = {}


class RemovalKind(StrEnum):
    """What became of a record that its CRM no longer shows."""

    DELETED = "deleted"
    """Out of everyday view, in an archive or a recycle bin, or simply not to be found: it may come back."""
    MERGED = "merged"
    """Taken up by another record of the same stream, which goes on for both."""
    ERASED = "erased"
    """Gone for good, by the CRM's own word: it cannot bring the record back, so nothing of it is kept here either."""


class Removal(NamedTuple):
    """One record that its CRM no longer shows.

    Attributes:
        removed_at: When, as far as the CRM says; else when it was noticed.
        merged_into: MERGED: the remote id of the record that goes on, which may have been merged away itself since.
    """

    stream: str
    remote_id: str
    kind: RemovalKind
    removed_at: datetime
    merged_into: str = ""


class StageMove(NamedTuple):
    """Since when a record stood in a stage, by its CRM's own history."""

    stage: Stage
    moved_at: datetime


class Contact(NamedTuple):
    """One CRM record of a human, in our words.

    Attributes:
        attributes: Canonical field -> value: `first_name`, `last_name`, `company_name`, `department`, `role`,
            `job_title`, `phone`, `lead_source`, `unsubscribed`, ... as the mapping names them, with value maps applied.
        emails: Normalised addresses, the primary one first.
        linked_to: Records of other streams or CRMs that this one says are the same human.
        stage: Where its CRM says the human stands; None when it does not say.
        owner_id: The owner's remote id in the same CRM, or empty.
        superseded_by: For a converted lead, the contact that replaced it: written to instead.
        problems: What could not be understood, one line each, without personal data.
        stage_moves: The stages it stood in, oldest first, where the mapping asks for the history.
        account: The record of the company that its CRM says the human belongs to.
    """

    key: RecordKey
    modified_at: datetime
    attributes: Mapping[str, Value]
    emails: tuple[str, ...] = ()
    linked_to: tuple[RecordKey, ...] = ()
    stage: Stage | None = None
    owner_id: str = ""
    superseded_by: RecordKey | None = None
    problems: tuple[str, ...] = ()
    stage_moves: tuple[StageMove, ...] = ()
    account: RecordKey | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """One thing one human did.

    Attributes:
        activity_id: Stable and unique in a company: the source record's key, `#n` behind it when one record
            tells of several activities or participants. The steps of a counter end in `#` and their number.
        subject: Who did it: `str(RecordKey)` of a person's record, or `email:` and a normalised address.
        title: What it was about, as the CRM names it (hostile text); may be empty.
        is_dated_once: The CRM gives no date of its own for it (a step of a counter, an empty date field):
            `occurred_at` is when it was first seen, and a later one does not replace it. What is read from the
            ledger no longer says so.
        same_as: Names of the same real thing beside its own source record: `str(RecordKey)` of another record that
            tells of it, or a name that several systems share, such as `message:` and a mail's message id.
        attributes: What else the mapping reads of it, for rules: `{our name: value}`.
    """

    activity_id: str
    subject: str
    kind: ActivityKind
    occurred_at: datetime
    title: str
    crm: str
    is_dated_once: bool = field(default=False, compare=False)
    same_as: tuple[str, ...] = ()
    attributes: Mapping[str, Value] = field(default_factory=dict, hash=False)

    @property
    def source(self) -> str:
        """The key of the record that tells of it: what stands before the kind in its id."""
        return self.activity_id.rpartition(f"#{self.kind}")[0] or self.activity_id


class AccountMatch(NamedTuple):
    """The company a person belongs to, among the CRMs' companies.

    Attributes:
        matched_by: `link` (a CRM says so), `email_domain` or `company_name`.
        evidence: What matched: the domain or the name as compared; empty for a link.
        attributes: The company's, in our words.
    """

    key: RecordKey
    matched_by: str
    evidence: str
    attributes: Mapping[str, Value]


class AccountDoubt(NamedTuple):
    """Several companies that a person may belong to, of which none was taken.

    Attributes:
        matched_by, evidence: As in AccountMatch: what they have in common.
    """

    candidates: tuple[RecordKey, ...]
    matched_by: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Person:
    """The resolved human: every record that is theirs, and what these say together.

    Attributes:
        person_id: Stable; survives merges of records (the older id wins, the other becomes an alias).
        contacts: All their records, in the mapping's order of CRMs, then stream, then remote id.
        attributes: Field by field the first value that is not empty, in the order of `contacts`.
        emails: Every address of theirs.
        stage: The furthest stage any CRM gives them; INQUIRY when none says.
        account: The company they were matched to; its attributes are among `attributes`, as `account.NAME`.
        account_doubt: Why they were matched to none although some fit; None when there was no doubt.
    """

    person_id: str
    contacts: tuple[Contact, ...]
    attributes: Mapping[str, Value]
    emails: tuple[str, ...]
    stage: Stage
    account: AccountMatch | None = None
    account_doubt: AccountDoubt | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why some points were given: one rule, and the attribute or the activity that met it.

    Attributes:
        side: `fit` (who they are) or `engagement` (what they did).
        evidence: `role=head` style for an attribute rule, the `activity_id` for an activity rule.
        title: The activity's title, or empty.
        occurred_at: When the activity happened; None for an attribute.
        base_points: What the rule gives at first; `points` is what decay and caps have left of it.
        decay_factor: Which part of them is left at this age, rounded to four decimals; 1 without decay.
        capped_by: Whose limit took points off: `rule`, the group's id, or empty.
    """

    rule_id: str
    label: str
    side: str
    points: float
    evidence: str
    title: str = ""
    occurred_at: datetime | None = None
    base_points: float = 0.0
    decay_factor: float = 1.0
    capped_by: str = ""


class Cut(NamedTuple):
    """Points that a limit took off altogether.

    Attributes:
        limited: The rule's or the group's id.
        lost_points: How many, all reasons together; negative when points to take off were limited.
        reason_count: How many activities or attributes gave less or nothing for it.
    """

    limited: str
    label: str
    limit_points: float
    lost_points: float
    reason_count: int


@dataclass(frozen=True, slots=True)
class Score:
    """A person's points under one definition as of one moment; `total_points` is the sum of the reasons' points.

    Attributes:
        definition: The definition's version.
        disqualified_by: Label of the disqualifier that keeps them from becoming MQL, or empty.
        cuts: What the caps of rules and groups took off.
    """

    person_id: str
    definition: str
    as_of: datetime
    reasons: tuple[Reason, ...]
    disqualified_by: str = ""
    cuts: tuple[Cut, ...] = ()

    @property
    def fit_points(self) -> float:
        """Points for who they are."""
        return _sum_points(self.reasons, "fit")

    @property
    def engagement_points(self) -> float:
        """Points for what they did."""
        return _sum_points(self.reasons, "engagement")

    @property
    def total_points(self) -> float:
        """All points."""
        return round(self.fit_points + self.engagement_points, POINT_DECIMALS)


def _sum_points(reasons: tuple[Reason, ...], side: str) -> float:
    return round(sum(r.points for r in reasons if r.side == side), POINT_DECIMALS)


class Link(NamedTuple):
    """A line that leads to a page: `url` is our own making, `text` is plain text as any other line."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a text for sales: an optional heading and its lines, as plain text (never markup)."""

    heading: str
    lines: tuple[str | Link, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A text for people, before any markup: each adapter renders it for where it lands, escaping every line."""

    title: str
    sections: tuple[Section, ...]


class StageEntry(NamedTuple):
    """When somebody came to a stage of the waterfall, in one cycle.

    Attributes:
        left_at: When they went on from it; None while they stand in it. A skipped stage is left as it is entered.
        basis: How it is known: `history` (the CRM's own), `handoff` (our decision), `deed` (what sales did), `seen`
            (the record stood there when it was read), `activity` (their first one, from which on they are an inquiry),
            `recycled` (sent back by us), `skipped` (passed over).
        crm: Which CRM says so; empty where none does.
    """

    cycle: int
    stage: Stage
    entered_at: datetime
    left_at: datetime | None
    basis: str
    crm: str = ""


class Ownership(NamedTuple):
    """Who must act on a handoff in one CRM, and by which rule.

    Attributes:
        owner_id: Their remote id; empty where nobody was found or a queue takes it.
        queue_id: The remote id of the queue that takes it; empty for none.
        name, email: The owner's, as their CRM tells.
        rule: The rule that found them: `record`, `account`, `listed:ID`, `round_robin:ID`, `queue`; empty for none.
        skipped: Why each earlier rule gave nobody, in their order, each `RULE: REASON` with a reason of `core.owners`.
    """

    crm: str
    owner_id: str = ""
    queue_id: str = ""
    name: str = ""
    email: str = ""
    rule: str = ""
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules say about one person now.

    Attributes:
        cycle: Which passage through qualification this is, from 1.
        hands_off: True when the person becomes MQL by this decision: stage, task and note follow.
        deadline_at: By when sales must follow up; None without a handoff.
        recycled_at: When sales sent them back to nurturing, as far as we can know, and no handoff has followed; None
            when sales did not.
        look_again_at: When time alone may change what is decided; None when only new facts can.
        is_qualified: The points make an MQL, made one before and are still enough to stay one, or a person decided so.
        qualified_at: Since when the points do, while no handoff has followed; None when they do not.
        obstacles: What stands against a handoff whatever the points, the weightiest first, in the words of
            `core.lifecycle`.
        missing: The required attributes that have no value, alternatives joined by ` or `.
        cools_until: Before this moment no next handoff, because sales sent them back; None when it has passed.
        override: What a person in the CRM decided: `mql`, `not_mql`, or empty for nothing.
        segment: How warm their interest is: `cold`, `warm`, `hot`, or empty where the definition has no segments.
        cell: Their cell of the matrix (`B1`), or empty where the definition has none.
        lane: From where they entered the waterfall.
        stage: Where they stand in it, by their CRMs, by what sales did and by our own handoffs and recyclings.
        stages: Each stage they came to in every cycle, oldest first.
        followed_up_at: When sales first acted on the handoff of this cycle; None while it has not.
        recycles: Why they are sent back to nurturing by this decision (`overdue`, or a person's words); empty: they
            are not.
        is_urgent: A handoff that goes before others.
        owners: Who must act on the handoff, by CRM; empty without a handoff.
        held_at: The beginning of the backfill that holds them; None when none does, and with a handoff.
    """

    person_id: str
    cycle: int
    decided_at: datetime
    score: Score
    stage_before: Stage
    hands_off: bool
    deadline_at: datetime | None = None
    recycled_at: datetime | None = None
    look_again_at: datetime | None = None
    is_qualified: bool = False
    qualified_at: datetime | None = None
    obstacles: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    cools_until: datetime | None = None
    override: str = ""
    segment: str = ""
    cell: str = ""
    lane: Lane = Lane.MARKETING
    stage: Stage = Stage.INQUIRY
    stages: tuple[StageEntry, ...] = ()
    followed_up_at: datetime | None = None
    recycles: str = ""
    is_urgent: bool = False
    owners: tuple[Ownership, ...] = ()
    held_at: datetime | None = None

    @property
    def why_not(self) -> str:
        """Why somebody qualified is not handed off, or empty."""
        return self.obstacles[0] if self.is_qualified and self.obstacles else ""


class ChangeKind(StrEnum):
    """The kinds of planned writes, in the order in which those of one moment go out."""

    RECYCLE = "recycle"
    """A stage that steps back to nurturing, because we said so."""
    STAGE = "stage"
    SCORE = "score"
    LEAD = "lead"
    """A lead record beside the contact's, where the CRM has such an object."""
    TASK = "task"
    NOTE = "note"
    RESTORE = "restore"
    """Fields get the values back that they had before a run."""
    CLOSE_TASK = "close_task"
    """A task that we made is not to be done any more; its title says why."""
    MARK_NOTE = "mark_note"
    """A note that we made does not hold any more; its first line says so."""

    @property
    def writes_fields(self) -> bool:
        """Whether it writes `fields` to a person's record."""
        return self in _FIELD_KINDS

    @property
    def creates(self) -> bool:
        """Whether it makes a record that carries the idempotency key."""
        return self in _CREATING_KINDS


_FIELD_KINDS = frozenset({ChangeKind.RECYCLE, ChangeKind.STAGE, ChangeKind.SCORE, ChangeKind.RESTORE})
_CREATING_KINDS = frozenset({ChangeKind.LEAD, ChangeKind.TASK, ChangeKind.NOTE})


@dataclass(frozen=True, slots=True)
class Change:
    """One planned write to one CRM.

    Attributes:
        idempotency_key: `company/person_id/cycle/kind`; unique per CRM. It travels in created records.
        record: What writes fields, and CLOSE_TASK and MARK_NOTE, write to it; LEAD, TASK and NOTE are about it.
        fields: Remote field -> value, where the kind `writes_fields`. RECYCLE and RESTORE may step a stage back: the
            adapter does what its CRM asks for that.
        before: The values these fields had when the change was planned.
        document: LEAD, TASK and NOTE: the text. CLOSE_TASK and MARK_NOTE: its title is what to put before theirs.
        owner_id: LEAD, TASK and NOTE: remote id of who must act, or empty.
        queue_id: TASK: remote id of the queue that takes it instead; empty for none.
        due_at: TASK: the deadline.
        is_urgent: TASK: it goes before others.
        account_id: Remote id of the record's company, where known: rows of one company are written together, because a
            write may lock it.
    """

    idempotency_key: str
    crm: str
    kind: ChangeKind
    person_id: str
    cycle: int
    record: RecordKey
    fields: Mapping[str, Value] = field(default_factory=dict)
    before: Mapping[str, Value] = field(default_factory=dict)
    document: Document | None = None
    owner_id: str = ""
    queue_id: str = ""
    due_at: datetime | None = None
    is_urgent: bool = False
    account_id: str = ""


class Outcome(StrEnum):
    """What became of a change that was sent."""

    DONE = "done"
    UNCHANGED = "unchanged"
    RETRY = "retry"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of what became of one change.

    Attributes:
        remote_id: Of the record written or created; empty when none was.
        reason: Why it is not DONE: the CRM's code and field names, never values.
        told: What the CRM said about it in its own words, cleared of personal data; empty when it said nothing.
        remedy: What somebody can do about it, in plain words; empty when there is nothing to do.
        retry_after_seconds: For RETRY, when the CRM said.
    """

    idempotency_key: str
    outcome: Outcome
    remote_id: str = ""
    reason: str = ""
    retry_after_seconds: float | None = None
    told: str = ""
    remedy: str = ""


class Recipient(NamedTuple):
    """Who gets a notice: the company's channel, or one owner by e-mail address.

    Attributes:
        kind: `channel`, or one of its addresses by its number (`channel:1`), or `owner`.
        email: The owner's.
    """

    kind: str
    email: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell people at the company outside the CRM; several are sent as one message.

    Attributes:
        key: `person_id/cycle/kind/recipient`, unique in a company and without an address; each goes out once.
        kind: `handoff`, `reminder`, `escalation`, `recycled` or `trigger`.
        line: What is told, on one line of plain text.
        url: Where the person's record is seen; empty where unknown.
    """

    key: str
    kind: str
    person_id: str
    cycle: int
    recipient: Recipient
    line: str
    url: str = ""
