"""Why an MQL did not become an SQL in time, each cause with what shows it.

Only what the records, the outbox and sales' own doing show is told; a cause nothing shows is not guessed. There is
always at least one: when nothing else is known, that nobody followed up, or that it is still open what comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from connector.core.cause_words import CauseWords, cause_words_of
from connector.core.deadlines import working_hours_between
from connector.core.identity import home_records
from connector.core.normalize import fold, text_of
from connector.core.owners import OwnerDirectory
from connector.core.plain import plain
from connector.core.watch import followed_up_at
from connector.core.words import number, words_of
from connector.mapping.model import Mapping as CompanyMapping
from connector.records import Activity, ActivityKind, ChangeKind, Decision, Ownership, Person, Stage, StageEntry

RANKS = (
    "rejected_without_reason", "rejected_with_reason", "converted_elsewhere", "sync_error", "no_owner",
    "owner_inactive", "no_phone_or_email", "bounced", "opted_out", "late", "task_never_opened", "no_follow_up",
    "undecided",
)
"""The kinds of causes, what decides first: sales' answer, then what kept sales from answering, then what it did."""

REJECT_REASON = "reject_reason"
"""The attribute that says why sales let somebody go, where the mapping reads it; so does a lost deal's `reason`."""
BOUNCED = "bounced"
"""The attribute that says that mail to somebody comes back: a yes, a number above nought, a date or a reason."""

_NO = frozenset({"", "0", "false", "no", "none", "いいえ", "なし"})
_FAILED = frozenset({"planned", "sending", "retry", "rejected", "dead"})
_FOR_SALES = (ChangeKind.STAGE, ChangeKind.LEAD, ChangeKind.TASK, ChangeKind.NOTE)


class Cause(NamedTuple):
    """One thing that kept an MQL from becoming an SQL in time.

    Attributes:
        kind: One of `RANKS`.
        evidence: What shows it, in the company's language, on one line.
    """

    kind: str
    evidence: str


class Written(NamedTuple):
    """What became of one write of a handoff.

    Attributes:
        state: As in the outbox; `done` also where it stood there before.
        told: Why it is not done: the CRM's own words, else its code.
        at: When that became known.
    """

    crm: str
    kind: ChangeKind
    state: str
    told: str
    remedy: str
    at: datetime


def find_causes(
    handoff: Decision, person: Person, stages: Sequence[StageEntry], done: Sequence[Activity],
    written: Sequence[Written], directories: Mapping[str, OwnerDirectory], mapping: CompanyMapping, now: datetime,
) -> tuple[Cause, ...]:
    """Return why somebody who was handed off was no SQL in time, as of now; nothing of whom was, or has time left.

    Args:
        handoff: As it was decided.
        stages: Where the person stood in every cycle, the oldest first; those of other cycles are left out of account.
        done: What is known of their deals (and may be all else they did).
        written: The writes of this handoff.

    Returns:
        What decides first before the rest (`RANKS`).
    """
    search = _Search(handoff, person, stages, done, written, directories, mapping, now)
    return tuple(sorted(search.causes(), key=lambda cause: RANKS.index(cause.kind)))


def title_of(cause: Cause, mapping: CompanyMapping) -> str:
    """Return a cause's name in the company's language."""
    return cause_words_of(mapping.language).kinds[cause.kind]


class _Search:
    """One handoff, looked at for one cause after the other."""

    def __init__(
        self, handoff: Decision, person: Person, stages: Sequence[StageEntry], done: Sequence[Activity],
        written: Sequence[Written], directories: Mapping[str, OwnerDirectory], mapping: CompanyMapping, now: datetime,
    ) -> None:
        self._handoff = handoff
        self._person = person
        self._stages = [entry for entry in stages if entry.cycle == handoff.cycle]
        self._done = done
        self._written = written
        self._directories = directories
        self._mapping = mapping
        self._now = now
        self._words: CauseWords = cause_words_of(mapping.language)
        self._followed_up_at = followed_up_at(handoff, stages)

    def causes(self) -> Iterator[Cause]:
        """Yield every cause that something shows, in no order."""
        deadline, acted_at = self._handoff.deadline_at, self._followed_up_at
        if deadline is None:
            return
        is_late = acted_at is not None and acted_at > deadline
        if is_late and acted_at is not None:
            hours = working_hours_between(deadline, acted_at, self._mapping.business_hours, self._mapping.zone)
            yield Cause("late", self._words.late(self._moment(acted_at), number(round(hours, 1))))
        if self._came_to(Stage.SQL, Stage.WON):
            return
        if (rejected := self._rejected()) is not None:
            yield rejected
        elif acted_at is not None:
            yield from self._converted()
            yield Cause("undecided", self._words.undecided(self._moment(acted_at)))
        elif self._now > deadline:
            yield from self._converted()
            yield from self._unwritten()
            yield from self._owners()
            yield from self._reachable()
            yield from self._untouched(deadline)

    def _came_to(self, *stages: Stage) -> bool:
        return any(entry.stage in stages and entry.basis != "skipped" for entry in self._stages)

    def _rejected(self) -> Cause | None:
        """Return sales' own answer; a recycling by us is none."""
        end = self._stages[-1] if self._stages else None
        if end is None or end.stage not in (Stage.LOST, Stage.RECYCLED) or end.basis == "recycled":
            return None
        reason = plain(self._person.attributes.get(REJECT_REASON)) or self._lost_for()
        told = self._words.rejected(self._moment(end.entered_at), self._label(end.crm), reason)
        if reason:
            return Cause("rejected_with_reason", told)
        people = [people for part in self._mapping.crm.values() for people in part.people.values()]
        is_read = any(REJECT_REASON in one.fields for one in people)
        return Cause("rejected_without_reason", told if is_read else f"{told}{self._words.no_reason_read}")

    def _lost_for(self) -> str:
        lost = [
            one for one in self._done
            if one.kind is ActivityKind.DEAL_LOST and one.occurred_at >= self._handoff.decided_at
        ]
        return next((text for one in reversed(lost) if (text := plain(one.attributes.get("reason")))), "")

    def _converted(self) -> Iterator[Cause]:
        for contact in self._person.contacts:
            if contact.superseded_by is not None and contact.modified_at >= self._handoff.decided_at:
                told = self._words.converted(str(contact.key), str(contact.superseded_by))
                yield Cause("converted_elsewhere", told)

    def _unwritten(self) -> Iterator[Cause]:
        for one in self._written:
            if one.kind in _FOR_SALES and one.state in _FAILED:
                what = f"{self._label(one.crm)} {self._words.changes[one.kind]}"
                told = self._words.unwritten(what, one.state, plain(one.told), plain(one.remedy))
                yield Cause("sync_error", told)

    def _owners(self) -> Iterator[Cause]:
        if self._is_owned_now():
            return
        named = [one for one in self._handoff.owners if one.owner_id]
        for one in named:
            directory = self._directory(one.crm)
            if directory.active and directory.why_not(one.owner_id):    # where nobody is known, nothing is
                name = plain(one.name) or one.owner_id
                yield Cause("owner_inactive", self._words.inactive(self._label(one.crm), name))
        if not named:
            for one in self._handoff.owners:
                yield Cause("no_owner", self._nobody(one))

    def _is_owned_now(self) -> bool:
        """Tell whether somebody who can act is named, be it that sales itself gave it to them."""
        homes = home_records(self._person).items()
        return any(not self._directory(crm).why_not(contact.owner_id) for crm, contact in homes) or any(
            one.owner_id and not self._directory(one.crm).why_not(one.owner_id) for one in self._handoff.owners
        )

    def _nobody(self, owner: Ownership) -> str:
        if owner.queue_id:
            return self._words.queued(self._label(owner.crm), owner.queue_id)
        said = []
        for skip in owner.skipped:
            rule, _, reason = skip.rpartition(": ")
            by, _, name = rule.partition(":")
            said.append(self._words.skipped(self._words.rules[by], name, self._words.reasons[reason]))
        return self._words.nobody(self._label(owner.crm), said)

    def _reachable(self) -> Iterator[Cause]:
        known = self._person.attributes
        phone = plain(known.get("phone"))
        if not phone and not self._person.emails:
            yield Cause("no_phone_or_email", self._words.no_contact)
        if fold(text_of(known.get(BOUNCED))) not in _NO:
            said = known.get(BOUNCED)
            yield Cause("bounced", self._words.bounced("" if said is True else plain(said)))
        if known.get("unsubscribed") is True:
            yield Cause("opted_out", self._words.opted_out(bool(phone)))

    def _untouched(self, deadline: datetime) -> Iterator[Cause]:
        tasks = [one for one in self._written if one.kind in (ChangeKind.TASK, ChangeKind.LEAD)]
        made = [one for one in tasks if one.state not in _FAILED]
        for one in made:
            yield Cause("task_never_opened", self._words.untouched(self._label(one.crm), self._moment(one.at)))
        if not made:
            yield Cause("no_follow_up", self._words.not_followed_up(self._moment(deadline)))

    def _directory(self, crm: str) -> OwnerDirectory:
        return self._directories.get(crm, OwnerDirectory())

    def _label(self, crm: str) -> str:
        part = self._mapping.crm.get(crm)
        return part.label or crm if part is not None else crm

    def _moment(self, at: datetime) -> str:
        return words_of(self._mapping.language).moment(at.astimezone(self._mapping.zone))
