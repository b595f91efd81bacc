"""What marketing says it passed to sales against what sales can see: every difference with its cause and its remedy.

Asks the CRMs and writes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from connector.core.identity import assemble, home_records
from connector.core.normalize import Normalizer
from connector.errors import ConnectorError
from connector.mapping.model import WriteBack
from connector.pipeline.company import Company, Progress, Step, no_progress
from connector.pipeline.understand import read_contacts
from connector.records import ChangeKind, Contact, Decision, RecordKey, Stage, Value
from connector.store import REFUSED, WAITING, OutboxRow

BATCH = 2_000
"""People looked at at once: bounds memory, and fills the CRMs' batches."""

MOST_STRANGERS = 1_000
"""So many of those whom the CRMs show as MQL without a handoff of ours are told."""

_WAITING = frozenset(WAITING)
_GIVEN_UP = frozenset(REFUSED)
_MADE = {ChangeKind.TASK: "tasks", ChangeKind.NOTE: "notes", ChangeKind.LEAD: "leads"}
_BEFORE_SALES = frozenset({None, Stage.INQUIRY, Stage.MQL})


class Difference(NamedTuple):
    """One thing that marketing and sales do not see alike.

    Attributes:
        record: Where it shows; None where there is no record.
        what: `no_record`, `record_gone`, `stage_behind`, `figures_missing`, `task_missing`, `note_missing`,
            `lead_missing` or `handed_over_by_others`.
        cause: Why, as far as is known, in words.
        remedy: What mends it; commands stand in backticks.
    """

    crm: str
    person_id: str
    record: RecordKey | None
    what: str
    cause: str
    remedy: str


@dataclass
class Reconciliation:
    """All that was found.

    Attributes:
        passed_count: How many handoffs marketing counts in the cycles that people are in; those that we took back not
            among them.
        seen_counts: CRM -> how many of them sales can see there whole (record, stage, task and note), or has moved on.
        stopped: CRM -> why it could not be asked; nothing is told of it.
    """

    company: str
    passed_count: int = 0
    seen_counts: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    stopped: dict[str, str] = field(default_factory=dict)


class _Passed(NamedTuple):
    """One handoff, the record it is about in one CRM, and what became of its writes there.

    Attributes:
        writes: By kind, but for the figures.
        figures: Their newest write in this cycle; None for none.
        stage: Where they stand by what we know of all CRMs; None when they were not judged since.
    """

    decision: Decision
    contact: Contact
    write_back: WriteBack
    writes: Mapping[ChangeKind, OutboxRow]
    figures: OutboxRow | None
    stage: Stage | None


def reconcile(company: Company, progress: Progress = no_progress) -> Reconciliation:
    """Compare every handoff of a current cycle with each CRM that the mapping writes to.

    Whom sales has moved beyond MQL, or sent back, is seen: what became of task and note then is theirs. A CRM that
    cannot be asked is told in `stopped`; the others go on.
    """
    found = Reconciliation(company.name)
    normalizer = Normalizer(company.mapping)
    set_aside = {record: one.reason for one in company.store.find_conflicts(company.name) for record in one.records}
    crms = [crm for crm, part in company.mapping.crm.items() if part.write_back]
    found.seen_counts = dict.fromkeys(crms, 0)
    after = ""
    while rows := company.store.read_current_handoffs(company.name, BATCH, after=after):
        after = rows[-1].decision.person_id
        decisions = [row.decision for row in rows]
        found.passed_count += len(decisions)
        homes = _homes(company, normalizer, decisions)
        writes = company.store.read_handoff_changes(company.name, [one.person_id for one in decisions])
        stages = company.store.get_stages(company.name, [one.person_id for one in decisions])
        for crm in crms:
            passed: list[_Passed] = []
            for decision in decisions:
                own = homes.get(decision.person_id, {})
                contact = own.get(crm)
                write_back = None if contact is None else company.mapping.crm[crm].write_back.get(contact.key.stream)
                if contact is None or write_back is None:
                    found.differences.append(_without_record(company.name, crm, decision, own, set_aside))
                    continue
                theirs = {
                    row.change.kind: row for row in writes.get(decision.person_id, ())
                    if (row.change.crm, row.change.cycle) == (crm, decision.cycle)
                }
                figures = theirs.pop(ChangeKind.SCORE, None)
                stage = stages.get(decision.person_id)
                passed.append(_Passed(decision, contact, write_back, theirs, figures, stage))
            if crm not in found.stopped:
                try:
                    _compare(company, normalizer, crm, passed, found)
                except ConnectorError as error:
                    found.stopped[crm] = str(error)
        progress(Step("evaluate", "handoffs", found.passed_count))
    found.differences += _strangers(company, crms)
    found.differences = [one for one in found.differences if one.crm not in found.stopped]
    for crm in found.stopped:
        del found.seen_counts[crm]
    return found


def _homes(
    company: Company, normalizer: Normalizer, decisions: Sequence[Decision],
) -> dict[str, dict[str, Contact]]:
    """Return person id -> CRM -> the record that is written to; nothing of those who have no record left."""
    keys = company.store.get_person_keys(company.name, [decision.person_id for decision in decisions])
    contacts = read_contacts(company, normalizer, {key for own in keys.values() for key in own})
    homes = {}
    for person_id, own in keys.items():
        if theirs := [contacts[key] for key in own if key in contacts]:
            homes[person_id] = home_records(assemble(person_id, theirs, company.mapping, None))
    return homes


def _compare(
    company: Company, normalizer: Normalizer, crm: str, passed: Sequence[_Passed], found: Reconciliation,
) -> None:
    """Compare these handoffs with one CRM; what is wrong goes to `found`."""
    stages = _read_stages(company, crm, passed)
    there = _read_made(company, crm, passed)
    for one in passed:
        wrong = list(_wrong(one, stages, there, normalizer, company.name))
        found.differences += wrong
        found.seen_counts[crm] += not wrong


def _read_stages(company: Company, crm: str, passed: Sequence[_Passed]) -> dict[RecordKey, Value]:
    """Return each record that is there -> what its stage field holds now (None where we write no stage)."""
    by_stream: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in passed:
        by_stream[one.contact.key.stream, one.write_back.stage].append(one.contact.key.remote_id)
    stages: dict[RecordKey, Value] = {}
    for (stream, name), remote_ids in by_stream.items():
        values = company.adapters[crm].read_back(stream, remote_ids, [name] if name else [])
        stages |= {RecordKey(crm, stream, remote_id): own.get(name) for remote_id, own in values.items()}
    return stages


def _read_made(company: Company, crm: str, passed: Sequence[_Passed]) -> set[RecordKey]:
    """Return those of the tasks, notes and leads made for these handoffs that the CRM has now.

    By their ids, as many to a call as a CRM takes: asking by the keys costs a call for each note in some.
    """
    made: dict[str, list[str]] = defaultdict(list)
    for one in passed:
        for kind, stream in _MADE.items():
            if (row := one.writes.get(kind)) is not None and row.remote_id:
                made[stream].append(row.remote_id)
    return {
        RecordKey(crm, stream, remote_id) for stream, remote_ids in made.items()
        for remote_id in company.adapters[crm].read_back(stream, remote_ids, [])
    }


def _wrong(
    one: _Passed, stages: Mapping[RecordKey, Value], there: set[RecordKey], normalizer: Normalizer, company: str,
) -> Iterator[Difference]:
    key, person_id, write_back = one.contact.key, one.decision.person_id, one.write_back

    def difference(what: str, cause: str, remedy: str) -> Difference:
        return Difference(key.crm, person_id, key, what, cause, remedy)

    if key not in stages:
        yield difference(
            "record_gone", "the record was deleted or hidden since it was last read",
            f"`mql sync {company}` follows, at the latest when it next asks for what was removed",
        )
        return
    stage = normalizer.stage(key, stages[key]) if write_back.stage else None
    if stage not in _BEFORE_SALES or one.stage not in _BEFORE_SALES:
        return
    if write_back.stage and stage is not Stage.MQL:
        yield difference("stage_behind", *_why_behind(one, company))
    if one.figures is not None and (told := _unwritten(one.figures, company)) is not None:
        yield difference("figures_missing", *told)
    wanted = {
        ChangeKind.TASK: write_back.task and write_back.lead != "instead", ChangeKind.NOTE: write_back.note,
        ChangeKind.LEAD: write_back.lead != "none",
    }
    for kind, is_wanted in wanted.items():
        row = one.writes.get(kind)
        if is_wanted and (row is None or RecordKey(key.crm, _MADE[kind], row.remote_id) not in there):
            yield difference(f"{kind}_missing", *_why_missing(one, row, company))


def _why_behind(one: _Passed, company: str) -> tuple[str, str]:
    """Return cause and remedy of a stage that is not written, or not there any more."""
    row = one.writes.get(ChangeKind.STAGE)
    if row is not None and (told := _unwritten(row, company)) is not None:
        return told
    if not one.writes:
        return _never_planned(company)
    return "somebody set it back in the CRM", (
        f"move it on there; if they are back in nurturing, `mql sync {company}` takes note where the CRM keeps a "
        "history of it, else give the record its stage for that"
    )


def _why_missing(one: _Passed, row: OutboxRow | None, company: str) -> tuple[str, str]:
    """Return cause and remedy of a task, note or lead record that is not there."""
    explain = f"`mql explain {company} {one.decision.person_id}`"
    if row is None and not one.writes:
        return _never_planned(company)
    if row is None:
        return "the mapping did not ask for it when they were handed off", "nothing: it is made with the next handoff"
    if (told := _unwritten(row, company)) is not None:
        return told
    if row.remote_id:
        return "somebody deleted it in the CRM", f"make it anew there, if it is still wanted: {explain} tells of whom"
    return row.reason, f"nothing, if that is right: {explain}"


def _unwritten(row: OutboxRow, company: str) -> tuple[str, str] | None:
    """Return cause and remedy of a change that did not get out; None when it did."""
    if row.state in _GIVEN_UP:
        # Remedies end in `then retry`, of which the commands here are the longer form.
        remedy = row.remedy.rstrip(". 。").removesuffix("then retry").rstrip(" ;,") or "mend what the CRM says"
        retry = f"`mql retry {company} {row.change.idempotency_key}` and `mql sync {company}`"
        return f"{row.state}: {row.reason}", f"{remedy}; then {retry}"
    if row.state in _WAITING:
        why = f": {row.reason}" if row.reason else ""
        return f"it waits to be written{why}", f"`mql sync {company}`"
    return None


def _never_planned(company: str) -> tuple[str, str]:
    return "the record came after the handoff", f"`mql sync {company}`"


def _without_record(
    company: str, crm: str, decision: Decision, own: Mapping[str, Contact], set_aside: Mapping[str, str],
) -> Difference:
    reasons = sorted({set_aside[str(c.key)] for c in own.values() if str(c.key) in set_aside})
    if not own:
        cause, remedy = "no record of theirs is left in any CRM", "nothing: there is nobody to follow up"
    elif reasons:
        cause = f"a record of theirs was set aside: {', '.join(reasons)}"
        remedy = f"`mql people {company} --conflicts` tells what to correct"
    else:
        cause = f"{crm} has no record of them that we may write to"
        remedy = (
            f"make one in {crm} with their e-mail address, or let the CRMs' own sync do it; then `mql sync {company}`"
        )
    return Difference(crm, decision.person_id, None, "no_record", cause, remedy)


def _strangers(company: Company, crms: Sequence[str]) -> list[Difference]:
    """Return who stands as MQL in the CRMs without a handoff of ours."""
    people = dict(company.store.find_without_handoff(company.name, Stage.MQL, MOST_STRANGERS))
    keys = company.store.get_person_keys(company.name, people)
    found = []
    for person_id, says in people.items():
        records = [RecordKey.parse(key) for key in keys.get(person_id, ()) if not key.startswith("email:")]
        theirs = [key for key in records if key.crm in crms and key.stream in company.mapping.crm[key.crm].people]
        record = next((key for key in theirs if key.crm == says), next(iter(theirs), None))
        if record is not None:
            found.append(Difference(
                record.crm, person_id, record, "handed_over_by_others",
                "they were made MQL in the CRM, or by this product before its store was put back",
                f"nothing, if that is right: `mql explain {company.name} {person_id}` shows their points",
            ))
    return found
