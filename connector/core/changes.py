"""From a decision to the writes it asks for: one set per CRM in which the person has a record to write to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connector.core.identity import home_records
from connector.core.lifecycle import HANDED_OFF
from connector.core.texts import note_document, reason_line, task_document
from connector.mapping.model import Mapping as CompanyMapping
from connector.mapping.model import WriteBack
from connector.records import Activity, Change, ChangeKind, Contact, Decision, Person, Stage, Value


@dataclass(frozen=True, slots=True)
class OwnerDirectory:
    """Who may own records in one CRM.

    Attributes:
        active: Remote id -> display name of everybody who can act.
        fallback_id: Who takes over where a record has no active owner; empty for nobody.
    """

    active: Mapping[str, str] = field(default_factory=dict)
    fallback_id: str = ""

    def owner_of(self, contact: Contact) -> str:
        """Return the remote id of who must act: the record's owner when active, else the fallback, else empty."""
        return contact.owner_id if contact.owner_id in self.active else self.fallback_id


def plan_changes(
    company: str,
    decision: Decision,
    person: Person,
    activities: Sequence[Activity],
    owners: Mapping[str, OwnerDirectory],
    mapping: CompanyMapping,
) -> tuple[Change, ...]:
    """Plan every write of a decision.

    SCORE is planned for everybody, so that a score that fell to nothing can be written too (the caller leaves out
    those who never had points); STAGE, TASK and NOTE only at a handoff. What belongs to a handoff
    (`reason`, `became_at`, `deadline_at`) is left out of every other SCORE, so that it stays in the CRM; so is
    `status` while a handoff has not shown in the CRM yet, and `segment` where the definition has none.

    Args:
        company: The company's key in config.toml, for the idempotency keys.
        activities: Everything the person did, for the note.
        owners: By CRM; in a CRM that is missing nobody is assigned.

    Returns:
        In the mapping's order of CRMs, within each STAGE, SCORE, TASK, NOTE. `before` is empty: the caller fills it
        from what it reads back.
    """
    changes: list[Change] = []
    for crm, contact in home_records(person).items():
        write_back = mapping.crm[crm].write_back.get(contact.key.stream)
        if write_back is None:
            continue
        written: list[tuple[ChangeKind, dict[str, Value]]] = []
        if decision.hands_off and write_back.stage:
            written.append((ChangeKind.STAGE, {write_back.stage: write_back.stages[Stage.MQL]}))
        written.append((ChangeKind.SCORE, _figures(decision, person, write_back, mapping)))
        changes += [_change(company, decision, contact, kind, fields) for kind, fields in written if fields]
        if decision.hands_off:
            owner_id = owners.get(crm, OwnerDirectory()).owner_of(contact)
            changes += _texts(company, decision, person, activities, contact, owner_id, write_back, mapping)
    return tuple(changes)


def instant(moment: datetime) -> str:
    """Write a moment as it travels between rooms: `2026-11-24T09:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _figures(decision: Decision, person: Person, write_back: WriteBack, mapping: CompanyMapping) -> dict[str, Value]:
    score = decision.score
    figures: dict[str, Value] = {
        "score": _whole(score.total_points),
        "fit_points": _whole(score.fit_points),
        "engagement_points": _whole(score.engagement_points),
        "cycle": decision.cycle,
        "definition": score.definition,
    }
    if decision.segment:
        figures["segment"] = decision.segment
    # Handed off, but the CRM still shows an inquiry: our write is on its way or its echo is. Writing `inquiry` now
    # could overwrite it.
    if not (HANDED_OFF in decision.obstacles and person.stage is Stage.INQUIRY):
        figures["status"] = (Stage.MQL if decision.hands_off else person.stage).value
    if decision.hands_off:
        figures["became_at"] = instant(decision.decided_at)
        figures["reason"] = reason_line(decision, mapping)
        if decision.deadline_at is not None:
            figures["deadline_at"] = instant(decision.deadline_at)
    return {remote: figures[name] for name, remote in write_back.fields.items() if name in figures}


def _texts(
    company: str, decision: Decision, person: Person, activities: Sequence[Activity], contact: Contact, owner_id: str,
    write_back: WriteBack, mapping: CompanyMapping,
) -> list[Change]:
    changes = []
    if write_back.task:
        task = _change(company, decision, contact, ChangeKind.TASK, {})
        changes.append(replace(
            task, document=task_document(decision, person, mapping), owner_id=owner_id, due_at=decision.deadline_at
        ))
    if write_back.note:
        note = _change(company, decision, contact, ChangeKind.NOTE, {})
        document = note_document(decision, person, activities, mapping, contact.key.crm)
        changes.append(replace(note, document=document, owner_id=owner_id))
    return changes


def _change(
    company: str, decision: Decision, contact: Contact, kind: ChangeKind, fields: Mapping[str, Value]
) -> Change:
    return Change(
        idempotency_key=f"{company}/{decision.person_id}/{decision.cycle}/{kind}",
        crm=contact.key.crm, kind=kind, person_id=decision.person_id, cycle=decision.cycle, record=contact.key,
        fields=fields,
    )


def _whole(points: float) -> int | float:
    return int(points) if points == int(points) else points
