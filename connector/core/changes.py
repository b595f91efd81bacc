"""From a decision to the writes it asks for: one set per CRM in which the person has a record to write to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from connector.core.identity import home_records
from connector.core.lifecycle import OVERDUE
from connector.core.texts import Failed, LinkTo, lead_document, note_document, reason_line, task_document
from connector.core.words import words_of
from connector.mapping.model import Mapping as CompanyMapping
from connector.mapping.model import WriteBack
from connector.records import (
    Activity,
    Change,
    ChangeKind,
    Contact,
    Decision,
    Document,
    Ownership,
    Person,
    RecordKey,
    Stage,
    Value,
)


def plan_changes(
    company: str, decision: Decision, person: Person, activities: Sequence[Activity], mapping: CompanyMapping, *,
    link: LinkTo | None = None, nurture: str = "", tasks: Mapping[str, RecordKey] | None = None,
    failed: Failed | None = None,
) -> tuple[Change, ...]:
    """Plan every write of a decision.

    SCORE is planned for everybody, so that a score that fell to nothing can be written too (the caller leaves out
    those who never had points); LEAD, TASK and NOTE only at a handoff. What belongs to a handoff (`reason`,
    `became_at`, `deadline_at`) is left out of every other SCORE, so that it stays in the CRM; so are `segment` and
    `nurture` where there is none. STAGE follows a handoff, and what sales did with it, where the mapping says how the
    CRM calls that stage; RECYCLE takes it back.

    Args:
        company: The company's key in config.toml, for the idempotency keys.
        activities: Everything the person did, for the note.
        link: Makes the addresses of records.
        nurture: The word for the marketing tool's segments; empty for none.
        tasks: By CRM, the task of a handoff that this decision ends, because it takes it back or begins the next
            cycle: it is closed.
        failed: Is told when a text of the company's own cannot be made.

    Returns:
        In the mapping's order of CRMs, within each in the order of `ChangeKind`. `before` is empty but for a RECYCLE:
        the caller fills it from what it reads back.
    """
    changes: list[Change] = []
    owners = {one.crm: one for one in decision.owners}
    for crm, contact in home_records(person).items():
        write_back = mapping.crm[crm].write_back.get(contact.key.stream)
        if write_back is None:
            continue
        if decision.recycles:
            changes += _taken_back(company, decision, contact, write_back, mapping)
        if task := (tasks or {}).get(crm):
            changes.append(_closing(company, decision, contact, task, mapping))
        if stage := _stage_to_write(decision, contact, write_back):
            changes.append(_change(company, decision, contact, ChangeKind.STAGE, {write_back.stage: stage}))
        if figures := _figures(decision, write_back, nurture, mapping):
            changes.append(_change(company, decision, contact, ChangeKind.SCORE, figures))
        if decision.hands_off:
            made = _Made(company, decision, person, activities, mapping, link, failed)
            changes += made.changes(contact, owners.get(crm, Ownership(crm)), write_back)
    return tuple(changes)


def instant(moment: datetime) -> str:
    """Write a moment as it travels between rooms: `2026-11-24T09:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stage_to_write(decision: Decision, contact: Contact, write_back: WriteBack) -> str:
    """Return the CRM's word for the stage that the record is to be moved on to; empty for none."""
    if not write_back.stage:
        return ""
    if decision.hands_off:
        return write_back.stages[Stage.MQL]
    stage = decision.stage
    return write_back.stages.get(stage, "") if contact.stage in _FOLLOWED_FROM.get(stage, ()) else ""


_FOLLOWED_FROM = {Stage.SAL: (Stage.MQL,), Stage.SQL: (Stage.MQL, Stage.SAL)}
"""Stages that may follow from what sales did, without sales having said so in a field, and from where a record is moved
on to them: where it shows an inquiry, sales may have set it back."""


def _taken_back(
    company: str, decision: Decision, contact: Contact, write_back: WriteBack, mapping: CompanyMapping,
) -> list[Change]:
    """Return what takes the stage of a handoff back, where the CRM has a word for it."""
    stages = write_back.stages
    if not write_back.stage or Stage.RECYCLED not in stages:
        return []
    change = _change(company, decision, contact, ChangeKind.RECYCLE, {write_back.stage: stages[Stage.RECYCLED]})
    before = {write_back.stage: stages[Stage.MQL]}
    return [replace(change, before=before, document=Document(_why_back(decision, mapping), ()))]


def _closing(
    company: str, decision: Decision, contact: Contact, task: RecordKey, mapping: CompanyMapping,
) -> Change:
    """Return what closes the task of a handoff that is over: of this cycle when it is taken back, else of the last."""
    cycle = decision.cycle - 1 if decision.hands_off else decision.cycle
    why = words_of(mapping.language).handed_off_again if decision.hands_off else _why_back(decision, mapping)
    ended = replace(decision, cycle=cycle)
    return replace(
        _change(company, ended, contact, ChangeKind.CLOSE_TASK, {}), record=task, document=Document(why, ()),
    )


def _why_back(decision: Decision, mapping: CompanyMapping) -> str:
    words = words_of(mapping.language)
    return words.recycled_because(words.not_in_time if decision.recycles == OVERDUE else decision.recycles)


def _figures(
    decision: Decision, write_back: WriteBack, nurture: str, mapping: CompanyMapping,
) -> dict[str, Value]:
    score = decision.score
    figures: dict[str, Value] = {
        "score": _whole(score.total_points),
        "fit_points": _whole(score.fit_points),
        "engagement_points": _whole(score.engagement_points),
        "status": decision.stage.value,
        "cycle": decision.cycle,
        "definition": score.definition,
        "lane": decision.lane.value,
    }
    if decision.segment:
        figures["segment"] = decision.segment
    if nurture:
        figures["nurture"] = nurture
    if decision.hands_off:
        figures["became_at"] = instant(decision.decided_at)
        figures["reason"] = reason_line(decision, mapping)
        if decision.deadline_at is not None:
            figures["deadline_at"] = instant(decision.deadline_at)
    return {remote: figures[name] for name, remote in write_back.fields.items() if name in figures}


@dataclass(frozen=True, slots=True)
class _Made:
    """Makes the records of one handoff."""

    company: str
    decision: Decision
    person: Person
    activities: Sequence[Activity]
    mapping: CompanyMapping
    link: LinkTo | None
    failed: Failed | None

    def changes(self, contact: Contact, owner: Ownership, write_back: WriteBack) -> list[Change]:
        """Return the lead, the task and the note for one CRM, as far as the mapping wants them."""
        changes = []
        crm, decision = contact.key.crm, self.decision
        if write_back.lead != "none":
            changes.append(self._about(contact, ChangeKind.LEAD, owner, lead_document(self.person, self.mapping)))
        if write_back.task and write_back.lead != "instead":
            document = task_document(
                decision, self.person, self.mapping, activities=self.activities, link=self.link, crm=crm,
                failed=self.failed,
            )
            task = self._about(contact, ChangeKind.TASK, owner, document)
            changes.append(replace(
                task, queue_id=owner.queue_id, due_at=decision.deadline_at, is_urgent=decision.is_urgent,
            ))
        if write_back.note:
            document = note_document(
                decision, self.person, self.activities, self.mapping, crm, link=self.link, failed=self.failed,
            )
            changes.append(self._about(contact, ChangeKind.NOTE, owner, document))
        return changes

    def _about(self, contact: Contact, kind: ChangeKind, owner: Ownership, document: Document) -> Change:
        change = _change(self.company, self.decision, contact, kind, {})
        return replace(change, owner_id=owner.owner_id, document=document)


def _change(
    company: str, decision: Decision, contact: Contact, kind: ChangeKind, fields: Mapping[str, Value]
) -> Change:
    return Change(
        idempotency_key=f"{company}/{decision.person_id}/{decision.cycle}/{kind}",
        crm=contact.key.crm, kind=kind, person_id=decision.person_id, cycle=decision.cycle, record=contact.key,
        fields=fields, account_id=contact.account.remote_id if contact.account is not None else "",
    )


def _whole(points: float) -> int | float:
    return int(points) if points == int(points) else points
