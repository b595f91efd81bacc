"""What every CRM adapter can be asked, in the trade's verbs. Adapters move records; they never judge them.

An adapter lives in `connector/adapters/<name>/`; its package gives `build(connection, *, now, time_zone)`
returning an `Adapter`, and `Connection`, the pydantic model of its section in config.toml. Nothing else is
looked at from outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from connector.adapter_kit.limits import Meter
from connector.records import Change, RawRecord, Receipt, RecordKey, Removal, Value

Cursor = str
"""The saved position of one stream between runs. Opaque: only the adapter that wrote it reads it (JSON)."""

FieldType = Literal["text", "number", "boolean", "date", "datetime", "choice", "reference"]


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One kind of record this CRM gives.

    Attributes:
        name: Our name of the stream: `contacts`, `campaign_members`.
        object_type: The CRM's object behind it, for `discover_fields`; empty when its fields are fixed.
        is_people: Its records are humans (mapped to Contact), not activities or look-up tables.
        cursor_field: The field the cursor walks along, as the CRM spells it.
        fixed_fields: The payload's fields where the CRM has no schema to ask (form submissions).
        is_writable: STAGE and SCORE changes may be written to its records.
        freshness_seconds: How old its contents may get: it is asked at most once in this time. 0: with every run.
        quiet_with: Streams of this CRM, asked with every run, without whose news it has none itself, or none that
            anybody waits for: as long as those of them that the mapping reads bring nothing, it is asked at most once
            in `quiet_seconds`; when one does, in the same run and in the next. Empty: it speaks for itself.
        quiet_seconds: How old its contents may get meanwhile: the bound where it had news after all.
        brief_seconds: For so long after a whole pull the others are brief (see `StreamRequest`). 0: every one is whole.
        lists_removed: `pull_removed` finds removals of this stream that `pull` does not bring along.
        lists_all_deleted: What `pull_removed` lists from its beginning to its end is everything the CRM may bring back:
            a deleted record that is not among it is there again, or gone for good.
        is_swept: Some removals of this stream are only found by asking for the records one has (`find_removed`).
    """

    name: str
    object_type: str
    cursor_field: str
    is_people: bool = False
    fixed_fields: tuple[str, ...] = ()
    is_writable: bool = False
    freshness_seconds: float = 0.0
    quiet_with: tuple[str, ...] = ()
    quiet_seconds: float = 0.0
    brief_seconds: float = 0.0
    lists_removed: bool = False
    lists_all_deleted: bool = False
    is_swept: bool = False


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field of a CRM object, as the live account describes it."""

    name: str
    label: str
    type: FieldType
    is_writable: bool
    is_unique: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountCheck:
    """What `check()` found: which account the credential opens, and what it may not do there.

    Attributes:
        account: The CRM's name or id of the account.
        missing_rights: The rights that are missing, by the vendor's own names; empty is good.
    """

    account: str
    missing_rights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A field our product needs in the CRM, for `setup`.

    Attributes:
        choices: What people choose from where the type is `choice`: each value with its label, in order. Without any,
            a choice is free text, whose values are ours to know.
    """

    stream: str
    name: str
    label: str
    type: FieldType
    is_unique: bool = False
    is_long: bool = False
    choices: tuple[tuple[str, str], ...] = ()


class StreamRequest(NamedTuple):
    """What to pull: a stream and the remote fields that the mapping uses of it.

    Attributes:
        is_brief: Records may be left out that did not change themselves, but only something that they refer to; the
            next pull that is not brief brings them. An adapter may pull the whole all the same.
    """

    stream: str
    fields: tuple[str, ...]
    is_brief: bool = False


class Page(NamedTuple):
    """Some records, and the cursor that is safe once they are stored.

    Attributes:
        removals: Records that are no longer there, as far as this page tells; told again they are harmless.
    """

    records: Sequence[RawRecord]
    cursor: Cursor
    removals: Sequence[Removal] = ()


class Beginning(NamedTuple):
    """Where a reading begins that is apart from the pulls.

    Attributes:
        cursor: As `pull` takes it; None: the stream's beginning.
        is_whole: Everything the stream has is read from there.
    """

    cursor: Cursor | None
    is_whole: bool


class Adapter(Protocol):
    """One CRM account, opened with one credential.

    Attributes:
        lost_note_seconds: How long after a NOTE was sent and its answer lost the CRM may still carry it out. Only
            then is it sure that a note that cannot be found was not made; 0 where the CRM itself refuses a second
            one of the same key.
        largest_write: How many changes one `apply` may usefully take: so many fill the CRM's largest batches. A
            killed run leaves that many in doubt, so fewer are as good where few are written.
        patience_seconds: How long a `pull` waits for work that the CRM does by itself (a bulk job) before it raises
            UnavailableError, to go on with the same work the next time.
        meter: Counts every request that is sent, and stops them at our share of the CRM's daily calls.
    """

    name: str
    streams: Mapping[str, StreamInfo]
    lost_note_seconds: float
    largest_write: int
    patience_seconds: float
    meter: Meter

    def check(self) -> AccountCheck:
        """Prove the credential. Raises AuthError, AccessDeniedError or UnavailableError."""

    def discover_fields(self, stream: str) -> tuple[FieldInfo, ...]:
        """Return the fields the live account has on the stream's object; fixed fields for a stream without one."""

    def pull(self, request: StreamRequest, cursor: Cursor | None) -> Iterator[Page]:
        """Yield what changed since the cursor, oldest first where the CRM allows; everything when it is None.

        Restartable after any page; a page handed twice is harmless; nothing is missed. A run over an unchanged
        stream may yield no page at all, or a page without records that only moves the cursor. What the CRM tells of
        removals along the way comes with the pages.

        Raises:
            FieldsMissingError: Some of the fields are gone or hidden; without them the pull goes on from its cursor.
        """

    def beginning(self, request: StreamRequest, since: datetime | None, known: Cursor | None) -> Beginning:
        """Return where a reading begins that gives what was changed or happened since a moment; asks for little.

        Args:
            since: None: from the stream's beginning. A stream that cannot begin later is read whole all the same.
            known: The cursor that the pulls left; what is read must count together with what they read.
        """

    def prepare(self, pulls: Sequence[tuple[StreamRequest, Cursor | None]]) -> None:
        """Hear what will be pulled next, so that what the CRM can be asked together is asked together.

        May do nothing. What it does never changes what `pull` gives, and an error of one stream comes out of that
        stream's `pull`.
        """

    def pull_removed(self, stream: str, cursor: Cursor | None) -> Iterator[Page]:
        """Yield the removals since the cursor that `pull` does not tell of, in pages without records.

        Costs a listing, so it runs on a slower rhythm than `pull`; only asked of streams with `lists_removed`.
        Restartable and harmless when told twice, like `pull`. A record that was never there may be among them.
        """

    def find_removed(self, stream: str, remote_ids: Sequence[str]) -> Sequence[Removal]:
        """Return what became of those of these records that are no longer there; nothing about the others.

        A record is ERASED only when the CRM itself shows that it can no longer be brought back; one that is just
        not to be found is DELETED.
        """

    def read_back(
        self, stream: str, remote_ids: Sequence[str], fields: Sequence[str]
    ) -> Mapping[str, Mapping[str, Value]]:
        """Return current values by remote id, each in the form of `Value`; a record that is gone is left out."""

    def apply(self, changes: Sequence[Change]) -> Sequence[Receipt]:
        """Write the changes, of every kind, in as few requests as the CRM allows; one receipt each, in order.

        A bad change never sinks the others. A written record is read back before it is called DONE. A change
        whose request left but whose answer was lost is UNKNOWN, and `look_up` says what became of it. A kind that
        the CRM has nothing for is REJECTED with the reason.
        """

    def look_up(self, changes: Sequence[Change]) -> Mapping[str, str]:
        """Find what exists in the CRM of the changes that create: idempotency key -> remote id of the record.

        Hand it every change in doubt, of whatever kind, before any of them is written again.

        Raises:
            UnavailableError: A job of an earlier run may still carry some of them out; ask again later.
        """

    def setup(
        self, specs: Sequence[FieldSpec], *, create: bool, makes_leads: bool = False,
    ) -> Sequence[FieldSpec]:
        """Return the specs that are missing in the account; with `create`, make them first. Idempotent.

        What finds our tasks and notes again is always among them.

        Args:
            makes_leads: LEAD changes will come: what finds those again is among them too.
        """

    def package(self, specs: Sequence[FieldSpec]) -> bytes | None:
        """Return a file by which an administrator makes the specs that are missing, where `setup` may not.

        The same account and specs give the same bytes. None where the CRM takes no such file.
        """

    def ask_place(self) -> str:
        """Return where people see this account's records, for `link`; a call at most. Empty when it is not told."""

    def link(self, place: str, key: RecordKey) -> str | None:
        """Return the address at which people see a record; asks nobody. None where the CRM shows none.

        Args:
            place: As `ask_place` gave it, maybe long ago.
        """

    def estimate(self, requests: Sequence[StreamRequest], cursors: Mapping[str, Cursor]) -> int:
        """Predict how many API calls a pull of these streams costs."""

    def close(self) -> None:
        """Give connections back."""
