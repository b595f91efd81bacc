"""Carry out changes of every kind: fields first, then tasks, notes, and what is taken back of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from connector.adapters.salesforce.closing import Closings
from connector.adapters.salesforce.delivery import Delivery, Group, Question, Sent
from connector.adapters.salesforce.ingest import IngestJobs, Load
from connector.adapters.salesforce.limits import IDS_PER_QUERY, QUERIES_TOGETHER
from connector.adapters.salesforce.marking import MARKS_PER_REQUEST, Markings
from connector.adapters.salesforce.notes import NOTES_PER_REQUEST, Notes
from connector.adapters.salesforce.tasks import Tasks
from connector.adapters.salesforce.updates import Updates
from connector.records import Change, ChangeKind, Outcome, Receipt, RecordKey, Value

RECORDS_PER_REQUEST = 200
"""Source: developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/
resources_composite_sobjects_collections.htm, checked 2026-11-22."""

RECORDS_PER_QUESTION = IDS_PER_QUERY * QUERIES_TOGETHER

LARGEST_WRITE = 40_000
"""Changes of one `apply`: those of 10,000 people, who fill a batch of a bulk job with their fields and one with tasks.
Source: datafiles_understanding_bulk2_ingest.htm, checked 2026-11-22. More would save nothing and leave more in doubt
after a crash."""


class Rows(Protocol):
    """Rows that may go by collections or in bulk."""

    def load_of(self, group: Group) -> Load:
        """Return the bulk job that a group's row fits."""

    def row_of(self, group: Group) -> Mapping[str, Value]:
        """Return a row's fields, without its key."""

    def write(self, groups: Sequence[Group]) -> Sent:
        """Send at most 200 rows."""

    def confirm(self, groups: Sequence[Group]) -> Iterator[Receipt]:
        """Yield the receipts of rows that were accepted."""


class Writer:
    """Writes to one org.

    Args:
        bulk_from_rows: More rows of one object than this in one `apply` go through Bulk API 2.0.
    """

    def __init__(
        self, updates: Updates, tasks: Tasks, notes: Notes, closings: Closings, markings: Markings,
        jobs: IngestJobs, *, bulk_from_rows: int,
    ) -> None:
        self._updates, self._tasks, self._notes = updates, tasks, notes
        self._closings, self._markings = closings, markings
        self._jobs, self._bulk_from_rows = jobs, bulk_from_rows

    def apply(self, changes: Sequence[Change]) -> Sequence[Receipt]:
        """Return one receipt per change, in order; see `Adapter.apply`.

        Raises:
            FatalError: Nothing has been written by this call (see `Delivery.send`).
        """
        delivery = Delivery()
        # The same change twice is one write: neither a task's upsert nor a note's graph may name a key twice.
        unique = list({change.idempotency_key: change for change in changes}.values())
        for group in _groups(unique, ChangeKind.LEAD):
            delivery.note(group.receipts(
                Outcome.REJECTED, reason="Salesforce has no lead record beside a contact's",
                remedy="Take `lead` out of the mapping's write_back of Salesforce: the task says the same.",
            ))
        for wave in _waves(change for change in unique if change.kind.writes_fields):
            self._update(delivery, wave)
        tasks = self._ask(delivery, _groups(unique, ChangeKind.TASK), self._tasks.find)
        self._confirm(delivery, self._send_rows(delivery, tasks, self._tasks), self._tasks.confirm)
        notes = self._ask(delivery, _groups(unique, ChangeKind.NOTE), self._notes.find)
        made = delivery.send(notes, self._notes.write, batch_size=NOTES_PER_REQUEST)
        self._confirm(delivery, made.accepted, self._notes.confirm)
        closings = self._ask(delivery, _groups(unique, ChangeKind.CLOSE_TASK), self._closings.find)
        closed = delivery.send(closings, self._closings.write, batch_size=RECORDS_PER_REQUEST)
        self._confirm(delivery, closed.accepted, self._closings.confirm)
        markings = self._ask(delivery, _groups(unique, ChangeKind.MARK_NOTE), self._markings.find)
        marked = delivery.send(markings, self._markings.write, batch_size=MARKS_PER_REQUEST)
        self._confirm(delivery, marked.accepted, self._markings.confirm)
        return [delivery.receipts[change.idempotency_key] for change in changes]

    def look_up(self, changes: Sequence[Change]) -> Mapping[str, str]:
        """Return the ids of the tasks and notes that exist already, by idempotency key.

        Raises:
            UnavailableError: A bulk job of an earlier run may still carry some of the changes out.
        """
        if not changes:
            return {}
        self._jobs.demand_nothing_left()
        tasks = [change for change in changes if change.kind is ChangeKind.TASK]
        notes = [change for change in changes if change.kind is ChangeKind.NOTE]
        return {**self._tasks.look_up(tasks), **self._notes.look_up(notes)}

    def _update(self, delivery: Delivery, groups: Sequence[Group]) -> None:
        accepted = self._send_rows(delivery, groups, self._updates)
        # A refused status must not take the score with it: what was refused together is tried apart, one change after
        # the other, because a request must not name a record twice.
        refused = [group for group in groups if len(group.changes) > 1 and _are_rejected(delivery, group)]
        delivery.reopen(refused)
        for number in range(max((len(group.changes) for group in refused), default=0)):
            apart = [Group((group.changes[number],)) for group in refused if number < len(group.changes)]
            accepted += self._send_rows(delivery, apart, self._updates)
        self._confirm(delivery, accepted, self._updates.confirm)

    def _send_rows(self, delivery: Delivery, groups: Sequence[Group], rows: Rows) -> list[Group]:
        """Send rows, each kind of job's in bulk where they are many; return the accepted ones."""
        by_load: dict[Load, list[Group]] = {}
        for group in groups:
            by_load.setdefault(rows.load_of(group), []).append(group)
        accepted: list[Group] = []
        small: list[Group] = []
        for load, members in by_load.items():
            if len(members) > self._bulk_from_rows:
                sent = self._jobs.send(delivery, load, members, rows.row_of)
                accepted += sent.accepted
                small += sent.again
            else:
                small += members
        return accepted + list(delivery.send(small, rows.write, batch_size=RECORDS_PER_REQUEST).accepted)

    def _ask(self, delivery: Delivery, groups: Sequence[Group], question: Question) -> list[Group]:
        return delivery.ask(groups, question, batch_size=RECORDS_PER_QUESTION)

    def _confirm(self, delivery: Delivery, accepted: Sequence[Group], question: Question) -> None:
        for group in self._ask(delivery, accepted, question):
            raise AssertionError(f"no receipt for {group.changes[0].kind}")


def _are_rejected(delivery: Delivery, group: Group) -> bool:
    receipts = [delivery.receipts.get(change.idempotency_key) for change in group.changes]
    return all(receipt is not None and receipt.outcome is Outcome.REJECTED for receipt in receipts)


def _groups(changes: Iterable[Change], kind: ChangeKind) -> list[Group]:
    """Return each change of a kind by itself, those of one company together."""
    return sorted((Group((change,)) for change in changes if change.kind is kind), key=lambda group: group.lock_order)


def _waves(changes: Iterable[Change]) -> list[list[Group]]:
    """Return the changes by record, in waves that go out one after the other, each in the order of its locks.

    One request must not name a record twice, and a field that two changes write holds the later one's value in the
    end: the second of them waits for the next wave.
    """
    waves: list[dict[RecordKey, list[Change]]] = []
    last: dict[tuple[RecordKey, str], int] = {}
    for change in changes:
        fields = [(change.record, name) for name in change.fields]
        number = 1 + max((last.get(field, -1) for field in fields), default=-1)
        last.update(dict.fromkeys(fields, number))
        if number == len(waves):
            waves.append({})
        waves[number].setdefault(change.record, []).append(change)
    return [
        sorted((Group(tuple(members)) for members in wave.values()), key=lambda group: group.lock_order)
        for wave in waves
    ]
